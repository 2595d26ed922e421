// Prefill attention by warpgroups: a block holds one query head of one tile of tokens, each of its
// two warpgroups half of the tile's rows, and walks the context a page at a time, as attend_prefill
// does. Two blocks share a processor: while one turns scores into weights, the other multiplies.
//
// A row of 128 columns stands in shared memory as two runs of 64, each run's rows 128 bytes apart
// and swizzled: what wgmma reads, keys by their columns and values by their rows.
#include "engine/cuda/arranged.h"
#include "engine/cuda/attend_prefill.h"
#include "engine/cuda/card.h"
#include "engine/cuda/context.h"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/warpgroup.cuh"

namespace sluice::cuda {
namespace {

constexpr int group_threads = 128;
constexpr int groups = 2;
constexpr int block_threads = groups * group_threads;
constexpr int group_rows = prefill_tile / groups;
constexpr int dim = 128;
constexpr int chunks = dim * 2 / 16;  // of a row
constexpr int run_bytes = 64 * 128;   // of 64 rows
constexpr int query_bytes = groups * 2 * run_bytes;
constexpr int page_bytes = 4 * run_bytes;  // keys, then values
constexpr int shared_bytes = query_bytes + 2 * page_bytes;
static_assert(group_rows == 64 && page_positions == 64);

__device__ inline int place_of(int row, int chunk) {
    return chunk / 8 * run_bytes + row * 128 + ((chunk % 8 ^ row % 8) << 4);
}

// Copies a page's keys and values before `count`; the rest becomes zeros.
__device__ inline void copy_page(std::uint32_t to, const KvLayer& kv, int page, int head,
                                 int count) {
    const std::uint8_t* keys = kv.keys(page, head);
    const std::uint8_t* values = kv.values(page, head);
#pragma unroll
    for (int j = 0; j < page_positions * chunks / block_threads; ++j) {
        const int i = static_cast<int>(threadIdx.x) + j * block_threads;
        const int row = i / chunks;
        const int offset = place_of(row, i % chunks);
        copy_16(to + offset, keys + i * 16, row < count);
        copy_16(to + 2 * run_bytes + offset, values + i * 16, row < count);
    }
}

__device__ inline void load_query(std::uint8_t* to, const bf16* from, std::int64_t stride,
                                  int count) {
#pragma unroll
    for (int j = 0; j < prefill_tile * chunks / block_threads; ++j) {
        const int i = static_cast<int>(threadIdx.x) + j * block_threads;
        const int row = i / chunks;
        uint4 words{};
        if (row < count)
            words = *reinterpret_cast<const uint4*>(from + row * stride + i % chunks * 8);
        *reinterpret_cast<uint4*>(to + row / group_rows * 2 * run_bytes +
                                  place_of(row % group_rows, i % chunks)) = words;
    }
}

template <int count>
__device__ inline void made(float (&numbers)[count]) {
#pragma unroll
    for (int i = 0; i < count; ++i) asm volatile("" : "+f"(numbers[i]));
}

// A warp's 16 of its warpgroup's rows. Element 4 n + i is row lane / 4 + i / 2 * 8, column 8 n +
// lane % 4 * 2 + i % 2.
struct Rows {
    float scores[32];
    float values[64] = {};
    float maximum[2] = {lowest_score, lowest_score};
    float sum[2] = {};

    __device__ void score(std::uint32_t query, std::uint32_t keys) {
        open_products();
#pragma unroll
        for (int k = 0; k < dim / 16; ++k) {
            const int at = (k / 4 * run_bytes + k % 4 * 32) / 16;
            multiply_keys(scores, query + at, keys + at, k > 0);
        }
        close_products();
        wait_for_products<0>();
        made(scores);
    }
    // Row r of the warp sees the page's first `visible` + r keys.
    __device__ void mask(int visible) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < 32; ++i) {
            const int row = lane / 4 + i % 4 / 2 * 8;
            const int key = i / 4 * 8 + lane % 4 * 2 + i % 2;
            if (key >= visible + row) scores[i] = -INFINITY;
        }
    }
    // Scores become weights.
    __device__ void weigh(float scale) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float top = lowest_score;
#pragma unroll
            for (int n = 0; n < 8; ++n)
                top = fmaxf(top, fmaxf(scores[4 * n + 2 * h], scores[4 * n + 2 * h + 1]));
            top = fmaxf(top, __shfl_xor_sync(~0U, top, 1));
            top = fmaxf(top, __shfl_xor_sync(~0U, top, 2));
            top = fmaxf(top * scale, maximum[h]);
            const float factor = power_of_2(maximum[h] - top);
            maximum[h] = top;
            float total = 0.0F;
#pragma unroll
            for (int n = 0; n < 8; ++n)
#pragma unroll
                for (int i = 4 * n + 2 * h; i < 4 * n + 2 * h + 2; ++i) {
                    scores[i] = power_of_2(fmaf(scores[i], scale, -top));
                    total += scores[i];
                }
            sum[h] = sum[h] * factor + total;
#pragma unroll
            for (int n = 0; n < 16; ++n) {
                values[4 * n + 2 * h] *= factor;
                values[4 * n + 2 * h + 1] *= factor;
            }
        }
    }
    __device__ void add(std::uint32_t rows) {
        std::uint32_t weights[4][4];
#pragma unroll
        for (int k = 0; k < 4; ++k)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                weights[k][i] = packed(scores[8 * k + 2 * i], scores[8 * k + 2 * i + 1], bf16{});
                asm volatile("" : "+r"(weights[k][i]));
            }
        made(values);
        open_products();
