#include "engine/cuda/cuda_device.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/forward.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/sample.h"
#include "engine/cuda/step_plan.h"
#include "engine/device_checks.h"
#include "engine/log.h"

namespace sluice {
namespace {

using namespace cuda;

constexpr int sequences_limit = 256;
constexpr int tokens_limit = 16384;
constexpr std::size_t graphs_max = 64;

// A captured decode step, and whether its sizes have been run once: the library times its ways on
// the first run, which a capture could not.
struct CapturedStep {
    bool seen = false;
    GraphExec graph;
};

class CudaDevice final : public Device {
public:
    CudaDevice(Stream stream, const NetworkDescription& network, const ForwardLimits& limits,
               std::unique_ptr<Forward> forward)
        : stream_(std::move(stream)),
          vocab_(network.vocab),
          limits_(limits),
          forward_(std::move(forward)),
          plan_(limits),
          done_(make_event()) {
        const auto seats = static_cast<std::size_t>(padded_tokens(limits.sequences_max));
        workspace_ = take_device_memory(sample_workspace_bytes(static_cast<int>(seats)));
        results_ = take_device_memory(seats * sizeof(SampleResult));
        top_ = take_device_memory(seats * top_logprobs_max * sizeof(TopLogprob));
        results_host_ = take_pinned_memory(seats * sizeof(SampleResult));
        top_host_ = take_pinned_memory(seats * top_logprobs_max * sizeof(TopLogprob));
        if (!workspace_ || !results_ || !top_)
            throw CudaFailure("no device memory left for the sampler");
        info_.page_tokens = page_positions;
        info_.pages = forward_->pages();
        info_.weight_bytes = forward_->weight_bytes();
        info_.kv_bytes = forward_->kv_bytes();
    }
    ~CudaDevice() override { (void)cudaStreamSynchronize(stream_.get()); }

    const DeviceInfo& info() const override { return info_; }

    Status begin(std::span<const StepSequence> step) override {
        Status fine = check_fits(step);
        if (!fine) return fine;
        try {
            plan_.lay_out(step);
            if (step.empty()) return Done{};
            plan_.send_ahead(forward_->page_table(), forward_->page_stride(), stream_.get());
            run_step();
            check(cudaEventRecord(done_.get(), stream_.get()));
        } catch (const CudaFailure& failure) {
            return Error(Errc::device_failed, failure.what());
        }
        return Done{};
    }

    Result<std::span<const Sampled>> finish() override {
        sampled_.clear();
        if (plan_.sizes().tokens == 0) return std::span<const Sampled>(sampled_);
        cudaError_t result = cudaEventSynchronize(done_.get());
        if (result != cudaSuccess)
            return Error(Errc::device_failed,
                         std::string("the GPU's step failed: ") + cudaGetErrorString(result));
        for (int i = 0; i < plan_.samples(); ++i) sampled_.push_back(sampled(i));
        return std::span<const Sampled>(sampled_);
    }

private:
    // As every device, and what the page table holds.
    Status check_fits(std::span<const StepSequence> step) const {
        for (const StepSequence& sequence : step)
            if (sequence.slot < 0 || sequence.slot >= limits_.sequences_max ||
                sequence.pages.size() > static_cast<std::size_t>(forward_->page_stride()))
                return Error(Errc::internal, "a step's tokens have no KV pages");
        return check_step(step, {.pages = info_.pages,
                                 .page_tokens = page_positions,
                                 .tokens_max = limits_.tokens_max,
                                 .sequences_max = limits_.sequences_max,
                                 .vocab = vocab_});
    }

    // A step in which all decode is replayed from its graph; others are launched one by one.
    void run_step() {
        const StepSizes& sizes = plan_.sizes();
        if (!plan_.plain()) return enqueue();
        if (graphs_.size() >= graphs_max) graphs_.clear();
        CapturedStep& captured = graphs_[{sizes.tokens, sizes.context}];
        if (!std::exchange(captured.seen, true)) return enqueue();
        if (!captured.graph) captured.graph = capture();
        check(cudaGraphLaunch(captured.graph.get(), stream_.get()));
    }

    void enqueue() {
        plan_.upload(forward_->page_table(), forward_->page_stride(), stream_.get());
        forward_->run(plan_.on_device(), plan_.sizes(), stream_.get());
        if (plan_.sizes().samples > 0) choose_tokens();
    }

    GraphExec capture() {
        check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
        enqueue();
        cudaGraph_t graph = nullptr;
        check(cudaStreamEndCapture(stream_.get(), &graph));
        const Graph owned(graph);
        cudaGraphExec_t exec = nullptr;
        check(cudaGraphInstantiate(&exec, graph, 0));
        return GraphExec(exec);
    }

