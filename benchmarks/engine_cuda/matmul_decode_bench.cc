// How fast matmul_decode reads its weights: each product of DeepSeek-R1-Distill-Qwen-32B alone, in
// a graph of launches over more copies of its weights than L2 holds, and the whole chain of 64
// layers and the output projection, each with weights of its own.
// More than eight tokens go through matmul_warpgroup where it takes them, their arrangement
// counted; up to eight through matmul_codes, their coding counted unless coded=ready.
//   matmul_decode_bench [q4_k_m|q8_0|q4_0|q4_1|q5_k|q6_k|bf16|f16|fp8 ...] [T=1,8,64] [chain=0]
//                       [warpgroup=0] [coded=0|ready]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/engine_cuda/read_ceiling.h"
#include "engine/cuda/arranged.h"
#include "engine/cuda/coded.h"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/matmul_warpgroup.h"
#include "tests/cuda/weight_planes.h"

namespace sluice::cuda {
namespace {

constexpr int hidden = 5120;
constexpr int kv_width = 1024;
constexpr int ffn = 27648;
constexpr int vocabulary = 152064;
constexpr int layers = 64;
constexpr std::size_t rotation_bytes = 400'000'000;

// Rows that stand for all rows of a matrix of this format and width.
class RowSource {
public:
    const DeviceBuffer<char>& rows(WeightFormat format, int columns) {
        auto& buffer = known_[{format, columns}];
        if (!buffer) {
            const RandomMatrix matrix(format, rows_made, columns, random_);
            buffer.emplace(std::vector<char>(matrix.blocks.begin(), matrix.blocks.end()));
        }
        return *buffer;
    }
    static constexpr int rows_made = 64;

private:
    std::mt19937 random_{1};
    std::map<std::pair<WeightFormat, int>, std::optional<DeviceBuffer<char>>> known_;
};

// Memory for weights, given out from its start again and again.
class Arena {
public:
    explicit Arena(std::size_t bytes) : bytes_(bytes), memory_(take_device_memory(bytes)) {
        if (!memory_) {
            std::puts("too little device memory for this bench");
            std::exit(1);
        }
    }
    void reset() { used_ = 0; }
    Matrix make(WeightFormat format, int rows, int columns, RowSource& source) {
        const auto bytes = static_cast<std::size_t>(matrix_bytes(format, rows, columns));
        if (used_ + bytes > bytes_) {
            std::puts("the bench's arena is too small");
            std::exit(1);
        }
        Matrix out{format, rows, columns, static_cast<std::uint8_t*>(memory_.get()) + used_,
                   nullptr};
        used_ += (bytes + 255) / 256 * 256;
        const auto* blocks =
            reinterpret_cast<const std::uint8_t*>(source.rows(format, columns).get());
        for (int row = 0; row < rows; row += RowSource::rows_made)
            repack(out, blocks, row, std::min(RowSource::rows_made, rows - row), {}, nullptr);
        return out;
    }
    void* memory() const { return memory_.get(); }
    std::size_t bytes() const { return bytes_; }

private:
    std::size_t bytes_;
    std::size_t used_ = 0;
    DeviceMemory memory_;
};

struct Call {
    std::vector<Product> products;
    int out_stride = 0;
    Into into = Into::store;
    float scale = 1.0F;
    std::size_t bytes() const {
        std::int64_t sum = 0;
        for (const Product& product : products)
            sum += matrix_bytes(product.matrix.format, product.matrix.rows, product.matrix.columns);
        return static_cast<std::size_t>(sum);
    }
};

// Which format each matrix of a layer has; even layers of Q4_K_M hold more of V and down.
struct Recipe {
    std::string name;
    WeightFormat most;
    WeightFormat better;  // V, down of even layers, and the output projection
};

enum class Coded { no, yes, ready };

class Bench {
public:
    Bench(std::size_t arena_bytes, std::vector<int> token_counts, bool chain, bool warpgroups,
          Coded coded)
        : arena_(arena_bytes),
          token_counts_(std::move(token_counts)),
          chain_(chain),
          warpgroups_(warpgroups),
          coded_(coded),
          x_(random_activations(tokens_most())),
          arranged_(arranged_bytes(warpgroup_rows(tokens_most()), ffn)),
          coded_x_(coded_size(coded_tokens_max, ffn)),
          out_(static_cast<std::size_t>(tokens_most()) * vocabulary),
          workspace_(matmul_workspace_bytes()),
          warpgroup_workspace_(warpgroup_workspace_bytes()),
          stream_(make_stream()) {
        check(cudaMemset(out_.get(), 0, out_.bytes()));
        check(cudaMemset(workspace_.get(), 0, workspace_.bytes()));
        check(cudaMemset(arranged_.get(), 0, arranged_.bytes()));
        check(cudaMemset(coded_x_.get(), 0x35, coded_x_.bytes()));
        check(cudaMemset(warpgroup_workspace_.get(), 0, warpgroup_workspace_.bytes()));
        ceiling_ = read_ceiling(arena_.memory(), std::min<std::size_t>(arena_.bytes(), 8ULL << 30));
        std::printf("read ceiling %.0f GB/s\n", ceiling_ * 1e-9);
    }

