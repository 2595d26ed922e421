// Decode attention: a block reads one piece of one sequence's context for one kv head. Each of its
// warps walks its own steps of 16 keys through its own ring in shared memory, so warps wait for no
// one until the piece's end. Keys are the rows of a product whose columns are the group's query
// heads; values transposed are the rows of the second. The last block of a sequence's head to
// finish adds up the pieces, in their order.
#include <algorithm>

#include "engine/cuda/attention.cuh"
#include "engine/cuda/launch.cuh"

namespace sluice::cuda {
namespace {

constexpr int decode_warps = 4;
constexpr int decode_threads = decode_warps * 32;
constexpr int step_keys = 16;
constexpr int pieces_max = 32;
constexpr int piece_min = 128;  // positions; a multiple of a page
constexpr int kv_heads_max = 64;
constexpr int group_max = 16;
constexpr std::size_t counter_bytes = sizeof(unsigned) * decode_sequences_max * kv_heads_max;

// Positions a piece, of a context of so many: of it alone, and at most pieces_max pieces.
__host__ __device__ inline int piece_length(int context) {
    const int least = (context + pieces_max - 1) / pieces_max;
    const int pages = (least + page_positions - 1) / page_positions;
    return pages * page_positions < piece_min ? piece_min : pages * page_positions;
}
inline int pieces_of(int context_max) {
    return std::min(pieces_max, (context_max + piece_min - 1) / piece_min);
}

struct Decode {
    const bf16* query;
    void* out;
    bool out_bf16;
    KvLayer kv;
    StepTables tables;
    int group;          // query heads a kv head
    unsigned* arrived;  // [T, K]
    float2* stats;      // [T, K, pieces, group] maximum and sum of a piece
    float* partial;     // [T, K, pieces, group, D] weighted values over 2^maximum
};

template <int D, class Code, int Columns>
struct Ring {
    static constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
    static constexpr int half_bytes = step_keys * row_bytes;  // a step's keys; its values follow
    static constexpr int stages = half_bytes >= 4096 ? 3 : half_bytes >= 2048 ? 5 : 8;
    static constexpr int warp_bytes = stages * 2 * half_bytes;
    static constexpr int merge_stride = D + 4;  // floats; spreads columns over the banks
    static constexpr int merge_bytes = decode_warps * Columns * 8 * merge_stride * 4;
    static constexpr int bytes =
        decode_warps * warp_bytes > merge_bytes ? decode_warps* warp_bytes : merge_bytes;
    static_assert(bytes >= static_cast<int>(sizeof(float) * (3 * pieces_max + 1) * group_max));
};

// What one warp holds of its keys: 8 * Columns query heads, the running maximum and sum of heads
// 8 c + 2 t and + 1, and the weighted values [D, heads] as fragments.
template <int D, class Code, int Columns>
struct WarpState {
    using Operand = typename Codes<Code>::Operand;
    static constexpr bool narrow = sizeof(Code) == 1;
    std::uint32_t query[Columns][D / 16][2];
    float maximum[Columns][2], sum[Columns][2];
    float values[Columns][D / 16][4];

    __device__ void start(const bf16* heads, int group) {
        const int lane = threadIdx.x % 32;
        for (int c = 0; c < Columns; ++c) {
            const int head = c * 8 + lane / 4;
            const auto* words = reinterpret_cast<const __nv_bfloat162*>(heads + head * D);
            for (int k = 0; k < D / 16; ++k)
                for (int i = 0; i < 2; ++i) {
                    const int word = k * 8 + (narrow ? lane % 4 * 2 + i : lane % 4 + i * 4);
                    float2 q = {0.0F, 0.0F};
                    if (head < group) q = __bfloat1622float2(words[word]);
                    query[c][k][i] = two<Operand>(q.x, q.y);
                }
            for (int i = 0; i < 2; ++i) {
                maximum[c][i] = lowest_score;
                sum[c][i] = 0.0F;
            }
            for (int m = 0; m < D / 16; ++m)
                for (int i = 0; i < 4; ++i) values[c][m][i] = 0.0F;
        }
    }

