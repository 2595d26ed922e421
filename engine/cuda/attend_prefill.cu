// Prefill attention: a block holds one query head of one tile of tokens and walks the context a
// page at a time, the next page arriving in shared memory while this one is worked on
// (FlashAttention 2's order: arXiv 2307.08691). Each warp has 32 rows, so that keys and values read
// from shared memory serve two products.
#include <cassert>

#include "engine/cuda/attend_prefill.h"
#include "engine/cuda/card.h"
#include "engine/cuda/context.h"
#include "engine/cuda/launch.cuh"

namespace sluice::cuda {
namespace {

constexpr int prefill_warps = 4;
constexpr int prefill_threads = prefill_warps * 32;
constexpr int warp_rows = prefill_tile / prefill_warps;
constexpr int row_tiles = warp_rows / 16;
constexpr int key_tiles = page_positions / 8;

template <int D, class Code>
struct PageBuffer {
    static constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
    static constexpr int half_bytes = page_positions * row_bytes;  // keys; values follow
    static constexpr int query_row_bytes = D * 2;
    static constexpr int query_bytes = prefill_tile * query_row_bytes;
    static constexpr int bytes = query_bytes + 2 * 2 * half_bytes;
};

// Copies a page's keys and values before `end`; the rest becomes zeros.
template <int D, class Code>
__device__ void copy_page(std::uint32_t to, const KvLayer& kv, int page, int head, int count) {
    using B = PageBuffer<D, Code>;
    constexpr int chunks = B::row_bytes / 16;
    const std::uint8_t* keys = kv.keys(page, head);
    const std::uint8_t* values = kv.values(page, head);
#pragma unroll
    for (int j = 0; j < page_positions * chunks / prefill_threads; ++j) {
        const int i = static_cast<int>(threadIdx.x) + j * prefill_threads;
        const int row = i / chunks;
        const int offset = swizzled<B::row_bytes>(row, i % chunks);
        copy_16(to + offset, keys + i * 16, row < count);
        copy_16(to + B::half_bytes + offset, values + i * 16, row < count);
    }
}

// Rows of the query into shared memory, in the order of d that the codes' fragments have.
template <int D, class Code>
__device__ void load_query(std::uint8_t* to, const bf16* from, std::int64_t stride, int count) {
    using B = PageBuffer<D, Code>;
    using Operand = typename Codes<Code>::Operand;
    for (int i = static_cast<int>(threadIdx.x); i < prefill_tile * D / 16; i += prefill_threads) {
        const int row = i / (D / 16);
        const int run = i % (D / 16);
        uint4 half[2] = {};
        if (row < count) {
            const auto* source = reinterpret_cast<const uint4*>(from + row * stride + run * 16);
            half[0] = source[0];
            half[1] = source[1];
        }
        if constexpr (sizeof(Code) == 1) {
            const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(half);
            std::uint32_t words[8];
            for (int w = 0; w < 8; ++w) {
                const float2 q = __bfloat1622float2(pairs[w]);
                words[w / 2 + w % 2 * 4] = two<Operand>(q.x, q.y);
            }
            half[0] = {words[0], words[1], words[2], words[3]};
            half[1] = {words[4], words[5], words[6], words[7]};
        }
        for (int h = 0; h < 2; ++h)
            *reinterpret_cast<uint4*>(to + swizzled<B::query_row_bytes>(row, run * 2 + h)) =
                half[h];
    }
}

// One warp's 32 rows: scores of a page, running maximum and sum, weighted values. Fragment element
// i of row tile r is row r * 16 + lane / 4 + i / 2 * 8.
template <int D, class Code>
struct Rows {
    using B = PageBuffer<D, Code>;
    using Operand = typename Codes<Code>::Operand;
    static constexpr bool narrow = sizeof(Code) == 1;
    float scores[row_tiles][key_tiles][4];
    float maximum[row_tiles][2], sum[row_tiles][2];
    float values[row_tiles][D / 8][4];

    __device__ void start() {
#pragma unroll
        for (int r = 0; r < row_tiles; ++r) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                maximum[r][i] = lowest_score;
                sum[r][i] = 0.0F;
            }
#pragma unroll
            for (int n = 0; n < D / 8; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) values[r][n][i] = 0.0F;
        }
    }

    // b[n] of 16-wide run k of d, for key tiles 2 j and 2 j + 1 (all four of 4 j' for fp8).
    __device__ void score(std::uint32_t query, std::uint32_t keys) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < row_tiles; ++r)
#pragma unroll
            for (int n = 0; n < key_tiles; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) scores[r][n][i] = 0.0F;
