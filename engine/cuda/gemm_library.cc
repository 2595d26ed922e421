#include "engine/cuda/gemm_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/cuda/check.h"
#include "engine/cuda/cublaslt_api.h"
#include "engine/cuda/memory.h"

namespace sluice::cuda {
namespace {

constexpr int candidates_max = 6;  // plans of a shape that are timed before one is kept
constexpr int timed_runs = 3;

void check_lt(LtStatus status, const char* what) {
    if (status != 0)
        throw CudaFailure(std::string("cuBLASLt: ") + what + " failed with status " +
                          std::to_string(status));
}

cudaDataType_t type_of(GemmType type) {
    switch (type) {
        case GemmType::f16:
            return CUDA_R_16F;
        case GemmType::bf16:
            return CUDA_R_16BF;
        case GemmType::fp8_e4m3:
            return CUDA_R_8F_E4M3;
        case GemmType::f32:
            return CUDA_R_32F;
    }
    return CUDA_R_32F;
}

// A product's description for the library and the way it chose to compute it.
struct Plan {
    LtDesc desc = nullptr;
    LtLayout w = nullptr, x = nullptr, out = nullptr;
    LtAlgo algo{};
    bool made = false;
};

using LoadedCode = Owned<void*, ::dlclose>;

using Key = std::tuple<GemmType, GemmType, int, int, int, int, bool>;

Key key_of(const Gemm& gemm) {
    return {gemm.type, gemm.out_type, gemm.rows, gemm.columns, gemm.T, gemm.out_stride, gemm.add};
}

class LoadedLibrary final : public GemmLibrary {
public:
    LoadedLibrary(LoadedCode library, const LtApi& api)
        : library_(std::move(library)),
          api_(api),
          workspace_(take_device_memory(workspace_bytes)),
          start_(make_event(cudaEventDefault)),
          end_(make_event(cudaEventDefault)) {
        check_lt(api_.create(&handle_), "create");
    }
    ~LoadedLibrary() override {
        if (context_hangs()) return;
        for (auto& [key, plan] : plans_) drop(plan);
        (void)api_.destroy(handle_);
    }

    bool ready() const { return bool(workspace_); }

    void run(const Gemm& gemm, cudaStream_t stream) override {
        Plan& plan = plans_[key_of(gemm)];
        if (!plan.made) make_plan(plan, gemm, stream);
        check_lt(matmul(gemm, plan, plan.algo, stream), "matmul");
    }

private:
    void set(LtDesc desc, int attribute, const auto& value) {
        check_lt(api_.desc_set(desc, attribute, &value, sizeof value), "set");
    }

    // The library thinks in columns: out' [rows, T] = w' x' with w' [columns, rows] transposed.
    void describe(Plan& plan, const Gemm& gemm) {
        check_lt(api_.desc_create(&plan.desc, lt::compute_32f, CUDA_R_32F), "describe");
        set(plan.desc, lt::desc_trans_a, lt::op_transpose);
        auto layout = [&](LtLayout& out, GemmType type, int rows, int columns, int stride) {
            check_lt(api_.layout_create(&out, type_of(type), static_cast<std::uint64_t>(rows),
                                        static_cast<std::uint64_t>(columns), stride),
                     "layout");
        };
        layout(plan.w, gemm.type, gemm.columns, gemm.rows, gemm.columns);
        layout(plan.x, gemm.type, gemm.columns, gemm.T, gemm.columns);
        layout(plan.out, gemm.out_type, gemm.rows, gemm.T, gemm.out_stride);
    }

    LtStatus matmul(const Gemm& gemm, const Plan& plan, const LtAlgo& algo, cudaStream_t stream) {
        const float beta = gemm.add ? 1.0F : 0.0F;
        return api_.matmul(handle_, plan.desc, &gemm.alpha, gemm.w, plan.w, gemm.x, plan.x, &beta,
                           gemm.out, plan.out, gemm.out, plan.out, &algo, workspace_.get(),
                           workspace_bytes, stream);
    }

    // What a failure leaves half made is dropped before it is tried again, or at the end.
    void make_plan(Plan& plan, const Gemm& gemm, cudaStream_t stream) {
        drop(plan);
        describe(plan, gemm);
        LtPreference preference = nullptr;
        check_lt(api_.preference_create(&preference), "preference");
        check_lt(api_.preference_set(preference, lt::preference_workspace_bytes, &workspace_bytes,
                                     sizeof workspace_bytes),
                 "preference");
        LtHeuristic found[candidates_max];
        int count = 0;
        LtStatus status = api_.heuristic(handle_, plan.desc, plan.w, plan.x, plan.out, plan.out,
                                         preference, candidates_max, found, &count);
        (void)api_.preference_destroy(preference);
        if (status != 0 || count == 0)
            throw CudaFailure("cuBLASLt has no product of " + std::to_string(gemm.rows) + " x " +
                              std::to_string(gemm.columns) + " with " + std::to_string(gemm.T) +
                              " tokens (status " + std::to_string(status) + ")");
        plan.algo = fastest(gemm, plan, {found, found + count}, stream);
        plan.made = true;
    }