    // scores[c] = keys (16 rows) times query (8 columns).
    __device__ void score(float (&scores)[Columns][4], std::uint32_t keys) const {
        constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
        const int lane = threadIdx.x % 32;
        for (int c = 0; c < Columns; ++c)
            for (int i = 0; i < 4; ++i) scores[c][i] = 0.0F;
#pragma unroll
        for (int chunk = 0; chunk < row_bytes / 16; chunk += 2) {
            std::uint32_t codes[4];
            load_matrices(codes, keys + swizzled<row_bytes>(lane % 16, chunk + lane / 16));
            if constexpr (narrow) {
                for (int h = 0; h < 2; ++h) {
                    const std::uint32_t a[4] = {
                        widened<0>(codes[2 * h]), widened<0>(codes[2 * h + 1]),
                        widened<1>(codes[2 * h]), widened<1>(codes[2 * h + 1])};
                    for (int c = 0; c < Columns; ++c)
                        multiply(scores[c], a, query[c][chunk + h][0], query[c][chunk + h][1],
                                 Operand{});
                }
            } else {
                for (int c = 0; c < Columns; ++c)
                    multiply(scores[c], codes, query[c][chunk / 2][0], query[c][chunk / 2][1],
                             Operand{});
            }
        }
    }

    // Keys of this step beyond `count` do not exist. Turns scores into weights, as the second
    // product's fragments.
    __device__ void weigh(std::uint32_t (&weights)[2], float (&scores)[4], int c, int count,
                          float scale) {
        const int row = threadIdx.x % 32 / 4;
        for (int i = 0; i < 4; ++i)
            scores[i] = row + i / 2 * 8 < count ? scores[i] * scale : -INFINITY;
        for (int i = 0; i < 2; ++i) {
            float top = fmaxf(scores[i], scores[i + 2]);
            for (int step = 4; step < 32; step *= 2)
                top = fmaxf(top, __shfl_xor_sync(~0U, top, step));
            if (top > maximum[c][i]) {
                const float factor = exp2f(maximum[c][i] - top);
                maximum[c][i] = top;
                sum[c][i] *= factor;
                for (int m = 0; m < D / 16; ++m) {
                    values[c][m][i] *= factor;
                    values[c][m][i + 2] *= factor;
                }
            }
            scores[i] = exp2f(scores[i] - maximum[c][i]);
            scores[i + 2] = exp2f(scores[i + 2] - maximum[c][i]);
            sum[c][i] += scores[i] + scores[i + 2];
        }
        weights[0] = transposed(packed(scores[0], scores[1], Operand{}));
        weights[1] = transposed(packed(scores[2], scores[3], Operand{}));
    }

    // values += value codes transposed (D rows) times weights (8 columns).
    __device__ void add(std::uint32_t codes_at, const std::uint32_t (&weights)[Columns][2]) {
        constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int chunk = 0; chunk < row_bytes / 16; chunk += 2) {
            std::uint32_t codes[4];
            if constexpr (narrow) {
                load_transposed(codes,
                                codes_at + swizzled<row_bytes>(lane % 16, chunk + lane / 16));
                for (int h = 0; h < 2; ++h) {
                    const std::uint32_t near = __byte_perm(codes[2 * h], 0, 0x3120);
                    const std::uint32_t far = __byte_perm(codes[2 * h + 1], 0, 0x3120);
                    const std::uint32_t a[4] = {widened<0>(near), widened<1>(near), widened<0>(far),
                                                widened<1>(far)};
                    for (int c = 0; c < Columns; ++c)
                        multiply(values[c][chunk + h], a, weights[c][0], weights[c][1], Operand{});
                }
            } else {
                const int row = lane % 8 + lane / 16 * 8;
                load_transposed(codes, codes_at + swizzled<row_bytes>(row, chunk + lane / 8 % 2));
                for (int c = 0; c < Columns; ++c)
                    multiply(values[c][chunk / 2], codes, weights[c][0], weights[c][1], Operand{});
            }
        }
    }

