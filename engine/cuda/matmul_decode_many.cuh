// matmul_decode of many rows or many tokens.
//
// Activations may weigh as much as weights here, so a block takes many rows at a time: two row
// tiles a warp (for SwiGLU one of gate and the same one of up), all warps at the same step, whose
// activations they share. Where there are rows for all of the device a block takes all segments of
// its rows; else a block takes one, and add_segments adds them up.
#pragma once

#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {

template <WeightFormat first, WeightFormat second, int token_tiles>
constexpr std::size_t stage_bytes(int warps) {
    return token_tiles * 8 * x_pitch<first> + warps * 2 * slot_bytes<first, second>;
}

// One block's share of a launch: rows of `warps` pairs of tiles, over one segment or all of them.
struct DecodeItem {
    int group;
    int product;
    int segment;
    int segment_end;
    int step;

    __device__ void open(const DecodeWork& work, int index) {
        const int parts = work.partial != nullptr ? work.segments : 1;
        group = index / parts;
        if (group >= work.groups) return;
        segment = work.partial != nullptr ? index % parts : 0;
        segment_end = work.partial != nullptr ? segment + 1 : work.segments;
        product = 0;
        if (work.into != Into::swiglu)
            while (product + 1 < work.products && group >= work.product[product + 1].first)
                ++product;
        step = work.begin[segment];
    }
    __device__ int end(const DecodeWork& work) const { return work.begin[segment_end]; }
};

// One of a warp's two row tiles.
struct WarpTile {
    const DecodeProduct* matrix;
    int row_tile;
    __device__ WarpTile(const DecodeWork& work, const DecodeItem& item, int warp, int warps,
                        int tile) {
        const bool swiglu = work.into == Into::swiglu;
        matrix = &work.product[swiglu ? tile : item.product];
        const int pair = (item.group - matrix->first) * warps + warp;
        row_tile = swiglu ? pair : pair * 2 + tile;
        // The last group may have fewer rows; what is past them is computed again and not stored.
        row_tile = min(row_tile, (matrix->rows + tile_rows - 1) / tile_rows - 1);
    }
};

// Where a lane's sum i of a tile of tokens stands.
__device__ inline int token_of(int n, int lane, int i) { return n * 8 + lane % 4 * 2 + i % 2; }
__device__ inline int row_of(int lane, int i) { return lane / 4 + i / 2 * 8; }

// The results of a block that had all segments of its rows.
template <bool brain, int token_tiles>
__device__ inline void write_sums(const DecodeWork& work, const DecodeItem& item, int warp,
                                  int warps, int lane, const Sums<2, token_tiles>& sum) {
    const DecodeProduct& product = work.product[item.product];
    const bool swiglu = work.into == Into::swiglu;
    const int pair = (item.group - product.first) * warps + warp;
#pragma unroll
    for (int tile = 0; tile < 2; ++tile) {
        if (swiglu && tile == 1) break;
        const int first_row = (swiglu ? pair : pair * 2 + tile) * tile_rows;
#pragma unroll
        for (int n = 0; n < token_tiles; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int row = first_row + row_of(lane, i);
                const int token = token_of(n, lane, i);
                if (row < product.rows && token < work.T)
                    write_value<brain>(work, product, token, row, sum[tile][n][i], sum[1][n][i]);
            }
    }
}

// Leaves a segment's sums for add_segments.
template <int token_tiles>
__device__ inline void leave_sums(const DecodeWork& work, const DecodeItem& item, int warp,
                                  int warps, int lane, const Sums<2, token_tiles>& sum) {
    const int group_rows = warps * 2 * tile_rows;
    float* to =
        work.partial + (static_cast<std::int64_t>(item.group) * work.segments + item.segment) *
                           work.T * group_rows;
#pragma unroll
    for (int tile = 0; tile < 2; ++tile)
#pragma unroll
        for (int n = 0; n < token_tiles; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int token = token_of(n, lane, i);
                if (token < work.T)
                    to[token * group_rows + (warp * 2 + tile) * tile_rows + row_of(lane, i)] =
                        sum[tile][n][i];
            }
}

