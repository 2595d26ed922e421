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
            rings.x.wait_full();
            const std::uint32_t operand =
                __shfl_sync(~0U, operand_at(rings.shared + rings.x.slot * Plan::stage_bytes), 0);
#pragma unroll
            for (int i = 0; i < stage_pairs; ++i) {
                for (int tile = 0; tile < 2; ++tile) {
                    reader[tile].pair(stage * stage_pairs + i, a[i][tile]);
                    pin(a[i][tile]);
                }
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

// Sums on their way out: [16 tokens][32 rows of two tiles], in the warp's own shared memory, so
// that memory is written in runs and the code that does it is short (unrolled over all sums it does
// not fit the instruction cache, which costs a quarter of the time).
constexpr int desk_tokens = 16;
constexpr int desk_pitch = 36;  // floats; keeps banks apart

__device__ inline void write_rows(const WarpgroupWork& work, const DecodeProduct& product,
                                  int first_row, int token, int lane, const float* desk) {
    const DecodeWork& decode = work.decode;
    const int row = first_row + lane;
    if (row >= product.rows) return;
    float* out = static_cast<float*>(decode.out) + std::int64_t{token} * decode.out_stride +
                 product.out_column + row;
    const int count = min(desk_tokens, decode.T - token);
#pragma unroll 4
    for (int t = 0; t < count; ++t, out += decode.out_stride) {
        const float value = desk[t * desk_pitch + lane] * decode.scale;
        if (decode.into == Into::add)
            atomicAdd(out, value);  // once each, and nothing waits for what was there
        else
            *out = value;
    }
}

// A lane has rows 2 u, 2 u + 1, 2 u + 8 and 2 u + 9 of a token, which arranged.h puts together.
__device__ inline void write_gated(const WarpgroupWork& work, int first_row, int token, int lane,
                                   const float* desk) {
    const DecodeWork& decode = work.decode;
    const int rows = decode.product[0].rows;
    const int u = lane % 4;
#pragma unroll 1
    for (int t = lane / 4; t < desk_tokens && token + t < decode.T; t += 8) {
        __half values[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float* at = desk + t * desk_pitch + 2 * u + i % 2 + i / 2 * 8;
            const float gate = at[0] * decode.scale;
            const float up = at[tile_rows] * decode.scale;
            const float value = __fdividef(gate, 1.0F + __expf(-gate)) * up / swiglu_scale;
            const bool inside = first_row + 2 * u + i % 2 + i / 2 * 8 < rows;
            values[i] = rounded<f16>(inside ? value : 0.0F);
        }
        if (work.out_rows > 0) {
            auto* to = static_cast<std::uint8_t*>(decode.out) +
                       arranged_place(token + t, first_row + 2 * u, work.out_rows);
            *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(values);
            continue;
        }
        auto* to = static_cast<f16*>(decode.out) + std::int64_t{token + t} * decode.out_stride;
        for (int i = 0; i < 4; ++i) {
            const int row = first_row + 2 * u + i % 2 + i / 2 * 8;
            if (row < rows) to[decode.product[0].out_column + row] = values[i];
        }
    }
}

template <int tokens>
__device__ inline void write_wide_item(const WarpgroupWork& work, const ItemPlace& place, int warp,
                                       int lane, const TileSums<tokens> (&sum)[2], float* desk) {
    const DecodeProduct& product = work.decode.product[place.product];
    const int first_row = place.row_tile(work, 2 * warp) * tile_rows;
    if (first_row >= product.rows) return;
#pragma unroll
    for (int n = 0; n < tokens / 8; n += 2) {
        const int token = place.first_token + n * 8;
        if (token >= work.decode.T) return;
#pragma unroll
        for (int i = 0; i < 16; ++i) {
            const int tile = i / 4 % 2, octet = i / 8;
            desk[(octet * 8 + lane % 4 * 2 + i % 2) * desk_pitch + tile * tile_rows +
                 i % 4 / 2 * 8 + lane / 4] = sum[tile][(n + octet) * 4 + i % 4];
        }
        __syncwarp();
        if (work.decode.into == Into::swiglu)
            write_gated(work, first_row, token, lane, desk);
        else
            write_rows(work, product, first_row, token, lane, desk);
        __syncwarp();
    }
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
            write_wide_item<tokens>(
                work, place, warp, lane, sum,
                reinterpret_cast<float*>(bytes + Plan::desks_at + warp * Plan::desk_bytes));
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