    void run(const Recipe& recipe) {
        std::printf("\n%-8s %-8s %8s", recipe.name.c_str(), "product", "MB");
        for (int T : token_counts_) std::printf("   T=%-2d us  GB/s share", T);
        std::puts("");
        std::vector<double> layer(token_counts_.size(), 0.0);
        for (const char* name : {"qkv", "o", "gate_up", "down", "head"}) {
            const bool head = std::strcmp(name, "head") == 0;
            const bool mixed = recipe.most != recipe.better && !head;
            // Two layers out of two where the mix differs from layer to layer.
            const std::vector<double> us = one_product(recipe, name, mixed);
            for (std::size_t i = 0; i < us.size(); ++i) layer[i] += head ? us[i] / layers : us[i];
        }
        std::printf("%-8s %-8s %8s", "", "x64+head", "");
        for (double us : layer) std::printf("  %8.3f ms %11s", us * layers / 1000, "");
        std::puts("");
        if (chain_) whole_chain(recipe);
        std::fflush(stdout);
    }

    // Rates of what happens at load and in prefill, of a matrix as large as gate: bytes read and
    // written.
    void planes(WeightFormat format) {
        const std::int64_t bytes = matrix_bytes(format, ffn, hidden);
        auto* memory = static_cast<std::uint8_t*>(arena_.memory());
        const Matrix matrix{format, ffn, hidden, memory, nullptr};
        const double repack_us =
            once_us([&] { repack(matrix, memory + (1ULL << 30), 0, ffn, {}, stream_.get()); });
        const double number_us = once_us([&] {
            dequantise(matrix, 0, ffn, reinterpret_cast<f16*>(memory + (2ULL << 30)),
                       stream_.get());
        });
        std::printf("format %d: repack %.0f GB/s of the file, dequantise %.0f GB/s\n",
                    static_cast<int>(format), static_cast<double>(bytes) / repack_us * 1e-3,
                    static_cast<double>(bytes + std::int64_t{2} * ffn * hidden) / number_us * 1e-3);
    }

private:
    int tokens_most() const { return std::ranges::max(token_counts_); }

    void multiply(const Call& call, int T) {
        if (coded_ != Coded::no && T <= coded_tokens_max && matmul_codes_takes(call.products)) {
            if (coded_ == Coded::yes)
                code_activations(reinterpret_cast<const f16*>(x_.get()), T,
                                 call.products.front().matrix.columns, coded_x_.get(),
                                 stream_.get());
            return matmul_codes(call.products, {coded_x_.get()}, T, out_.get(), call.out_stride,
                                call.into, call.scale, workspace_.get(), {}, stream_.get());
        }
        if (!warpgroups_ || T <= 8 || !warpgroup_takes(call.products))
            return matmul_decode(call.products, x_.get(), T, out_.get(), call.out_stride, call.into,
                                 call.scale, workspace_.get(), {}, stream_.get());
        arrange(reinterpret_cast<const f16*>(x_.get()), arranged_.get(), T, warpgroup_rows(T),
                call.products.front().matrix.columns, stream_.get());
        matmul_warpgroup(call.products, arranged_.get(), T, out_.get(), call.out_stride, call.into,
                         false, call.scale, warpgroup_workspace_.get(), {}, stream_.get());
    }