#pragma unroll
        for (int k = 0; k < D / 16; ++k) {
            std::uint32_t a[row_tiles][4];
#pragma unroll
            for (int r = 0; r < row_tiles; ++r)
                load_matrices(a[r], query + swizzled<B::query_row_bytes>(r * 16 + lane % 16,
                                                                         k * 2 + lane / 16));
            if constexpr (narrow) {
#pragma unroll
                for (int j = 0; j < key_tiles / 4; ++j) {
                    std::uint32_t codes[4];
                    load_matrices(codes, keys + swizzled<B::row_bytes>(j * 32 + lane, k));
#pragma unroll
                    for (int n = 0; n < 4; ++n)
#pragma unroll
                        for (int r = 0; r < row_tiles; ++r)
                            multiply(scores[r][j * 4 + n], a[r], widened<0>(codes[n]),
                                     widened<1>(codes[n]), Operand{});
                }
            } else {
#pragma unroll
                for (int j = 0; j < key_tiles / 2; ++j) {
                    std::uint32_t b[4];
                    const int row = j * 16 + lane % 8 + lane / 16 * 8;
                    load_matrices(b, keys + swizzled<B::row_bytes>(row, k * 2 + lane / 8 % 2));
#pragma unroll
                    for (int n = 0; n < 2; ++n)
#pragma unroll
                        for (int r = 0; r < row_tiles; ++r)
                            multiply(scores[r][j * 2 + n], a[r], b[n * 2], b[n * 2 + 1], Operand{});
                }
            }
        }
    }

    // Row r sees the page's first `visible` + r keys.
    __device__ void mask(int visible) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < row_tiles; ++r)
#pragma unroll
            for (int n = 0; n < key_tiles; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int row = r * 16 + lane / 4 + i / 2 * 8;
                    const int key = n * 8 + lane % 4 * 2 + i % 2;
                    if (key >= visible + row) scores[r][n][i] = -INFINITY;
                }
    }

    // Scores become weights.
    __device__ void weigh(float scale) {
#pragma unroll
        for (int r = 0; r < row_tiles; ++r)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                float top = lowest_score;
#pragma unroll
                for (int n = 0; n < key_tiles; ++n)
                    top = fmaxf(top, fmaxf(scores[r][n][h * 2], scores[r][n][h * 2 + 1]));
                top = fmaxf(top, __shfl_xor_sync(~0U, top, 1));
                top = fmaxf(top, __shfl_xor_sync(~0U, top, 2));
                top = fmaxf(top * scale, maximum[r][h]);
                const float factor = power_of_2(maximum[r][h] - top);
                maximum[r][h] = top;
                float total = 0.0F;
#pragma unroll
                for (int n = 0; n < key_tiles; ++n)
#pragma unroll
                    for (int i = h * 2; i < h * 2 + 2; ++i) {
                        scores[r][n][i] = power_of_2(fmaf(scores[r][n][i], scale, -top));
                        total += scores[r][n][i];
                    }
                sum[r][h] = sum[r][h] * factor + total;
#pragma unroll
                for (int n = 0; n < D / 8; ++n)
#pragma unroll
                    for (int i = h * 2; i < h * 2 + 2; ++i) values[r][n][i] *= factor;
            }
    }

    __device__ void add(std::uint32_t codes_at) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int k = 0; k < page_positions / 16; ++k) {
            std::uint32_t a[row_tiles][4];
#pragma unroll
            for (int r = 0; r < row_tiles; ++r)
#pragma unroll
                for (int n = 0; n < 2; ++n)
#pragma unroll
                    for (int h = 0; h < 2; ++h)
                        a[r][n * 2 + h] = packed(scores[r][k * 2 + n][h * 2],
                                                 scores[r][k * 2 + n][h * 2 + 1], Operand{});
#pragma unroll
            for (int chunk = 0; chunk < B::row_bytes / 16; chunk += 2) {
                std::uint32_t codes[4];
                load_transposed(codes, codes_at + swizzled<B::row_bytes>(k * 16 + lane % 16,
                                                                         chunk + lane / 16));
#pragma unroll
                for (int c = 0; c < 2; ++c) {
                    if constexpr (narrow) {
                        const std::uint32_t near = __byte_perm(codes[c * 2], 0, 0x3120);
                        const std::uint32_t far = __byte_perm(codes[c * 2 + 1], 0, 0x3120);
#pragma unroll
                        for (int r = 0; r < row_tiles; ++r) {
                            multiply(values[r][(chunk + c) * 2], a[r], widened<0>(near),
                                     widened<0>(far), Operand{});
                            multiply(values[r][(chunk + c) * 2 + 1], a[r], widened<1>(near),
                                     widened<1>(far), Operand{});
                        }
                    } else {
#pragma unroll
                        for (int r = 0; r < row_tiles; ++r)
                            multiply(values[r][chunk + c], a[r], codes[c * 2], codes[c * 2 + 1],
                                     Operand{});
                    }
                }
            }
        }
    }

    // Rows of the warp before `count`, from `out` on, `stride` elements apart.
    template <class Out>
    __device__ void store(Out* out, std::int64_t stride, int count, float value_scale) const {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < row_tiles; ++r)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                float total = sum[r][h];
                total += __shfl_xor_sync(~0U, total, 1);
                total += __shfl_xor_sync(~0U, total, 2);
                const float factor = value_scale / total;
                const int row = r * 16 + lane / 4 + h * 8;
                if (row >= count) continue;
