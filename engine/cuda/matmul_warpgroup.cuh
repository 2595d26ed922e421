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

#include "engine/cuda/matmul_warpgroup_work.cuh"

namespace sluice::cuda {

// The compiler makes these values before the products that come next in the program.
__device__ inline void pin(Fragments& a) {
    asm volatile(""
                 : "+r"(a[0][0]), "+r"(a[0][1]), "+r"(a[0][2]), "+r"(a[0][3]), "+r"(a[1][0]),
                   "+r"(a[1][1]), "+r"(a[1][2]), "+r"(a[1][3]));
}

template <int tokens>
using TileSums = float[tokens / 2];

template <int tokens>
__device__ inline void pin(TileSums<tokens>& sum) {
#pragma unroll
    for (int i = 0; i < tokens / 2; ++i) asm volatile("" : "+f"(sum[i]));
}

// What a consumer keeps of the rings from piece to piece.
template <class Plan>
struct Rings {
    std::uint32_t shared;
    const std::uint8_t* bytes;
    Ring<Plan::x_slots> x;
    Ring<Plan::weight_slots> weights;
    __device__ Rings(const std::uint8_t* at, std::uint32_t address)
        : shared(address),
          bytes(at),
          x(address + Plan::barriers_at),
          weights(address + Plan::barriers_at + 16 * Plan::x_slots) {}
};

// sum = the products of some steps. While the tensor cores work on some pairs of columns, the next
// ones' weights are made ready.
template <WeightFormat format, class Plan, int tokens>
__device__ inline void add_piece(Rings<Plan>& rings, int steps, int warp, int lane,
                                 TileSums<tokens>& sum) {
    constexpr int batch = Plan::batch;
    constexpr int batches = 2 * stage_chunks / batch;
    for (int step = 0; step < steps; ++step) {
        rings.weights.wait_full();
        WeightReader<format> reader;
        reader.open(rings.bytes + Plan::weights_at + rings.weights.slot * Plan::step_bytes +
                        warp * Plan::tile_bytes,
                    lane);
        Fragments a[2][batch];
#pragma unroll
        for (int stage = 0; stage < Plan::stages; ++stage) {
            rings.x.wait_full();
            const std::uint32_t operand =
                __shfl_sync(~0U, operand_at(rings.shared + rings.x.slot * Plan::stage_bytes), 0);
#pragma unroll
            for (int i = 0; i < batches; ++i) {
#pragma unroll
                for (int j = 0; j < batch; ++j) {
                    reader.pair((stage * batches + i) * batch + j, a[i % 2][j]);
                    pin(a[i % 2][j]);
                }
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

// SwiGLU's output where the product that reads it next looks for it.
__device__ inline void write_arranged(const WarpgroupWork& work, int token, int row, float gate,
                                      float up) {
    const float value = silu(gate * work.decode.scale) * (up * work.decode.scale);
    auto* to = static_cast<std::uint8_t*>(work.decode.out) +
               arranged_place(token, row - row % 2, work.out_rows) + row % 2 * 2;
    *reinterpret_cast<f16*>(to) = rounded<f16>(value / swiglu_scale);
}

// What becomes of the sums of eight tokens from `token` on, of one of the block's row tiles; for
// SwiGLU it is one of gate, and `up` the same one of up.
__device__ inline void write_eight(const WarpgroupWork& work, const ItemPlace& place, int tile,
                                   int lane, int token, const float (&sum)[4],
                                   const float (&up)[4]) {
    const DecodeProduct& product = work.decode.product[place.product];
    const int first_row = place.row_tile(work, tile) * tile_rows + lane / 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = first_row + i / 2 * 8;
        const int t = token + lane % 4 * 2 + i % 2;
        if (row >= product.rows || t >= work.decode.T) continue;
        if (work.decode.into == Into::add)  // once each, and nothing waits for what was there
            atomicAdd(static_cast<float*>(work.decode.out) +
                          std::int64_t{t} * work.decode.out_stride + product.out_column + row,
                      sum[i] * work.decode.scale);
        else if (work.out_rows == 0)
            write_value<false>(work.decode, product, t, row, sum[i], up[i]);
        else
            write_arranged(work, t, row, sum[i], up[i]);
    }
}

__device__ inline void wait_for_pair(int warp) {
    asm volatile("bar.sync %0, 64;" ::"r"(1 + warp / 2) : "memory");
}

// Sums of an item that a warp had all steps of. For SwiGLU the warp that has up hands its sums,
// sixteen tokens at a time, to the one that has gate.
template <int tokens>
__device__ inline void write_item(const WarpgroupWork& work, const ItemPlace& place, int warp,
                                  int lane, const TileSums<tokens>& sum, float4* exchange) {
    const bool swiglu = work.decode.into == Into::swiglu;
    const bool gate = warp % 2 == 0;
    exchange += warp / 2 * 64 + lane;
#pragma unroll
    for (int n = 0; n < tokens / 8; ++n) {
        const float own[4] = {sum[n * 4], sum[n * 4 + 1], sum[n * 4 + 2], sum[n * 4 + 3]};
        float up[4] = {};
        if (swiglu) {
            float4& place_of_up = exchange[n % 2 * 32];
            if (!gate) place_of_up = {own[0], own[1], own[2], own[3]};
            wait_for_pair(warp);
            if (!gate) continue;
            const float4 v = place_of_up;
            up[0] = v.x, up[1] = v.y, up[2] = v.z, up[3] = v.w;
        }
        write_eight(work, place, warp, lane, place.first_token + n * 8, own, up);
    }
    if (swiglu) wait_for_pair(warp);
}

template <int tokens>
constexpr int warp_sums = tile_rows* tokens;

// The pieces of cut items, in the workspace.
template <int tokens>
struct Pieces {
    const WarpgroupWork& work;
    int part, warp, lane;

    __device__ float4* at(int of_part, int slot, int of_warp) const {
        const std::int64_t index = (std::int64_t{of_part} * 2 + slot) * consumer_warps + of_warp;
        return reinterpret_cast<float4*>(work.pieces + index * warp_sums<tokens>) + lane;
    }
    // Of two warps, for SwiGLU's sake. A cut item's counters are named after its first part.
    __device__ int* counter(int first_part) const {
        return work.arrived + first_part * (consumer_warps / 2) + warp / 2;
    }
    __device__ void leave(int slot, const TileSums<tokens>& sum) const {
        float4* to = at(part, slot, warp);
#pragma unroll
        for (int n = 0; n < tokens / 8; ++n)
            to[n * 32] = float4{sum[n * 4], sum[n * 4 + 1], sum[n * 4 + 2], sum[n * 4 + 3]};
    }
    // After a fence: this warp's piece of the item may be read.
    __device__ void announce(const Run& run, int item) const {
        if (lane == 0) atomicAdd(counter(run.block_of(item * run.steps)), 1);
    }
    // Waits for all pieces of the item and adds up this warp's share of two row tiles' tokens.
    __device__ void add_up(const Run& run, int item) const {
        const int first_part = run.block_of(item * run.steps);
        const int parts = run.block_of((item + 1) * run.steps - 1) - first_part + 1;
        const int head_slot = run.begin(first_part) < item * run.steps ? 1 : 0;
        int* arrived = counter(first_part);
        if (lane == 0) {
            int now = 0;
            while (now < 2 * parts)
                asm volatile("ld.acquire.gpu.global.s32 %0, [%1];"
                             : "=r"(now)
                             : "l"(arrived)
                             : "memory");
        }
        __syncwarp();
        const ItemPlace place(work, item, tokens);
        for (int n = (part - first_part) * 2 + warp % 2; n < tokens / 8; n += 2 * parts) {
            const int token = place.first_token + n * 8;
            if (token >= work.decode.T) break;
            float sum[2][4] = {};
            // Only to the first of its parts may the item be the second one that is cut.
            const float4* from = at(first_part, head_slot, warp / 2 * 2) + n * 32;
#pragma unroll 4
            for (int i = 0; i < parts; ++i) {
#pragma unroll
                for (int tile = 0; tile < 2; ++tile) {
                    const float4 v = __ldcg(from + tile * (warp_sums<tokens> / 4));
                    sum[tile][0] += v.x;
                    sum[tile][1] += v.y;
                    sum[tile][2] += v.z;
                    sum[tile][3] += v.w;
                }
                from = at(first_part + i + 1, 0, warp / 2 * 2) + n * 32;
            }
            write_eight(work, place, warp / 2 * 2, lane, token, sum[0], sum[1]);
            if (work.decode.into != Into::swiglu)
                write_eight(work, place, warp / 2 * 2 + 1, lane, token, sum[1], sum[1]);
        }
        __syncwarp();
        // The last to leave makes the counter ready for the next launch.
        if (lane == 0 && atomicAdd(arrived, 1) == 4 * parts - 1) *arrived = 0;
    }
};

template <WeightFormat first, WeightFormat second, int tokens>
__device__ inline void consume(const WarpgroupWork& work, std::uint8_t* bytes, std::uint32_t shared,
                               int part, int warp, int lane) {
    using Plan = WarpgroupPlan<first, second, tokens>;
    Rings<Plan> rings(bytes, shared);
    const Run run(work);
    const Pieces<tokens> pieces{work, part, warp, lane};
    const int begin = run.begin(part);
    const int end = run.begin(part + 1);
    wait_for_previous();
    for (int unit = begin; unit < end;) {
        const Piece piece(run, unit, end);
        const ItemPlace place(work, piece.item, tokens);
        TileSums<tokens> sum;
        const int steps = piece.end - piece.step;
        if (first == second || work.decode.product[place.product].second == 0)
            add_piece<first, Plan, tokens>(rings, steps, warp, lane, sum);
        else
            add_piece<second, Plan, tokens>(rings, steps, warp, lane, sum);
        if (piece.whole(run))
            write_item<tokens>(work, place, warp, lane, sum,
                               reinterpret_cast<float4*>(bytes + Plan::exchange_at));
        else
            pieces.leave(unit == begin ? 0 : 1, sum);
        unit += steps;
    }
    const int head = begin / run.steps;
    const int last = (end - 1) / run.steps;
    const bool head_cut = !Piece(run, begin, end).whole(run);
    const bool last_cut = last != head && end < (last + 1) * run.steps;
    if (head_cut || last_cut) __threadfence();
    __syncwarp();
    if (head_cut) pieces.announce(run, head);
    if (last_cut) pieces.announce(run, last);
    if (head_cut) pieces.add_up(run, head);
    if (last_cut) pieces.add_up(run, last);
}

template <WeightFormat first, WeightFormat second, int tokens>
__global__ void __launch_bounds__(warpgroup_threads, 1)
    warpgroup_kernel(const __grid_constant__ WarpgroupWork work) {
    extern __shared__ __align__(1024) std::uint8_t bytes[];
    using Plan = WarpgroupPlan<first, second, tokens>;
    const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(bytes));
    // From a shuffle, so that the compiler knows it to be the same in all lanes.
    const int warp = __shfl_sync(~0U, static_cast<int>(threadIdx.x) / 32, 0);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int part = static_cast<int>(blockIdx.x);
    if (threadIdx.x == 0) {
        const std::uint32_t at = shared + Plan::barriers_at;
        for (int i = 0; i < 2 * Plan::x_slots; ++i)
            init_barrier(at + i * 8, i < Plan::x_slots ? 1 : consumer_warps);
        for (int i = 0; i < 2 * Plan::weight_slots; ++i)
            init_barrier(at + (2 * Plan::x_slots + i) * 8,
                         i < Plan::weight_slots ? 2 : consumer_warps);
        publish_barriers();
    }
    __syncthreads();
    if (warp < consumer_warps) {
        if constexpr (tokens >= 32) take_registers<112>();
        consume<first, second, tokens>(work, bytes, shared, part, warp, lane);
    } else {
        if constexpr (tokens >= 32) leave_registers<32>();
        if (warp < consumer_warps + 2) {
            copy_weights<first, second, tokens>(work, shared, part,
                                                (warp - consumer_warps) * (block_tiles / 2), lane);
            let_next_start();
            ask_ahead(work.decode.ahead, (threadIdx.x - consumer_warps * 32) * gridDim.x + part,
                      gridDim.x * 64);
        } else if (warp == consumer_warps + 2 && lane == 0) {
            wait_for_previous();
            copy_x<first, second, tokens>(work, shared, part);
        }
    }
}

template <WeightFormat first, WeightFormat second, int tokens>
WarpgroupKernel warpgroup_of() {
    return {warpgroup_kernel<first, second, tokens>,
            WarpgroupPlan<first, second, tokens>::shared_bytes, tokens};
}

template <WeightFormat first, WeightFormat second = first>
WarpgroupKernel warpgroup_any(int tokens) {
    if (tokens == 16) return warpgroup_of<first, second, 16>();
    if (tokens == 32) return warpgroup_of<first, second, 32>();
    return warpgroup_of<first, second, 64>();
}

}  // namespace sluice::cuda
