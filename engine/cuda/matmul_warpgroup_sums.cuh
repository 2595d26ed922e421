// What becomes of the sums of matmul_warpgroup's kernels: written where an item's steps are all
// there, else left in the workspace as a piece and added up by those that made the pieces.
#pragma once

#include "engine/cuda/matmul_warpgroup_work.cuh"
#include "engine/cuda/swiglu.cuh"

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

// A row's sum. None of these formats has scales of rows (those of DecodeProduct are of fp8).
__device__ inline void write_sum(const DecodeWork& work, float* at, float sum) {
    const float value = sum * work.scale;
    if (work.into == Into::add)
        atomicAdd(at, value);  // once each, and nothing waits for what was there
    else
        *at = value;
}

// SwiGLU's output for a row of gate and up: plain, or arranged for the product that reads it next.
__device__ inline void write_one_gated(const WarpgroupWork& work, int token, int row, float gate,
                                       float up) {
    const DecodeWork& decode = work.decode;
    const f16 value = rounded<f16>(Gated(decode.scale)(gate, up));
    const std::int64_t at =
        work.out_rows > 0
            ? arranged_place(token, row - row % 2, work.out_rows) / 2 + row % 2
            : std::int64_t{token} * decode.out_stride + decode.product[0].out_column + row;
    static_cast<f16*>(decode.out)[at] = value;
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
        if (work.decode.into == Into::swiglu)
            write_one_gated(work, t, row, sum[i], up[i]);
        else
            write_sum(work.decode,
                      static_cast<float*>(work.decode.out) +
                          std::int64_t{t} * work.decode.out_stride + product.out_column + row,
                      sum[i]);
    }
}

// Sums go out by a desk in shared memory, [16 tokens][32 rows of a pair of tiles]: memory is
// written in runs, and the code is short (unrolled over all sums it does not fit the instruction
// cache, which costs up to a third of the time).

template <int warps>
__device__ inline void write_rows(const WarpgroupWork& work, const DecodeProduct& product,
                                  int first_row, int token, int number, int lane,
                                  const float* desk) {
    const DecodeWork& decode = work.decode;
    const int row = first_row + lane;
    if (row >= product.rows) return;
    constexpr int share = desk_tokens / warps;
    const int begin = number * share;
    const int end = min(begin + share, decode.T - token);
    float* out = static_cast<float*>(decode.out) + std::int64_t{token + begin} * decode.out_stride +
                 product.out_column + row;
#pragma unroll 4
    for (int t = begin; t < end; ++t, out += decode.out_stride)
        write_sum(decode, out, desk[t * desk_pitch + lane]);
}

// Rows 2 u, 2 u + 1, 2 u + 8 and 2 u + 9 of a row tile of a token, which arranged.h puts together.
__device__ inline void write_four(const WarpgroupWork& work, int first_row, int u, int token,
                                  uint2 values) {
    const DecodeWork& decode = work.decode;
    if (work.out_rows > 0) {
        auto* to = static_cast<std::uint8_t*>(decode.out) +
                   arranged_place(token, first_row + 2 * u, work.out_rows);
        *reinterpret_cast<uint2*>(to) = values;
        return;
    }
    auto* to = static_cast<f16*>(decode.out) + std::int64_t{token} * decode.out_stride +
               decode.product[0].out_column;
    const auto* each = reinterpret_cast<const f16*>(&values);
    for (int i = 0; i < 4; ++i) {
        const int row = first_row + 2 * u + i % 2 + i / 2 * 8;
        if (row < decode.product[0].rows) to[row] = each[i];
    }
}

// Of gate's and up's sums on a desk that two warps share, of which this is number `number`.
__device__ inline void write_gated(const WarpgroupWork& work, int first_row, int token, int number,
                                   int lane, const float* desk) {
    static_assert(desk_tokens == 16);  // a lane has one of them
    const DecodeWork& decode = work.decode;
    const Gated gated(decode.scale);
    const int u = lane % 4;
    const int t = number * 8 + lane / 4;
    if (token + t >= decode.T) return;
    __half values[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = 2 * u + i % 2 + i / 2 * 8;
        const float* at = desk + t * desk_pitch + row;
        const float value = gated(at[0], at[tile_rows]);
        values[i] = rounded<f16>(first_row + row < decode.product[0].rows ? value : 0.0F);
    }
    write_four(work, first_row, u, token + t, *reinterpret_cast<const uint2*>(values));
}

