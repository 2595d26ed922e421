#include "engine/cuda/launch.cuh"
#include "engine/cuda/sample.h"
#include "engine/cuda/sample_sum.cuh"

namespace sluice::cuda {
namespace {

constexpr int pieces = 128;  // a row is summed up in so many blocks
constexpr int sum_threads = 256;
constexpr int draw_threads = 1024;
constexpr int bins = 2048;
constexpr float bin_width = 1.0F / 64;  // nats: the first histogram reaches 32 nats down
constexpr float fine_width = bin_width / bins;
constexpr double whole = 0x1p40;  // the best token's weight
constexpr float greedy_below = 1e-5F;

using Weight = unsigned long long;

__global__ void __launch_bounds__(sum_threads)
    sum_kernel(const float* logits, int stride, int V, RowSum* sums) {
    wait_for_previous();
    let_next_start();
    __shared__ RowSum shared[sum_threads / 32];
    const int length = (V + pieces - 1) / pieces;
    const int begin = static_cast<int>(blockIdx.x) * length;
    const RowSum sum = row_sum<sum_threads>(logits + std::size_t{blockIdx.y} * stride, begin,
                                            min(begin + length, V), shared);
    if (threadIdx.x == 0) sums[blockIdx.y * pieces + blockIdx.x] = sum;
}

// The sum of a row's pieces, in every thread of a block.
__device__ RowSum whole_row(const RowSum* sums, RowSum* shared) {
    RowSum sum;
    if (threadIdx.x < pieces) sum = sums[threadIdx.x];
    return block_sum<draw_threads>(sum, shared);
}

// The best of a row, one after another: `count` passes, for the few who ask.
__global__ void __launch_bounds__(draw_threads)
    top_kernel(const float* logits, int stride, int V, const SampleParams* params,
               const RowSum* sums, TopLogprob* top) {
    wait_for_previous();
    const int count = params[blockIdx.x].top_logprobs;
    const float* row = logits + std::size_t{blockIdx.x} * stride;
    __shared__ RowSum shared[draw_threads / 32];
    const RowSum sum = whole_row(sums + blockIdx.x * pieces, shared);
    const float base = sum.top + logf(sum.mass);
    __shared__ float best_logit[draw_threads / 32];
    __shared__ int best_token[draw_threads / 32];
    float bar = INFINITY;
    int bar_token = -1;
    for (int n = 0; n < count; ++n) {
        float logit = -INFINITY;
        int token = 0x7FFFFFFF;
        for (int i = threadIdx.x; i < V; i += draw_threads) {
            const float l = row[i];
            const bool left = l < bar || (l == bar && i > bar_token);
            if (left && (l > logit || token == 0x7FFFFFFF)) {
                logit = l;
                token = i;
            }
        }
        for (int step = 1; step < 32; step *= 2) {
            const float other = __shfl_xor_sync(~0U, logit, step);
            const int id = __shfl_xor_sync(~0U, token, step);
            if (other > logit || (other == logit && id < token)) {
                logit = other;
                token = id;
            }
        }
        __syncthreads();
        if (threadIdx.x % 32 == 0) {
            best_logit[threadIdx.x / 32] = logit;
            best_token[threadIdx.x / 32] = token;
        }
        __syncthreads();
        bar = best_logit[0];
        bar_token = best_token[0];
        for (int i = 1; i < draw_threads / 32; ++i)
            if (best_logit[i] > bar || (best_logit[i] == bar && best_token[i] < bar_token)) {
                bar = best_logit[i];
                bar_token = best_token[i];
            }
        if (threadIdx.x == 0) top[blockIdx.x * top_logprobs_max + n] = {bar_token, bar - base};
    }
}

// Keeps the raw logit of an adjusted token where its bias was: the chosen token's logprob is told
// from raw logits.
__global__ void adjust_kernel(float* logits, int stride, int V, const SampleParams* params,
                              LogitAdjust* adjustments) {
    wait_for_previous();
    const SampleParams p = params[blockIdx.x];
    float* row = logits + std::size_t{blockIdx.x} * stride;
    for (int i = p.adjust_begin + static_cast<int>(threadIdx.x); i < p.adjust_end;
         i += static_cast<int>(blockDim.x)) {
        const LogitAdjust a = adjustments[i];
        if (a.token < 0 || a.token >= V) continue;
        adjustments[i].bias = row[a.token];
        const float biased = row[a.token] + a.bias;
        row[a.token] = (biased > 0 ? biased / a.repetition : biased * a.repetition) - a.subtract;
    }
}

struct Cutoff {
    float depth;  // what lies at most this far below the top, in units of temperature, is kept
    Weight mass;
};

__device__ Weight weight_of(float depth) {
    return static_cast<Weight>(static_cast<double>(__expf(-depth)) * whole);
}

__device__ Weight block_total(Weight mine, Weight* shared) {
    for (int step = 16; step > 0; step /= 2) mine += __shfl_xor_sync(~0U, mine, step);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = mine;
    __syncthreads();
    Weight total = 0;
    for (int i = 0; i < draw_threads / 32; ++i) total += shared[i];
    return total;
}

// A row seen as depths below its top, in units of temperature.
struct Row {
    const float* logits;
    int V;
    float top;
    float scale;
    __device__ float depth(int i) const { return (top - logits[i]) * scale; }
};

struct Shared {
    Weight mass[bins];
    unsigned count[bins];
    Weight warp[draw_threads / 32];
    unsigned warp_count[draw_threads / 32];
    Weight before_mass;
    unsigned before_count;
    int bin;
};

// Inclusive sums over the block's threads, in their order, and the block's total.
template <class T>
__device__ T running_sum(T mine, T* warp_total, T* total) {
    T upto = mine;
    for (int step = 1; step < 32; step *= 2) {
        const T other = __shfl_up_sync(~0U, upto, step);
        if (static_cast<int>(threadIdx.x % 32) >= step) upto += other;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 31) warp_total[threadIdx.x / 32] = upto;
    __syncthreads();
    T before = 0;
    *total = 0;
    for (int i = 0; i < draw_threads / 32; ++i) {
        if (i == static_cast<int>(threadIdx.x / 32)) before = *total;
        *total += warp_total[i];
    }
    return before + upto;
}

// The first bin, from the top, where the running mass reaches `wanted_mass` or the running count
// `wanted_count`; the last if none. `mass` and `count` lie above the histogram.
__device__ void find_bin(Shared& s, Weight mass, unsigned count, Weight wanted_mass,
                         unsigned wanted_count) {
    static_assert(bins == 2 * draw_threads);
    const int bin = 2 * static_cast<int>(threadIdx.x);
    const Weight masses[2] = {s.mass[bin], s.mass[bin + 1]};
    const unsigned counts[2] = {s.count[bin], s.count[bin + 1]};
    Weight mass_total = 0;
    unsigned count_total = 0;
    mass += running_sum(masses[0] + masses[1], s.warp, &mass_total) - masses[0] - masses[1];
    count += running_sum(counts[0] + counts[1], s.warp_count, &count_total) - counts[0] - counts[1];
    for (int i = 0; i < 2; ++i) {
        const bool before = mass < wanted_mass && count < wanted_count;
        const bool reached = mass + masses[i] >= wanted_mass || count + counts[i] >= wanted_count;
        if (before && (reached || bin + i == bins - 1)) {
            s.bin = bin + i;
            s.before_mass = mass;
            s.before_count = count;
        }
        mass += masses[i];
        count += counts[i];
    }
    __syncthreads();
}

__device__ void histogram(const Row& row, float begin, float width, float limit, Shared& s) {
    for (int i = threadIdx.x; i < bins; i += draw_threads) {
        s.mass[i] = 0;
        s.count[i] = 0;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < row.V; i += draw_threads) {
        const float depth = row.depth(i);
        if (!(depth >= begin && depth <= limit)) continue;
        const int bin = static_cast<int>((depth - begin) / width);
        if (bin >= bins) continue;
        atomicAdd(&s.mass[bin], weight_of(depth));
        atomicAdd(&s.count[bin], 1U);
    }
    __syncthreads();
}

// Where the running mass or count, counted from the top, is reached: two histograms, the second
// over the bin of the first in which it happens.
__device__ Cutoff cut(const Row& row, Weight wanted_mass, unsigned wanted_count, float limit,
                      Shared& s) {
    histogram(row, 0.0F, bin_width, limit, s);
    find_bin(s, 0, 0, wanted_mass, wanted_count);
    const float begin = static_cast<float>(s.bin) * bin_width;
    const Weight mass = s.before_mass;
    const unsigned count = s.before_count;
    __syncthreads();
    histogram(row, begin, fine_width, limit, s);
    find_bin(s, mass, count, wanted_mass, wanted_count);
    const Cutoff out{fminf(limit, begin + static_cast<float>(s.bin + 1) * fine_width),
                     s.before_mass + s.mass[s.bin]};
    __syncthreads();
    return out;
}

__device__ Weight mass_of(const Row& row, float limit, Shared& s) {
    Weight mine = 0;
    for (int i = threadIdx.x; i < row.V; i += draw_threads) {
        const float depth = row.depth(i);
        if (depth <= limit) mine += weight_of(depth);
    }
    return block_total(mine, s.warp);
}

// The token at `uniform` of the mass that is kept. A thread owns every draw_threads-th token; the
// one whose share holds the target walks its share again.
__device__ void draw_token(const Row& row, float limit, std::uint64_t draw, Shared& s,
                           std::int32_t* token) {
    Weight mine = 0;
    for (int i = threadIdx.x; i < row.V; i += draw_threads) {
        const float depth = row.depth(i);
        if (depth <= limit) mine += weight_of(depth);
    }
    Weight total = 0;
    const Weight upto = running_sum(mine, s.warp, &total);
    Weight target = __umul64hi(draw, total);  // uniform in [0, total)
    if (target < upto - mine || target >= upto) return;
    target -= upto - mine;
    for (int i = threadIdx.x; i < row.V; i += draw_threads) {
        const float depth = row.depth(i);
        if (!(depth <= limit)) continue;
        const Weight weight = weight_of(depth);
        if (target < weight) {
            *token = i;
            return;
        }
        target -= weight;
    }
}

// How deep tokens are kept after min_p, top_k and top_p.
__device__ float kept_depth(const Row& row, const SampleParams& p, Shared& s) {
    float limit = 27.7F;  // exp(-27.7) is below 2^-40
    if (p.min_p > 0) limit = fminf(limit, -logf(p.min_p));
    Weight mass = 0;
    if (p.top_k > 0 && p.top_k < row.V) {
        const Cutoff by_count = cut(row, ~Weight{0}, static_cast<unsigned>(p.top_k), limit, s);
        limit = by_count.depth;
    }
    if (p.top_p >= 1.0F) return limit;
    mass = mass_of(row, limit, s);
    const auto wanted =
        static_cast<Weight>(static_cast<double>(mass) * static_cast<double>(p.top_p) * (1 - 1e-6));
    return cut(row, wanted, ~0U, limit, s).depth;
}

// Of a token before adjustments, which all threads of the block look through.
struct RawLogits {
    float chosen, think_end;
};
__device__ void find_raw(const SampleArguments& a, const SampleParams& p, const float* row,
                         int chosen, RawLogits* raw) {
    const bool ends = p.think_end >= 0 && p.think_end < a.V;
    if (threadIdx.x == 0) *raw = {row[chosen], ends ? row[p.think_end] : 0.0F};
    __syncthreads();
    for (int i = p.adjust_begin + static_cast<int>(threadIdx.x); i < p.adjust_end;
         i += draw_threads) {
        const LogitAdjust adjust = a.adjustments[i];
        if (adjust.token == chosen) raw->chosen = adjust.bias;
        if (ends && adjust.token == p.think_end) raw->think_end = adjust.bias;
    }
    __syncthreads();
}

__global__ void __launch_bounds__(draw_threads) draw_kernel(SampleArguments a, const RowSum* sums) {
    wait_for_previous();
    let_next_start();
    __shared__ Shared s;
    __shared__ RowSum shared[draw_threads / 32];
    __shared__ std::int32_t token;
    __shared__ RawLogits raw;
    const SampleParams p = a.params[blockIdx.x];
    const RowSum sum = whole_row(sums + blockIdx.x * pieces, shared);
    Row row{a.logits + std::size_t{blockIdx.x} * a.stride, a.V, sum.top, 0.0F};
    if (threadIdx.x == 0) token = sum.best;
    if (p.adjust_end > p.adjust_begin) {
        const RowSum adjusted = row_sum<draw_threads>(row.logits, 0, a.V, shared);
        row.top = adjusted.top;
        if (threadIdx.x == 0) token = adjusted.best;
    }
    __syncthreads();
    const bool failed = sum.bad != 0 || sum.best >= a.V || token >= a.V;
    if (!failed && p.temperature >= greedy_below && p.top_k != 1) {
        row.scale = 1.0F / p.temperature;
        const float limit = kept_depth(row, p, s);
        draw_token(row, limit, p.draw, s, &token);
        __syncthreads();
    }
    const int chosen = failed ? 0 : token;
    find_raw(a, p, row.logits, chosen, &raw);
    if (threadIdx.x != 0) return;
    const auto logprob_of = [&](float logit) { return logit - sum.top - logf(sum.mass); };
    SampleResult out;
    out.token = chosen;
    out.logprob = logprob_of(raw.chosen);
    out.think_end_logprob = p.think_end >= 0 && p.think_end < a.V ? logprob_of(raw.think_end) : NAN;
    out.probe = a.probe != nullptr ? a.probe[blockIdx.x] : NAN;
    out.entropy = logf(sum.mass) - sum.moment / sum.mass;
    out.margin = sum.second == -FLT_MAX ? 0.0F : sum.top - sum.second;
    out.failed = failed ? 1 : 0;
    a.results[blockIdx.x] = out;
    if (p.slot >= 0) a.last_token[p.slot] = out.token;
}

std::size_t sums_bytes(int S) { return static_cast<std::size_t>(S) * pieces * sizeof(RowSum); }

}  // namespace

std::size_t sample_workspace_bytes(int S) { return sums_bytes(S); }

void sample(const SampleArguments& a, cudaStream_t stream) {
    auto* sums = static_cast<RowSum*>(a.workspace);
    const auto S = static_cast<unsigned>(a.S);
    launch(sum_kernel, dim3(pieces, S), sum_threads, 0, stream, a.logits, a.stride, a.V, sums);
    if (a.top_logprobs > 0)
        launch(top_kernel, S, draw_threads, 0, stream, a.logits, a.stride, a.V, a.params, sums,
               a.top);
    if (a.any_adjusted)
        launch(adjust_kernel, S, 256, 0, stream, a.logits, a.stride, a.V, a.params, a.adjustments);
    launch(draw_kernel, S, draw_threads, 0, stream, a, sums);
}

}  // namespace sluice::cuda