    template <class Work>
    double once_us(Work work) {
        Event begin = make_event(cudaEventDefault);
        Event end = make_event(cudaEventDefault);
        float best_ms = 1e9F;
        for (int i = 0; i < 5; ++i) {
            check(cudaEventRecord(begin.get(), stream_.get()));
            work();
            check(cudaEventRecord(end.get(), stream_.get()));
            check(cudaEventSynchronize(end.get()));
            float ms = 0;
            check(cudaEventElapsedTime(&ms, begin.get(), end.get()));
            best_ms = std::min(best_ms, ms);
        }
        return best_ms * 1000;
    }

    // Valid as f16 and as bf16: of either sign, below 2 in size.
    static std::vector<std::uint16_t> random_activations(int T) {
        std::mt19937 random(2);
        std::vector<std::uint16_t> out(static_cast<std::size_t>(T) * ffn);
        for (std::uint16_t& bits : out)
            bits = static_cast<std::uint16_t>((random() & 0x83FF) | 0x3800);
        return out;
    }

    Call make_call(const Recipe& recipe, const std::string& name, int index) {
        const WeightFormat some = index % 2 == 0 ? recipe.better : recipe.most;
        const auto make = [&](WeightFormat format, int rows, int columns) {
            return arena_.make(format, rows, columns, rows_);
        };
        if (name == "qkv")
            return {{{make(recipe.most, hidden, hidden), 0},
                     {make(recipe.most, kv_width, hidden), hidden},
                     {make(some, kv_width, hidden), hidden + kv_width}},
                    hidden + 2 * kv_width};
        if (name == "o") return {{{make(recipe.most, hidden, hidden), 0}}, hidden, Into::add};
        if (name == "gate_up")
            return {{{make(recipe.most, ffn, hidden), 0}, {make(recipe.most, ffn, hidden), 0}},
                    ffn,
                    Into::swiglu};
        if (name == "down")
            return {{{make(some, hidden, ffn), 0}}, hidden, Into::add, swiglu_scale};
        return {{{make(recipe.better, vocabulary, hidden), 0}}, vocabulary};
    }

    std::vector<double> one_product(const Recipe& recipe, const std::string& name, bool mixed) {
        arena_.reset();
        std::vector<Call> calls;
        std::size_t bytes = 0;
        while (bytes < rotation_bytes || (mixed && calls.size() % 2 != 0)) {
            calls.push_back(make_call(recipe, name, static_cast<int>(calls.size())));
            bytes += calls.back().bytes();
        }
        const double each = static_cast<double>(bytes) / static_cast<double>(calls.size());
        std::printf("%-8s %-8s %8.1f", "", name.c_str(), each * 1e-6);
        std::vector<double> all;
        for (int T : token_counts_) {
            const double us = time_us(calls, T) / static_cast<double>(calls.size());
            std::printf("  %8.2f %5.0f  %.3f", us, each / us * 1e-3, each / us * 1e6 / ceiling_);
            all.push_back(us);
        }
        std::puts("");
        return all;
    }

    void whole_chain(const Recipe& recipe) {
        arena_.reset();
        std::vector<Call> calls;
        std::size_t bytes = 0;
        for (int layer = 0; layer < layers; ++layer)
            for (const char* name : {"qkv", "o", "gate_up", "down"})
                calls.push_back(make_call(recipe, name, layer));
        calls.push_back(make_call(recipe, "head", 0));
        for (const Call& call : calls) bytes += call.bytes();
        std::printf("%-8s %-8s %8.0f", "", "chain", static_cast<double>(bytes) * 1e-6);
        for (int T : token_counts_) {
            const double us = time_us(calls, T);
            std::printf("  %8.3f ms %4.0f %.3f", us / 1000, static_cast<double>(bytes) / us * 1e-3,
                        static_cast<double>(bytes) / us * 1e6 / ceiling_);
        }
        std::puts("");
    }