// A warp that has both tiles has gate and up of a number in the same lane: what comes of them
// crosses the desk, [16 tokens][16 rows] of f16, turned on the way there.
template <int tokens>
__device__ inline void write_gated_tiles(const WarpgroupWork& work, int first_row, int first_token,
                                         int lane, const TileSums<tokens> (&sum)[2],
                                         std::uint8_t* desk) {
    constexpr int pitch = 48;  // keeps eight tokens in different banks
    static_assert(desk_tokens * pitch <= desk_bytes);
    const DecodeWork& decode = work.decode;
    const Gated gated(decode.scale);
    const bool inside[2] = {first_row + lane / 4 < decode.product[0].rows,
                            first_row + lane / 4 + 8 < decode.product[0].rows};
    // Of the four matrices of 8 x 8: tokens by 8, and rows by 8 within them.
    std::uint8_t* to = desk + (lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 16;
    const std::uint8_t* from = desk + lane / 4 * pitch + lane % 4 * 4;
#pragma unroll
    for (int n = 0; n < tokens / 8; n += 2) {
        const int token = first_token + n * 8;
        if (token >= decode.T) return;
        std::uint32_t pairs[4];
#pragma unroll
        for (int m = 0; m < 4; ++m) {
            const int at = (n + m / 2) * 4 + m % 2 * 2;
            const __half2 values =
                rounded_pair(gated(sum[0][at], sum[1][at]), gated(sum[0][at + 1], sum[1][at + 1]));
            pairs[m] = inside[m % 2] ? bits_of(values) : 0;
        }
        store_turned(to, pairs);
        __syncwarp();
#pragma unroll
        for (int t = 0; t < desk_tokens; t += 8) {
            const auto* rows = reinterpret_cast<const std::uint32_t*>(from + t * pitch);
            if (token + t + lane / 4 < decode.T)
                write_four(work, first_row, lane % 4, token + t + lane / 4, {rows[0], rows[4]});
        }
        __syncwarp();
    }
}

// Warps of a pair of row tiles; one or two.
template <int warps>
__device__ inline void meet_pair(int pair) {
    if constexpr (warps == 1)
        __syncwarp();
    else
        asm volatile("bar.sync %0, 64;" ::"r"(1 + pair) : "memory");
}

// The sums of an item of which all steps are there; `sum` of the tiles that a warp has. A pair of
// tiles is two row tiles, and for SwiGLU one: of gate and the same one of up.
template <int tokens, int warps>
__device__ inline void write_item(const WarpgroupWork& work, const ItemPlace& place, int pair,
                                  int number, int lane, const TileSums<tokens> (&sum)[2 / warps],
                                  float* desk) {
    const DecodeProduct& product = work.decode.product[place.product];
    const int first_row = place.row_tile(work, 2 * pair) * tile_rows;
    if (first_row >= product.rows) return;
    if constexpr (warps == 1) {
        if (work.decode.into == Into::swiglu) {
            write_gated_tiles<tokens>(work, first_row, place.first_token, lane, sum,
                                      reinterpret_cast<std::uint8_t*>(desk));
            return;
        }
    }
    float* own = desk + lane % 4 * 2 * desk_pitch + number * tile_rows + lane / 4;
#pragma unroll
    for (int n = 0; n < tokens / 8; n += 2) {
        const int token = place.first_token + n * 8;
        if (token >= work.decode.T) return;
#pragma unroll
        for (int i = 0; i < 16 / warps; ++i) {
            const int octet = i / 4 % 2, tile = i / 8;
            own[(octet * 8 + i % 2) * desk_pitch + tile * tile_rows + i % 4 / 2 * 8] =
                sum[tile][(n + octet) * 4 + i % 4];
        }
        meet_pair<warps>(pair);
        if (warps == 2 && work.decode.into == Into::swiglu)
            write_gated(work, first_row, token, number, lane, desk);
        else
            write_rows<warps>(work, product, first_row, token, number, lane, desk);
        meet_pair<warps>(pair);
    }
}

template <int tokens>
constexpr int tile_sums = tile_rows* tokens;

// The pieces of cut items, in the workspace. Pairs of row tiles go together, for SwiGLU's sake:
// `pair`, that `warps` warps have, of which this is number `number`.
template <int tokens, int warps>
struct Pieces {
    const WarpgroupWork& work;
    int first_left;  // of the items that may be cut
    int part, pair, number, lane;

    __device__ float4* at(int of_part, int slot, int tile) const {
        const std::int64_t index = (std::int64_t{of_part} * 2 + slot) * block_tiles + tile;
        return reinterpret_cast<float4*>(work.pieces + index * tile_sums<tokens>) + lane;
    }
    // A cut item's counters are named after its first part.
    __device__ int* counter(int first_part) const {
        return work.arrived + first_part * (block_tiles / 2) + pair;
    }
    __device__ void leave(int slot, int tile, const TileSums<tokens>& sum) const {
        float4* to = at(part, slot, tile);
#pragma unroll
        for (int n = 0; n < tokens / 8; ++n)
            to[n * 32] = float4{sum[n * 4], sum[n * 4 + 1], sum[n * 4 + 2], sum[n * 4 + 3]};
    }
    // After a fence: this warp's piece of the item, counted from first_left, may be read.
    __device__ void announce(const Run& run, int item) const {
        if (lane == 0) atomicAdd(counter(run.block_of(item * run.steps)), 1);
    }
    // Waits for all pieces of the item and adds up this warp's share of the pair's tokens.
    __device__ void add_up(const Run& run, int item) const {
        const int first_part = run.block_of(item * run.steps);
        const int parts = run.block_of((item + 1) * run.steps - 1) - first_part + 1;
        const int head_slot = run.begin(first_part) < item * run.steps ? 1 : 0;
        int* arrived = counter(first_part);
        if (lane == 0) {
            int now = 0;
            while (now < warps * parts)
                asm volatile("ld.acquire.gpu.global.s32 %0, [%1];"
                             : "=r"(now)
                             : "l"(arrived)
                             : "memory");
        }
        __syncwarp();
        const ItemPlace place(work, first_left + item, tokens);
        for (int n = (part - first_part) * warps + number; n < tokens / 8; n += warps * parts) {
            const int token = place.first_token + n * 8;
            if (token >= work.decode.T) break;
            float sum[2][4] = {};
            // Only to the first of its parts may the item be the second one that is cut.
            const float4* from = at(first_part, head_slot, pair * 2) + n * 32;
#pragma unroll 4
            for (int i = 0; i < parts; ++i) {
#pragma unroll
                for (int tile = 0; tile < 2; ++tile) {
                    const float4 v = __ldcg(from + tile * (tile_sums<tokens> / 4));
                    sum[tile][0] += v.x;
                    sum[tile][1] += v.y;
                    sum[tile][2] += v.z;
                    sum[tile][3] += v.w;
                }
                from = at(first_part + i + 1, 0, pair * 2) + n * 32;
            }
            write_eight(work, place, pair * 2, lane, token, sum[0], sum[1]);
            if (work.decode.into != Into::swiglu)
                write_eight(work, place, pair * 2 + 1, lane, token, sum[1], sum[1]);
        }
        __syncwarp();
        // The last to leave makes the counter ready for the next launch.
        if (lane == 0 && atomicAdd(arrived, 1) == 2 * warps * parts - 1) *arrived = 0;
    }
};

// What a walk has left to do at its end.
struct Cut {
    int head = -1, last = -1;  // items, counted from the first that is left; -1: not cut
    __device__ Cut(const WarpgroupWork& work, int part) {
        const Run run(work);
        const int begin = run.begin(part), end = run.begin(part + 1);
        if (begin == end) return;
        const int first = begin / run.steps, final = (end - 1) / run.steps;
        if (begin > first * run.steps || end < (first + 1) * run.steps) head = first;
        if (final != first && end < (final + 1) * run.steps) last = final;
    }
};

template <int tokens, int warps>
__device__ inline void finish_pieces(const Pieces<tokens, warps>& pieces, int part) {
    const Run run(pieces.work);
    const Cut cut(pieces.work, part);
    if (cut.head < 0 && cut.last < 0) return;
    __threadfence();
    __syncwarp();
    if (cut.head >= 0) pieces.announce(run, cut.head);
    if (cut.last >= 0) pieces.announce(run, cut.last);
    if (cut.head >= 0) pieces.add_up(run, cut.head);
    if (cut.last >= 0) pieces.add_up(run, cut.last);
}

}  // namespace sluice::cuda