    void choose_tokens() {
        SampleArguments a;
        a.logits = forward_->logits();
        a.stride = vocab_;
        a.V = vocab_;
        a.S = plan_.sizes().samples;
        a.params = plan_.params_on_device();
        a.adjustments = plan_.adjustments_on_device();
        a.any_adjusted = plan_.any_adjusted();
        a.top_logprobs = plan_.top_logprobs();
        a.results = static_cast<SampleResult*>(results_.get());
        a.top = static_cast<TopLogprob*>(top_.get());
        a.last_token = plan_.last_token();
        a.workspace = workspace_.get();
        cuda::sample(a, stream_.get());
        const auto count = static_cast<std::size_t>(a.S);
        check(cudaMemcpyAsync(results_host_.get(), results_.get(), count * sizeof(SampleResult),
                              cudaMemcpyDeviceToHost, stream_.get()));
        if (a.top_logprobs > 0)
            check(cudaMemcpyAsync(top_host_.get(), top_.get(),
                                  count * top_logprobs_max * sizeof(TopLogprob),
                                  cudaMemcpyDeviceToHost, stream_.get()));
    }

    Sampled sampled(int index) const {
        const StepSequence& sequence = *plan_.sampling()[static_cast<std::size_t>(index)];
        const SampleResult& result = static_cast<const SampleResult*>(results_host_.get())[index];
        Sampled out;
        out.slot = sequence.slot;
        out.token = result.token;
        out.failed = result.failed != 0;
        out.signals = {result.logprob, result.entropy, result.margin};
        const int wanted = sequence.sampling->top_logprobs;
        if (wanted < 0) return out;
        out.logprobs.chosen = {result.token, result.logprob, {}};
        const TopLogprob* top = static_cast<const TopLogprob*>(top_host_.get()) +
                                std::ptrdiff_t{index} * top_logprobs_max;
        for (int i = 0; i < wanted && i < vocab_; ++i)
            out.logprobs.top.push_back({top[i].token, top[i].logprob, {}});
        return out;
    }

    Stream stream_;
    int vocab_;
    ForwardLimits limits_;
    DeviceInfo info_;
    std::unique_ptr<Forward> forward_;
    StepPlan plan_;
    Event done_;
    DeviceMemory workspace_, results_, top_;
    PinnedMemory results_host_, top_host_;
    std::map<std::pair<int, int>, CapturedStep> graphs_;
    std::vector<Sampled> sampled_;
};

Status check_options(const EngineOptions& options, const NetworkDescription& network) {
    const Status checks[] = {
        check_range("sequences_max", options.sequences_max, 1, sequences_limit),
        check_range("prefill_tokens_max", options.prefill_tokens_max, 1, tokens_limit),
        check_range("context_tokens_max", options.context_tokens_max, 0, network.context_tokens),
        check_range("kv_tokens", options.kv_tokens, 0, std::int64_t{1} << 31),
    };
    for (const Status& status : checks)
        if (!status) return status;
    if (options.kv_format != "bf16" && options.kv_format != "fp8")
        return Error(Errc::bad_config,
                     "kv_format must be 'bf16' or 'fp8', got '" + options.kv_format + "'");
    if (network.head_dim != 64 && network.head_dim != 128)
        return Error(Errc::bad_file, "heads of " + std::to_string(network.head_dim) +
                                         " dims; the CUDA device takes 64 and 128");
    return Done{};
}

Status find_gpu() {
    int count = 0;
    cudaError_t result = cudaGetDeviceCount(&count);
    if (result != cudaSuccess || count == 0)
        return Error(Errc::bad_config,
                     std::string("device 'cuda' asked for, but no GPU can be used: ") +
                         cudaGetErrorString(result == cudaSuccess ? cudaErrorNoDevice : result));
    cudaDeviceProp card{};
    check(cudaGetDeviceProperties(&card, 0));
    if (card.major < 8)
        return Error(Errc::bad_config, std::string(card.name) + " has compute capability " +
                                           std::to_string(card.major) + "." +
                                           std::to_string(card.minor) + "; 8.0 or above is needed");
    check(cudaSetDevice(0));
    return Done{};
}

ForwardLimits limits_of(const EngineOptions& options, const NetworkDescription& network) {
    ForwardLimits limits;
    limits.tokens_max = options.prefill_tokens_max + options.sequences_max;
    limits.sequences_max = options.sequences_max;
    limits.context_max =
        options.context_tokens_max > 0 ? options.context_tokens_max : network.context_tokens;
    limits.kv_tokens = options.kv_tokens;
    limits.kv_format = options.kv_format == "fp8" ? KvFormat::fp8_e4m3 : KvFormat::bf16;
    return limits;
}

}  // namespace

Result<std::unique_ptr<Device>> open_cuda_device(const EngineOptions& options,
                                                 std::shared_ptr<const ModelFile> file,
                                                 const NetworkDescription& network) {
    Status fine = check_options(options, network);
    if (!fine) return fine.error();
    try {
        fine = find_gpu();
        if (!fine) return fine.error();
        Stream stream = make_stream();
        const ForwardLimits limits = limits_of(options, network);
        auto forward = Forward::open(*file, network, limits, stream.get());
        if (!forward) return forward.error();
        std::unique_ptr<Device> device =
            std::make_unique<CudaDevice>(std::move(stream), network, limits, *std::move(forward));
        const DeviceInfo& info = device->info();
        log_info("cuda_memory_plan",
                 {{"weights_mib", std::to_string(info.weight_bytes >> 20)},
                  {"kv_mib", std::to_string(info.kv_bytes >> 20)},
                  {"kv_tokens", std::to_string(info.pages * info.page_tokens)}});
        return device;
    } catch (const CudaFailure& failure) {
        return Error(Errc::device_failed, failure.what());
    }
}

}  // namespace sluice
