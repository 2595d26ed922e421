// The kernel behind matmul_warpgroup for tiles of 128 tokens: as the one for fewer, but a warp has
// two row tiles (for SwiGLU one of gate and the same one of up) and there are two warpgroups: while
// the tensor cores work for one, the other makes weights ready.
#pragma once

#include "engine/cuda/matmul_warpgroup_sums.cuh"

namespace sluice::cuda {

// sum = the products of some steps, of a warp's two row tiles.
template <WeightFormat format, class Plan>
__device__ inline void add_wide_piece(Rings<Plan>& rings, int steps, int warp, int lane,
                                      TileSums<Plan::tokens> (&sum)[2]) {
    constexpr int stage_pairs = 2 * Plan::stage_chunks;
    static_assert(stage_pairs == 2);
    for (int step = 0; step < steps; ++step) {
        rings.weights.wait_full();
        WeightReader<format> reader[2];
        for (int tile = 0; tile < 2; ++tile)
            reader[tile].open(rings.bytes + Plan::weights_at +
                                  rings.weights.slot * Plan::step_bytes +
                                  (2 * warp + tile) * Plan::tile_bytes,
                              lane);
        Fragments a[2][2];  // [in turn][tile]
#pragma unroll
        for (int stage = 0; stage < Plan::stages; ++stage) {
            const bool full = rings.x.is_full();
            const std::uint32_t operand =
                __shfl_sync(~0U, operand_at(rings.shared + rings.x.slot * Plan::stage_bytes), 0);
#pragma unroll
            for (int i = 0; i < stage_pairs; ++i) {
                for (int tile = 0; tile < 2; ++tile) {
                    reader[tile].pair(stage * stage_pairs + i, a[i][tile]);
                    pin(a[i][tile]);
                }
                if (i == 0 && !full) rings.x.wait_full();
                open_products();
                for (int half = 0; half < 2; ++half)
                    for (int tile = 0; tile < 2; ++tile)
                        multiply_group<Plan::tokens>(sum[tile], a[i][tile][half],
                                                     operand + i * 4 + half * 2,
                                                     half > 0 || i > 0 || stage > 0 || step > 0);
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
    for (int tile = 0; tile < 2; ++tile) pin<Plan::tokens>(sum[tile]);
    if (lane == 0) arrive(rings.x.previous_empty());
}

template <class Plan>
__device__ inline void consume_wide(const WarpgroupWork& work, std::uint8_t* bytes,
                                    std::uint32_t shared, int part, int warp, int lane) {
    constexpr int tokens = Plan::tokens;
    Rings<Plan> rings(bytes, shared);
    wait_for_previous();
    Walk walk(work, part);
    const Pieces<tokens, 1> pieces{work, walk.first_left(), part, warp, 0, lane};
    for (; walk.more(); walk.next()) {
        const ItemPlace place(work, walk.item, tokens);
        TileSums<tokens> sum[2];
        const int steps = walk.end - walk.step;
        if (Plan::format == Plan::other_format || work.decode.product[place.product].second == 0)
            add_wide_piece<Plan::format, Plan>(rings, steps, warp, lane, sum);
        else
            add_wide_piece<Plan::other_format, Plan>(rings, steps, warp, lane, sum);
        if (walk.whole()) {
            write_item<tokens, 1>(
                work, place, warp, 0, lane, sum,
                reinterpret_cast<float*>(bytes + Plan::desks_at + warp * desk_bytes));
        } else {
            for (int tile = 0; tile < 2; ++tile)
                pieces.leave(walk.begins_run() ? 0 : 1, 2 * warp + tile, sum[tile]);
        }
    }
    finish_pieces(pieces, part);
}

constexpr int wide_threads = (block_tiles / 2 + copy_warps) * 32;

template <class Plan>
__global__ void __launch_bounds__(wide_threads, 1)
    wide_kernel(const __grid_constant__ WarpgroupWork work) {
    extern __shared__ __align__(1024) std::uint8_t bytes[];
    const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(bytes));
    // From a shuffle, so that the compiler knows it to be the same in all lanes.
    const int warp = __shfl_sync(~0U, static_cast<int>(threadIdx.x) / 32, 0);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (threadIdx.x == 0) make_rings<Plan>(shared);
    __syncthreads();
    if (warp < Plan::consumers) {
        take_registers<232>();
        consume_wide<Plan>(work, bytes, shared, static_cast<int>(blockIdx.x), warp, lane);
    } else {
        leave_registers<40>();
        copy_all<Plan>(work, shared, warp - Plan::consumers, lane);
    }
}

template <WeightFormat first, WeightFormat second>
WarpgroupKernel wide_of() {
    using Plan = WidePlan<first, second>;
    return {wide_kernel<Plan>, Plan::shared_bytes, wide_threads, Plan::tokens};
}

}  // namespace sluice::cuda