#pragma unroll
        for (int k = 0; k < 4; ++k) multiply_values(values, weights[k], rows + k * 16 * 128 / 16);
        close_products();
        wait_for_products<0>();
        made(values);
    }
    __device__ float factor(int h, float value_scale) const {
        float total = sum[h];
        total += __shfl_xor_sync(~0U, total, 1);
        total += __shfl_xor_sync(~0U, total, 2);
        return value_scale / total;
    }
};

// Of rows before `count`, `stride` elements apart.
template <class Out>
__device__ inline void store(const Rows& rows, Out* out, std::int64_t stride, int count,
                             float value_scale) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        const float factor = rows.factor(h, value_scale);
        const int row = lane / 4 + h * 8;
        if (row >= count) continue;
        Out* to = out + row * stride + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < 16; ++n)
            *reinterpret_cast<std::uint32_t*>(to + n * 8) = two<Out>(
                rows.values[4 * n + 2 * h] * factor, rows.values[4 * n + 2 * h + 1] * factor);
    }
}

__device__ inline void store_arranged(const Rows& rows, void* out, int arranged_rows, int token,
                                      int column, int count, float value_scale) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        const float factor = rows.factor(h, value_scale);
        const int row = lane / 4 + h * 8;
        if (row >= count) continue;
#pragma unroll
        for (int run = 0; run < dim / 32; ++run) {
            std::uint32_t words[4];
            for (int i = 0; i < 4; ++i) {
                const int at = 4 * (4 * run + i) + 2 * h;
                words[i] = two<f16>(rows.values[at] * factor, rows.values[at + 1] * factor);
            }
            const std::int64_t place =
                arranged_place(token + row, column + run * 32 + lane % 4 * 2, arranged_rows);
            *reinterpret_cast<uint4*>(static_cast<std::uint8_t*>(out) + place) = {
                words[0], words[1], words[2], words[3]};
        }
    }
}

__device__ inline void store_all(const Prefill& in, const Rows& rows, const Tile& tile,
                                 int first_row, int head, float value_scale) {
    const int count = tile.count - first_row;
    const int token = tile.token + first_row;
    const std::int64_t stride = std::int64_t{in.query_heads} * dim;
    const std::int64_t at = token * stride + head * dim;
    if (in.arranged_rows > 0)
        store_arranged(rows, in.out, in.arranged_rows, token, head * dim, count, value_scale);
    else if (in.out_bf16)
        store(rows, static_cast<bf16*>(in.out) + at, stride, count, value_scale);
    else
        store(rows, static_cast<f16*>(in.out) + at, stride, count, value_scale);
}

// Block (query head, tile from the last on: the longest contexts first).
__global__ void __launch_bounds__(block_threads, 2) attend_warpgroup_kernel(Prefill in) {
    extern __shared__ __align__(1024) std::uint8_t shared[];
    wait_for_previous();
    let_next_start();
    const Tile tile = in.tiles[gridDim.y - 1 - blockIdx.y];
    if (tile.slot < 0 || tile.count <= 0) return;
    const int head = static_cast<int>(blockIdx.x);
    const int k = head / in.group;
    const std::int64_t stride = std::int64_t{in.query_heads} * dim;
    const int end = tile.position + tile.count;
    const int pages = (end + page_positions - 1) / page_positions;
    const std::int32_t* table =
        in.tables.page_table + static_cast<std::int64_t>(tile.slot) * in.tables.page_stride;
    const std::uint32_t buffers = shared_address(shared) + query_bytes;
    copy_page(buffers, in.kv, table[0], k, end);
    close_copies();
    load_query(shared, in.query + tile.token * stride + head * dim, stride, tile.count);
    // From a shuffle, so that the compiler knows it to be the same in all lanes.
    const int warp = __shfl_sync(~0U, static_cast<int>(threadIdx.x) / 32, 0);
    const int group_row = warp / 4 * group_rows;
    const std::uint32_t query = operand_at(shared_address(shared) + warp / 4 * 2 * run_bytes);
    const float scale = in.kv.key_scale(k);
    Rows rows;
    for (int p = 0; p < pages; ++p) {
        wait_copies<0>();
        publish_to_products();
        __syncthreads();
        const int first_key = p * page_positions;
        if (p + 1 < pages)
            copy_page(buffers + (p + 1) % 2 * page_bytes, in.kv, table[p + 1], k,
                      end - first_key - page_positions);
        close_copies();
        const std::uint32_t keys = buffers + p % 2 * page_bytes;
        const int visible = tile.position + group_row + 1 - first_key;
        if (visible + group_rows <= 1) continue;  // all of it is ahead of the group's last row
        rows.score(query, operand_at(keys));
        if (visible < page_positions) rows.mask(visible + warp % 4 * 16);
        rows.weigh(scale);
        rows.add(values_at(keys + 2 * run_bytes));
    }
    store_all(in, rows, tile, warp * 16, head, in.kv.value_scale(k));
}

}  // namespace

bool attend_warpgroup_takes(const KvCache& kv) {
    return kv.format == KvFormat::bf16 && kv.head_dim == dim && this_card().warpgroups;
}

void attend_warpgroup(const Prefill& in, int tile_count, cudaStream_t stream) {
    static PerContext<bool> allowed;
    if (!std::exchange(allowed.get(), true))
        check(cudaFuncSetAttribute(attend_warpgroup_kernel,
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
    const dim3 grid(static_cast<unsigned>(in.query_heads), static_cast<unsigned>(tile_count));
    launch(attend_warpgroup_kernel, grid, block_threads, shared_bytes, stream, in);
}

}  // namespace sluice::cuda