#pragma unroll
                for (int n = 0; n < D / 8; n += 2) {
                    const float(&x)[4] = values[r][n];
                    const float(&y)[4] = values[r][n + 1];
                    Out* to = out + row * stride + n * 8;
                    const float x0 = x[h * 2] * factor, x1 = x[h * 2 + 1] * factor;
                    const float y0 = y[h * 2] * factor, y1 = y[h * 2 + 1] * factor;
                    if constexpr (narrow) {
                        *reinterpret_cast<Four<Out>*>(to + lane % 4 * 4) =
                            four<Out>(x0, y0, x1, y1);
                    } else {
                        const int pair = lane % 4 * 2;
                        *reinterpret_cast<std::uint32_t*>(to + pair) = two<Out>(x0, x1);
                        *reinterpret_cast<std::uint32_t*>(to + 8 + pair) = two<Out>(y0, y1);
                    }
                }
            }
    }
};

// Block (query head, tile from the last on: the longest contexts first).
template <int D, class Code>
__global__ void __launch_bounds__(prefill_threads, 2) attend_prefill_kernel(Prefill in) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    using B = PageBuffer<D, Code>;
    wait_for_previous();
    let_next_start();
    const Tile tile = in.tiles[gridDim.y - 1 - blockIdx.y];
    if (tile.slot < 0 || tile.count <= 0) return;
    const int head = static_cast<int>(blockIdx.x);
    const int k = head / in.group;
    const std::int64_t stride = std::int64_t{in.query_heads} * D;
    const std::int64_t at = tile.token * stride + head * D;
    const int end = tile.position + tile.count;
    const int pages = (end + page_positions - 1) / page_positions;
    const std::int32_t* table =
        in.tables.page_table + static_cast<std::int64_t>(tile.slot) * in.tables.page_stride;
    const std::uint32_t buffers = shared_address(shared) + B::query_bytes;
    copy_page<D, Code>(buffers, in.kv, table[0], k, end);
    close_copies();
    load_query<D, Code>(shared, in.query + at, stride, tile.count);
    const int first_row = static_cast<int>(threadIdx.x) / 32 * warp_rows;
    const std::uint32_t query = shared_address(shared) + first_row * B::query_row_bytes;
    const float scale = in.kv.key_scale(k);
    Rows<D, Code> rows;
    rows.start();
    for (int p = 0; p < pages; ++p) {
        wait_copies<0>();
        __syncthreads();
        const int first_key = p * page_positions;
        if (p + 1 < pages)
            copy_page<D, Code>(buffers + (p + 1) % 2 * 2 * B::half_bytes, in.kv, table[p + 1], k,
                               end - first_key - page_positions);
        close_copies();
        const std::uint32_t keys = buffers + p % 2 * 2 * B::half_bytes;
        const int visible = tile.position + first_row + 1 - first_key;
        if (visible + warp_rows <= 1) continue;  // all of it is ahead of the warp's last row
        rows.score(query, keys);
        if (visible < page_positions) rows.mask(visible);
        rows.weigh(scale);
        rows.add(keys + B::half_bytes);
    }
    const int count = tile.count - first_row;
    const std::int64_t to = at + first_row * stride;
    if (in.out_bf16)
        rows.store(static_cast<bf16*>(in.out) + to, stride, count, in.kv.value_scale(k));
    else
        rows.store(static_cast<f16*>(in.out) + to, stride, count, in.kv.value_scale(k));
}

static_assert(PageBuffer<128, bf16>::bytes <= least_block_shared_bytes);

template <int D, class Code>
void start(const Prefill& in, int tile_count, cudaStream_t stream) {
    constexpr int bytes = PageBuffer<D, Code>::bytes;
    auto* kernel = attend_prefill_kernel<D, Code>;
    static PerContext<bool> allowed;
    if (!std::exchange(allowed.get(), true))
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    const dim3 grid(static_cast<unsigned>(in.query_heads), static_cast<unsigned>(tile_count));
    launch(kernel, grid, prefill_threads, bytes, stream, in);
}

}  // namespace

bool attend_prefill_arranges(const KvCache& kv) { return attend_warpgroup_takes(kv); }

void attend_prefill(const bf16* query, void* out, bool out_bf16, const KvCache& kv, int layer,
                    const StepTables& tables, AttentionShape shape, const Tile* tiles,
                    int tile_count, int arranged_rows, cudaStream_t stream) {
    const Prefill in{query,
                     out,
                     out_bf16,
                     arranged_rows,
                     layer_of(kv, layer),
                     tables,
                     tiles,
                     shape.query_heads,
                     shape.query_heads / kv.kv_heads};
    if (attend_warpgroup_takes(kv)) return attend_warpgroup(in, tile_count, stream);
    assert(arranged_rows == 0);
    if (kv.head_dim == 128)
        kv.format == KvFormat::bf16 ? start<128, bf16>(in, tile_count, stream)
                                    : start<128, e4m3>(in, tile_count, stream);
    else
        kv.format == KvFormat::bf16 ? start<64, bf16>(in, tile_count, stream)
                                    : start<64, e4m3>(in, tile_count, stream);
}

}  // namespace sluice::cuda