    // Which d a lane's element i of values[.][m] is.
    __device__ static int dim_of(int m, int i) {
        const int row = threadIdx.x % 32 / 4;
        return narrow ? m * 16 + row * 2 + i / 2 : m * 16 + row + i / 2 * 8;
    }
};

// Copies the step's keys and values that exist; the rest becomes zeros.
template <int D, class Code>
__device__ void copy_step(std::uint32_t to, const Decode& in, std::int64_t table, int k,
                          int position, int end) {
    constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
    constexpr int chunks = row_bytes / 16;
    constexpr int half_bytes = step_keys * row_bytes;
    const int page = in.tables.page_table[table + position / page_positions];
    const int skip = position % page_positions * row_bytes;
    const std::uint8_t* keys = in.kv.keys(page, k) + skip;
    const std::uint8_t* values = in.kv.values(page, k) + skip;
#pragma unroll
    for (int j = 0; j < step_keys * chunks / 32; ++j) {
        const int i = static_cast<int>(threadIdx.x) % 32 + j * 32;
        const bool there = position + i / chunks < end;
        const int offset = swizzled<row_bytes>(i / chunks, i % chunks);
        copy_16(to + offset, keys + i * 16, there);
        copy_16(to + half_bytes + offset, values + i * 16, there);
    }
}

// The warp's steps of the piece [begin, end), every decode_warps-th of them.
template <int D, class Code, int Columns>
__device__ void walk(WarpState<D, Code, Columns>& state, const Decode& in, std::uint32_t ring,
                     std::int64_t table, int k, int begin, int end) {
    using R = Ring<D, Code, Columns>;
    constexpr int stride = decode_warps * step_keys;
    const int from = begin + static_cast<int>(threadIdx.x) / 32 * step_keys;
    const float scale = in.kv.key_scale(k);
    int ahead = from;
#pragma unroll
    for (int stage = 0; stage < R::stages - 1; ++stage, ahead += stride) {
        if (ahead < end)
            copy_step<D, Code>(ring + stage * 2 * R::half_bytes, in, table, k, ahead, end);
        close_copies();
    }
    int stage = 0;
    for (int position = from; position < end; position += stride, ahead += stride) {
        wait_copies<R::stages - 2>();
        __syncwarp();
        const int free = stage == 0 ? R::stages - 1 : stage - 1;
        if (ahead < end)
            copy_step<D, Code>(ring + free * 2 * R::half_bytes, in, table, k, ahead, end);
        close_copies();
        const std::uint32_t keys = ring + stage * 2 * R::half_bytes;
        float scores[Columns][4];
        state.score(scores, keys);
        std::uint32_t weights[Columns][2];
        for (int c = 0; c < Columns; ++c)
            state.weigh(weights[c], scores[c], c, end - position, scale);
        state.add(keys + R::half_bytes, weights);
        stage = stage == R::stages - 1 ? 0 : stage + 1;
    }
}

__device__ inline void store_four(const Decode& in, std::int64_t at, float4 v) {
    if (in.out_bf16)
        *reinterpret_cast<Four<bf16>*>(static_cast<bf16*>(in.out) + at) =
            four<bf16>(v.x, v.y, v.z, v.w);
    else
        *reinterpret_cast<Four<f16>*>(static_cast<f16*>(in.out) + at) =
            four<f16>(v.x, v.y, v.z, v.w);
}

__device__ inline void add_scaled(float4& sum, float4 v, float factor) {
    sum.x += v.x * factor;
    sum.y += v.y * factor;
    sum.z += v.z * factor;
    sum.w += v.w * factor;
}

// What merge_pieces makes of the pieces' maxima and sums, in shared memory.
struct PieceWeights {
    float2 stats[pieces_max * group_max];
    float weight[pieces_max * group_max];  // [pieces, group]
    float inverse[group_max];              // 1 / sum
};

// Adds up the pieces of one sequence's kv head.
template <int D>
__device__ void merge_pieces(const Decode& in, PieceWeights& shared, std::int64_t pair, int pieces,
                             std::int64_t out_at, float value_scale) {
    auto& [stats, weight, inverse] = shared;
    const int G = in.group;
    const std::int64_t first = pair * gridDim.x * G;
    for (int i = static_cast<int>(threadIdx.x); i < pieces * G; i += decode_threads)
        stats[i] = __ldcg(in.stats + first + i);
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < G) {
        const int head = static_cast<int>(threadIdx.x);
        float top = lowest_score, sum = 0.0F;
        for (int p = 0; p < pieces; ++p) top = fmaxf(top, stats[p * G + head].x);
        for (int p = 0; p < pieces; ++p) {
            const float w = exp2f(stats[p * G + head].x - top);
            weight[p * G + head] = w;
            sum += w * stats[p * G + head].y;
        }
        inverse[head] = value_scale / sum;
    }
    __syncthreads();
    const auto* partial = reinterpret_cast<const float4*>(in.partial + first * D);
    for (int i = static_cast<int>(threadIdx.x); i < G * D / 4; i += decode_threads) {
        const int head = i / (D / 4);
        float4 total = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll 8
        for (int p = 0; p < pieces; ++p)
            add_scaled(total, __ldcg(partial + p * G * (D / 4) + i), weight[p * G + head]);
        float4 value = {0.0F, 0.0F, 0.0F, 0.0F};
        add_scaled(value, total, inverse[head]);
        store_four(in, out_at + i * 4, value);
    }
}

