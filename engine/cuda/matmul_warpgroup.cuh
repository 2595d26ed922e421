// The kernel behind matmul_warpgroup.
//
// A block takes 256 rows: four warpgroups, a row tile a warp (for SwiGLU even warps have one of
// gate and the next warps the same one of up). Three more warps do nothing but copy, two of them
// weights and one activations, into rings of shared memory.
//
// The work is a line of units: a step of columns of a block's rows and a tile of tokens, steps
// first, then tokens, then rows. Each block gets an equal run of it, so that all are busy to the
// end; an item (all steps of some rows and tokens) that is cut leaves its pieces in the workspace,
// and once the last is there the warps that made them add them up, in the steps' order, each a
// share of the tokens. All blocks are resident at once, or this would not end.
#pragma once

#include "engine/cuda/matmul_warpgroup_wide.cuh"

namespace sluice::cuda {

// sum = the products of some steps. While the tensor cores work on some pairs of columns, the next
// ones' weights are made ready.
template <WeightFormat format, class Plan, int tokens>
__device__ inline void add_piece(Rings<Plan>& rings, int steps, int warp, int lane,
                                 TileSums<tokens>& sum) {
    constexpr int batch = Plan::batch;
    constexpr int batches = 2 * Plan::stage_chunks / batch;
    for (int step = 0; step < steps; ++step) {
        rings.weights.wait_full();
        WeightReader<format> reader;
        reader.open(rings.bytes + Plan::weights_at + rings.weights.slot * Plan::step_bytes +
                        warp * Plan::tile_bytes,
                    lane);
        Fragments a[2][batch];
#pragma unroll
        for (int stage = 0; stage < Plan::stages; ++stage) {
            const bool full = rings.x.is_full();
            const std::uint32_t operand =
                __shfl_sync(~0U, operand_at(rings.shared + rings.x.slot * Plan::stage_bytes), 0);
#pragma unroll
            for (int i = 0; i < batches; ++i) {
#pragma unroll
                for (int j = 0; j < batch; ++j) {
                    reader.pair((stage * batches + i) * batch + j, a[i % 2][j]);
                    pin(a[i % 2][j]);
                }
                if (i == 0 && !full) rings.x.wait_full();
                open_products();
#pragma unroll
                for (int j = 0; j < batch; ++j) {
                    const int pair = i * batch + j;
                    const std::uint32_t b =
                        operand + pair / 2 * (Plan::chunk_bytes / 16) + pair % 2 * 4;
                    multiply_group<tokens>(sum, a[i % 2][j][0], b,
                                           stage > 0 || pair > 0 || step > 0);
                    multiply_group<tokens>(sum, a[i % 2][j][1], b + 2, 1);
                }
                close_products();
                wait_for_products<1>();
                // The stage before this one has been read to its end.
                if (i == 0 && (stage > 0 || step > 0) && lane == 0)
                    arrive(rings.x.previous_empty());
            }
            rings.x.next();
        }
        __syncwarp();
        if (lane == 0) arrive(rings.weights.empty());
        rings.weights.next();
    }
    wait_for_products<0>();
    pin<tokens>(sum);
    if (lane == 0) arrive(rings.x.previous_empty());
}

template <WeightFormat first, WeightFormat second, int tokens>
__device__ inline void consume(const WarpgroupWork& work, std::uint8_t* bytes, std::uint32_t shared,
                               int part, int warp, int lane) {
    using Plan = WarpgroupPlan<first, second, tokens>;
    Rings<Plan> rings(bytes, shared);
    wait_for_previous();
    Walk walk(work, part);
    const Pieces<tokens, 2> pieces{work, walk.first_left(), part, warp / 2, warp % 2, lane};
    for (; walk.more(); walk.next()) {
        const ItemPlace place(work, walk.item, tokens);
        TileSums<tokens> sum[1];
        const int steps = walk.end - walk.step;
        if (first == second || work.decode.product[place.product].second == 0)
            add_piece<first, Plan, tokens>(rings, steps, warp, lane, sum[0]);
        else
            add_piece<second, Plan, tokens>(rings, steps, warp, lane, sum[0]);
        if (walk.whole())
            write_item<tokens, 2>(
                work, place, warp / 2, warp % 2, lane, sum,
                reinterpret_cast<float*>(bytes + Plan::desks_at + warp / 2 * desk_bytes));
        else
            pieces.leave(walk.begins_run() ? 0 : 1, warp, sum[0]);
    }
    finish_pieces(pieces, part);
}

constexpr int warpgroup_threads = (block_tiles + copy_warps) * 32;

template <WeightFormat first, WeightFormat second, int tokens>
__global__ void __launch_bounds__(warpgroup_threads, 1)
    warpgroup_kernel(const __grid_constant__ WarpgroupWork work) {
    extern __shared__ __align__(1024) std::uint8_t bytes[];
    using Plan = WarpgroupPlan<first, second, tokens>;
    const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(bytes));
    // From a shuffle, so that the compiler knows it to be the same in all lanes.
    const int warp = __shfl_sync(~0U, static_cast<int>(threadIdx.x) / 32, 0);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (threadIdx.x == 0) make_rings<Plan>(shared);
    __syncthreads();
    if (warp < Plan::consumers) {
        if constexpr (tokens >= 32) take_registers<112>();
        consume<first, second, tokens>(work, bytes, shared, static_cast<int>(blockIdx.x), warp,
                                       lane);
    } else {
        if constexpr (tokens >= 32) leave_registers<32>();
        copy_all<Plan>(work, shared, warp - Plan::consumers, lane);
    }
}

template <WeightFormat first, WeightFormat second, int tokens>
WarpgroupKernel warpgroup_of() {
    return {warpgroup_kernel<first, second, tokens>,
            WarpgroupPlan<first, second, tokens>::shared_bytes, warpgroup_threads, tokens};
}

template <WeightFormat first, WeightFormat second = first>
WarpgroupKernel warpgroup_any(int tokens) {
    if (tokens == 16) return warpgroup_of<first, second, 16>();
    if (tokens == 32) return warpgroup_of<first, second, 32>();
    if (tokens == 64) return warpgroup_of<first, second, 64>();
    return wide_of<first, second>();
}

}  // namespace sluice::cuda