    // Times the library's candidates on the product itself; not while a graph is captured. What is
    // added is scaled to nothing meanwhile, because it must be added once.
    LtAlgo fastest(const Gemm& gemm, const Plan& plan, std::vector<LtHeuristic> candidates,
                   cudaStream_t stream) {
        cudaStreamCaptureStatus capturing{};
        check(cudaStreamIsCapturing(stream, &capturing));
        Gemm timed = gemm;
        if (gemm.add) timed.alpha = 1e-30F;
        LtAlgo best = candidates.front().algo;
        if (capturing != cudaStreamCaptureStatusNone) return best;
        float best_ms = 0;
        for (const LtHeuristic& candidate : candidates) {
            if (candidate.state != 0 || matmul(timed, plan, candidate.algo, stream) != 0) continue;
            check(cudaEventRecord(start_.get(), stream));
            for (int i = 0; i < timed_runs; ++i)
                check_lt(matmul(timed, plan, candidate.algo, stream), "matmul");
            check(cudaEventRecord(end_.get(), stream));
            check(cudaEventSynchronize(end_.get()));
            float ms = 0;
            check(cudaEventElapsedTime(&ms, start_.get(), end_.get()));
            if (best_ms == 0 || ms < best_ms) {
                best_ms = ms;
                best = candidate.algo;
            }
        }
        return best;
    }

    void drop(Plan& plan) {
        for (LtLayout layout : {plan.w, plan.x, plan.out})
            if (layout != nullptr) (void)api_.layout_destroy(layout);
        if (plan.desc != nullptr) (void)api_.desc_destroy(plan.desc);
        plan = {};
    }

    LoadedCode library_;  // closed last
    LtApi api_;
    LtHandle handle_ = nullptr;
    DeviceMemory workspace_;
    Event start_, end_;
    std::map<Key, Plan> plans_;
};

template <class Function>
bool find(void* library, Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

bool find_all(void* library, LtApi& api) {
    return find(library, api.create, "cublasLtCreate") &&
           find(library, api.destroy, "cublasLtDestroy") &&
           find(library, api.desc_create, "cublasLtMatmulDescCreate") &&
           find(library, api.desc_destroy, "cublasLtMatmulDescDestroy") &&
           find(library, api.desc_set, "cublasLtMatmulDescSetAttribute") &&
           find(library, api.layout_create, "cublasLtMatrixLayoutCreate") &&
           find(library, api.layout_destroy, "cublasLtMatrixLayoutDestroy") &&
           find(library, api.preference_create, "cublasLtMatmulPreferenceCreate") &&
           find(library, api.preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
           find(library, api.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
           find(library, api.heuristic, "cublasLtMatmulAlgoGetHeuristic") &&
           find(library, api.matmul, "cublasLtMatmul");
}

}  // namespace

Result<std::unique_ptr<GemmLibrary>> GemmLibrary::open() {
    std::vector<std::string> names = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                      "/usr/local/cuda/lib64/libcublasLt.so"};
    if (const char* given = std::getenv("SLUICE_CUBLASLT")) names = {given};
    std::string tried;
    for (const std::string& name : names) {
        tried += (tried.empty() ? "" : ", ") + name;
        LoadedCode library(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL));
        LtApi api{};
        if (!library || !find_all(library.get(), api)) continue;
        auto loaded = std::make_unique<LoadedLibrary>(std::move(library), api);
        if (!loaded->ready())
            return Error(Errc::bad_config,
                         "the GPU has no " + std::to_string(workspace_bytes >> 20) +
                             " MiB left for cuBLASLt to work in; take a smaller model or "
                             "quantisation, or end what else uses the GPU (nvidia-smi lists it)");
        return std::unique_ptr<GemmLibrary>(std::move(loaded));
    }
    return Error(Errc::bad_config,
                 "the CUDA device needs NVIDIA's library cuBLASLt 12 or 13 (Debian package "
                 "libcublas-13-0 of NVIDIA's repository, or the CUDA toolkit); tried " +
                     tried + "; SLUICE_CUBLASLT can name its file");
}

}  // namespace sluice::cuda