template <WeightFormat first, WeightFormat second, int token_tiles, int stages>
__global__ void __launch_bounds__(token_tiles == 8 ? 256 : 128, token_tiles == 8 ? 1 : 3)
    decode_many_kernel(const __grid_constant__ DecodeWork work) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    constexpr int columns = step_layout(first).columns;
    static_assert(columns == step_layout(second).columns);
    constexpr int tile_bytes = slot_bytes<first, second>;
    constexpr int x_bytes = token_tiles * 8 * x_pitch<first>;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int warps = static_cast<int>(blockDim.x) / 32;
    const int stage_size = x_bytes + warps * 2 * tile_bytes;
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
    const std::uint64_t policy = read_once_policy();

    const auto fetch_weights = [&](const DecodeItem& item, int stage) {
        if (item.group >= work.groups) {
            if (work.early) let_next_start();
            return;
        }
        for (int tile = 0; tile < 2; ++tile) {
            const WarpTile of(work, item, warp, warps, tile);
            const std::uint32_t to =
                address + stage * stage_size + x_bytes + (warp * 2 + tile) * tile_bytes;
            if (first == second || of.matrix->second == 0)
                fetch_tile<first>(work, *of.matrix, of.row_tile, item.step, to, lane, policy);
            else
                fetch_tile<second>(work, *of.matrix, of.row_tile, item.step, to, lane, policy);
        }
    };
    const auto fetch_x = [&](const DecodeItem& item, int stage) {
        if (item.group < work.groups)
            fetch_activations<first>(work, item.step, address + stage * stage_size,
                                     static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x));
        commit_copies();  // an empty group keeps the count
    };
    int ahead_index = static_cast<int>(blockIdx.x);
    const auto next = [&](DecodeItem& item) {
        if (item.group >= work.groups || ++item.step < item.end(work)) return;
        ahead_index += static_cast<int>(gridDim.x);
        item.open(work, ahead_index);
    };

    DecodeItem ahead;
    ahead.open(work, ahead_index);
    DecodeItem item = ahead;
    for (int stage = 0; stage < stages - 1; ++stage) {
        fetch_weights(ahead, stage);
        next(ahead);
    }
    wait_for_previous();
    ahead = item;
    ahead_index = static_cast<int>(blockIdx.x);
    for (int stage = 0; stage < stages - 1; ++stage) {
        fetch_x(ahead, stage);
        next(ahead);
    }

    int stage = 0;
    int free_stage = stages - 1;
    for (int index = static_cast<int>(blockIdx.x); item.group < work.groups;
         index += static_cast<int>(gridDim.x), item.open(work, index)) {
        Sums<2, token_tiles> total = {};
        const bool second_format = first != second && work.product[item.product].second == 1;
        for (int segment = item.segment; segment < item.segment_end; ++segment) {
            Sums<2, token_tiles> sum = {};
            const int end = work.begin[segment + 1];
            for (; item.step < end; ++item.step) {
                wait_for_copies<stages - 2>();
                __syncthreads();
                fetch_weights(ahead, free_stage);
                fetch_x(ahead, free_stage);
                next(ahead);
                const std::uint8_t* x = shared + stage * stage_size;
                const std::uint8_t* weights = x + x_bytes + warp * 2 * tile_bytes;
                if (!second_format)
                    add_step<first, 2, token_tiles>(weights, tile_bytes, x, work.T, lane, sum);
                else
                    add_step<second, 2, token_tiles>(weights, tile_bytes, x, work.T, lane, sum);
                free_stage = stage;
                stage = stage + 1 == stages ? 0 : stage + 1;
            }
#pragma unroll
            for (int tile = 0; tile < 2; ++tile)
#pragma unroll
                for (int n = 0; n < token_tiles; ++n)
#pragma unroll
                    for (int i = 0; i < 4; ++i) total[tile][n][i] += sum[tile][n][i];
        }
        if (work.partial != nullptr)
            leave_sums<token_tiles>(work, item, warp, warps, lane, total);
        else
            write_sums<reads_bf16(first), token_tiles>(work, item, warp, warps, lane, total);
    }
    ask_ahead(work.ahead, threadIdx.x * gridDim.x + blockIdx.x, gridDim.x * blockDim.x);
}

template <WeightFormat first, WeightFormat second, int token_tiles>
DecodeKernel decode_many_of(bool short_ring) {
    constexpr int sm_bytes = 226 * 1024;
    // Two blocks of four warps an SM, or where they do not fit one of eight.
    constexpr std::size_t four_warps = stage_bytes<first, second, token_tiles>(4);
    constexpr std::size_t eight_warps = stage_bytes<first, second, token_tiles>(8);
    if constexpr (token_tiles == 1) {
        // More blocks with less in flight each read faster, while activations are next to nothing.
        if (short_ring) return {decode_many_kernel<first, second, 1, 2>, 2 * four_warps, 128, 8};
    }
    if constexpr (2 * (3 * four_warps + 1024) <= sm_bytes)
        return {decode_many_kernel<first, second, token_tiles, 3>, 3 * four_warps, 128, 8};
    else if constexpr (2 * (2 * four_warps + 1024) <= sm_bytes)
        return {decode_many_kernel<first, second, token_tiles, 2>, 2 * four_warps, 128, 8};
    else
        return {decode_many_kernel<first, second, token_tiles, 2>, 2 * eight_warps, 256, 16};
}

template <WeightFormat first, WeightFormat second>
DecodeKernel decode_many(DecodeShape shape) {
    if (shape.T <= 8) return decode_many_of<first, second, 1>(shape.T <= few_tokens_max);
    if (shape.T <= 16) return decode_many_of<first, second, 2>(false);
    if (shape.T <= 32) return decode_many_of<first, second, 4>(false);
    return decode_many_of<first, second, 8>(false);
}

}  // namespace sluice::cuda