    // One pass over the calls, median of nine replays of a graph of them.
    double time_us(const std::vector<Call>& calls, int T) {
        cudaGraph_t captured = nullptr;
        check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
        for (const Call& call : calls) multiply(call, T);
        check(cudaStreamEndCapture(stream_.get(), &captured));
        const Graph graph(captured);
        cudaGraphExec_t made = nullptr;
        check(cudaGraphInstantiate(&made, graph.get(), 0));
        const GraphExec exec(made);
        Event begin = make_event(cudaEventDefault);
        Event end = make_event(cudaEventDefault);
        std::vector<double> times;
        for (int i = 0; i < 11; ++i) {
            check(cudaEventRecord(begin.get(), stream_.get()));
            check(cudaGraphLaunch(exec.get(), stream_.get()));
            check(cudaEventRecord(end.get(), stream_.get()));
            check(cudaEventSynchronize(end.get()));
            float ms = 0;
            check(cudaEventElapsedTime(&ms, begin.get(), end.get()));
            if (i >= 2) times.push_back(ms * 1000);
        }
        std::nth_element(times.begin(), times.begin() + 4, times.end());
        return times[4];
    }

    Arena arena_;
    RowSource rows_;
    std::vector<int> token_counts_;
    bool chain_;
    bool warpgroups_;
    Coded coded_;
    DeviceBuffer<std::uint16_t> x_;
    DeviceBuffer<std::uint8_t> arranged_;
    DeviceBuffer<std::uint8_t> coded_x_;
    DeviceBuffer<float> out_;
    DeviceBuffer<std::uint8_t> workspace_;
    DeviceBuffer<std::uint8_t> warpgroup_workspace_;
    Stream stream_;
    double ceiling_ = 0;
};

const std::vector<Recipe>& recipes() {
    using enum WeightFormat;
    static const std::vector<Recipe> all = {
        {"q4_k_m", q4_k, q6_k}, {"q8_0", q8_0, q8_0},   {"fp8", fp8_e4m3, fp8_e4m3},
        {"bf16", bf16, bf16},   {"f16", f16, f16},      {"q4_0", q4_0, q4_0},
        {"q4_1", q4_1, q4_1},   {"q5_k_m", q5_k, q6_k}, {"q6_k", q6_k, q6_k}};
    return all;
}

}  // namespace
}  // namespace sluice::cuda

int main(int argc, char** argv) {
    using namespace sluice::cuda;
    std::vector<std::string> names;
    std::vector<int> token_counts = {1, 8, 16, 32, 64};
    bool chain = true;
    bool warpgroups = true;
    Coded coded = Coded::yes;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "chain=0") {
            chain = false;
        } else if (word == "warpgroup=0") {
            warpgroups = false;
        } else if (word == "coded=0") {
            coded = Coded::no;
        } else if (word == "coded=ready") {
            coded = Coded::ready;
        } else if (word.starts_with("T=")) {
            token_counts.clear();
            for (std::size_t at = 1; at != std::string::npos; at = word.find(',', at + 1))
                token_counts.push_back(std::atoi(word.c_str() + at + 1));
        } else {
            names.push_back(word);
        }
    }
    if (names.empty()) names = {"q4_k_m"};
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0));
    std::printf("%s\n", properties.name);
    std::size_t arena = 3ULL << 30;
    if (chain) {
        std::size_t available = 0;
        std::size_t total = 0;
        check(cudaMemGetInfo(&available, &total));
        arena = available - (1ULL << 30);
    }
    Bench bench(arena, token_counts, chain, warpgroups, coded);
    for (WeightFormat format : all_weight_formats())
        if (!reads_bf16(format)) bench.planes(format);
    for (const std::string& name : names)
        for (const Recipe& recipe : recipes())
            if (recipe.name == name) bench.run(recipe);
    return 0;
}