// The warps' states become the piece's: the output itself if it is the only one.
template <int D, class Code, int Columns>
__device__ void merge_warps(WarpState<D, Code, Columns>& state, const Decode& in, float* shared,
                            std::int64_t pair, int pieces, std::int64_t out_at, int k) {
    constexpr int stride = Ring<D, Code, Columns>::merge_stride;
    __shared__ float2 stats[decode_warps][Columns * 8];
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    for (int c = 0; c < Columns; ++c)
        for (int i = 0; i < 2; ++i) {
            float sum = state.sum[c][i];
            for (int step = 4; step < 32; step *= 2) sum += __shfl_xor_sync(~0U, sum, step);
            if (lane < 4) stats[warp][c * 8 + lane * 2 + i] = {state.maximum[c][i], sum};
            for (int m = 0; m < D / 16; ++m)
                for (int h = i; h < 4; h += 2)
                    shared[(warp * Columns * 8 + c * 8 + lane % 4 * 2 + i) * stride +
                           state.dim_of(m, h)] = state.values[c][m][h];
        }
    __syncthreads();
    const std::int64_t row = (pair * gridDim.x + blockIdx.x) * in.group;
    const float value_scale = in.kv.value_scale(k);
    for (int i = static_cast<int>(threadIdx.x); i < in.group * D / 4; i += decode_threads) {
        const int head = i / (D / 4);
        const int d = i % (D / 4) * 4;
        float top = lowest_score, sum = 0.0F;
        for (int w = 0; w < decode_warps; ++w) top = fmaxf(top, stats[w][head].x);
        float4 total = {0.0F, 0.0F, 0.0F, 0.0F};
        for (int w = 0; w < decode_warps; ++w) {
            const float factor = exp2f(stats[w][head].x - top);
            sum += stats[w][head].y * factor;
            const float* values = shared + (w * Columns * 8 + head) * stride + d;
            add_scaled(total, *reinterpret_cast<const float4*>(values), factor);
        }
        if (pieces == 1) {
            float4 value = {0.0F, 0.0F, 0.0F, 0.0F};
            add_scaled(value, total, value_scale / sum);
            store_four(in, out_at + i * 4, value);
        } else {
            *reinterpret_cast<float4*>(in.partial + row * D + i * 4) = total;
            if (d == 0) in.stats[row + head] = {top, sum};
        }
    }
}

// Block (piece, k, t).
template <int D, class Code, int Columns>
__global__ void __launch_bounds__(decode_threads) attend_decode_kernel(Decode in) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    using R = Ring<D, Code, Columns>;
    wait_for_previous();
    let_next_start();
    const int token = static_cast<int>(blockIdx.z);
    const int k = static_cast<int>(blockIdx.y);
    const int piece = static_cast<int>(blockIdx.x);
    const std::int64_t pair = std::int64_t{token} * gridDim.y + k;
    const std::int64_t out_at = pair * in.group * D;
    const int slot = in.tables.slot[token];
    if (slot < 0) {
        if (piece == 0)
            for (int i = static_cast<int>(threadIdx.x); i < in.group * D / 4; i += decode_threads)
                store_four(in, out_at + i * 4, {0.0F, 0.0F, 0.0F, 0.0F});
        return;
    }
    const int context = in.tables.position[token] + 1;
    const int length = piece_length(context);
    const int pieces = (context + length - 1) / length;
    if (piece >= pieces) return;
    const int begin = piece * length;
    WarpState<D, Code, Columns> state;
    state.start(in.query + out_at, in.group);
    walk(state, in, shared_address(shared) + threadIdx.x / 32 * R::warp_bytes,
         std::int64_t{slot} * in.tables.page_stride, k, begin, min(begin + length, context));
    wait_copies<0>();
    __syncthreads();
    merge_warps(state, in, reinterpret_cast<float*>(shared), pair, pieces, out_at, k);
    if (pieces == 1) return;
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        last = atomicAdd(in.arrived + pair, 1U) + 1 == static_cast<unsigned>(pieces);
    __syncthreads();
    if (!last) return;
    __threadfence();
    merge_pieces<D>(in, *reinterpret_cast<PieceWeights*>(shared), pair, pieces, out_at,
                    in.kv.value_scale(k));
    if (threadIdx.x == 0) in.arrived[pair] = 0;
}

template <int D, class Code, int Columns>
void start(const Decode& in, int T, int pieces, cudaStream_t stream) {
    constexpr int bytes = Ring<D, Code, Columns>::bytes;
    auto* kernel = attend_decode_kernel<D, Code, Columns>;
    static const cudaError_t allowed =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    check(allowed);
    const dim3 grid(static_cast<unsigned>(pieces), static_cast<unsigned>(in.kv.kv_heads),
                    static_cast<unsigned>(T));
    launch(kernel, grid, decode_threads, bytes, stream, in);
}

template <int D, class Code>
void start(const Decode& in, int T, int pieces, cudaStream_t stream) {
    if (in.group <= 8)
        start<D, Code, 1>(in, T, pieces, stream);
    else
        start<D, Code, 2>(in, T, pieces, stream);
}

}  // namespace

std::size_t attend_workspace_bytes(int T, AttentionShape shape, int head_dim, int context_max) {
    const std::size_t rows = static_cast<std::size_t>(T) * shape.query_heads *
                             static_cast<std::size_t>(pieces_of(context_max));
    return counter_bytes + rows * (sizeof(float2) + sizeof(float) * head_dim) + 16;
}

void attend_decode(const bf16* query, void* out, bool out_bf16, const KvCache& kv, int layer,
                   const StepTables& tables, AttentionShape shape, int T, int context_max,
                   void* workspace, cudaStream_t stream) {
    const int pieces = pieces_of(context_max);
    auto* counters = static_cast<std::uint8_t*>(workspace);
    auto* partial = reinterpret_cast<float*>(counters + counter_bytes);
    const std::size_t rows = static_cast<std::size_t>(T) * shape.query_heads * pieces;
    Decode in{query,
              out,
              out_bf16,
              layer_of(kv, layer),
              tables,
              shape.query_heads / kv.kv_heads,
              reinterpret_cast<unsigned*>(counters),
              reinterpret_cast<float2*>(partial + rows * kv.head_dim),
              partial};
    if (kv.head_dim == 128)
        kv.format == KvFormat::bf16 ? start<128, bf16>(in, T, pieces, stream)
                                    : start<128, e4m3>(in, T, pieces, stream);
    else
        kv.format == KvFormat::bf16 ? start<64, bf16>(in, T, pieces, stream)
                                    : start<64, e4m3>(in, T, pieces, stream);
}

}  // namespace sluice::cuda
