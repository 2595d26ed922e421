// The work of matmul_warpgroup as its blocks share it, the rings in shared memory, and the warps
// that fill them.
#pragma once

#include "engine/cuda/arranged.h"
#include "engine/cuda/decode_product.cuh"
#include "engine/cuda/warpgroup.cuh"

namespace sluice::cuda {

constexpr int consumer_warps = 16;
constexpr int warpgroup_threads = (consumer_warps + 4) * 32;  // the last warp is idle
constexpr int block_tiles = consumer_warps;
constexpr int stage_chunks = 2;  // of activations: 128 columns

struct WarpgroupWork {
    DecodeWork decode;  // product.first: its first group of rows
    const std::uint8_t* x;
    int x_rows;
    int token_tiles;
    int shorter, longer;  // units of a block, and how many blocks have one more
    int out_rows;         // of arranged out; 0: plain
    float* pieces;        // [block][2][warp][warp_sums]
    int* arrived;         // [block][warp / 2]: of the item that is the block's last
};

struct WarpgroupKernel {
    void (*kernel)(WarpgroupWork) = nullptr;
    int shared_bytes = 0;
    int tokens = 0;  // of a tile
};

// `tokens`: 16, 32 or 64. No kernel where the two formats do not go together. Each is defined
// beside its instantiations.
WarpgroupKernel warpgroup_q4_k(WeightFormat first, WeightFormat second, int tokens);
WarpgroupKernel warpgroup_q5_k(WeightFormat first, WeightFormat second, int tokens);
WarpgroupKernel warpgroup_q6_k(WeightFormat first, WeightFormat second, int tokens);
WarpgroupKernel warpgroup_small_blocks(WeightFormat format, int tokens);

template <WeightFormat first, WeightFormat second, int tokens>
struct WarpgroupPlan {
    static constexpr int columns = step_layout(first).columns;
    static_assert(columns == step_layout(second).columns);
    static constexpr int stages = columns / (chunk_columns * stage_chunks);  // of a step
    static constexpr int chunk_bytes = tokens * chunk_row_bytes;
    static constexpr int stage_bytes = stage_chunks * chunk_bytes;
    static constexpr int tile_bytes = slot_bytes<first, second>;
    static constexpr int step_bytes = block_tiles * tile_bytes;
    // Pairs of columns made ready at a time; registers are few.
    static constexpr int batch = tokens > 32 || first != second ? 1 : 2;
    static constexpr int exchange_bytes = consumer_warps / 2 * 1024;
    static constexpr int ring_bytes = 226 * 1024 - exchange_bytes - 256;
    static constexpr int fewest_x = 4;
    static constexpr int fitting = (ring_bytes - fewest_x * stage_bytes) / step_bytes;
    static constexpr int weight_slots = fitting < 4 ? fitting : 4;
    static_assert(weight_slots >= 2);
    static constexpr int x_fitting = (ring_bytes - weight_slots * step_bytes) / stage_bytes;
    static constexpr int x_slots = x_fitting < 8 ? x_fitting : 8;
    static constexpr int weights_at = x_slots * stage_bytes;
    static constexpr int exchange_at = weights_at + weight_slots * step_bytes;
    static constexpr int barriers_at = exchange_at + exchange_bytes;
    static constexpr int shared_bytes = barriers_at + 16 * (x_slots + weight_slots);
};

// A ring's barriers: `slots` of them that say full, then as many that say empty.
template <int slots>
struct Ring {
    std::uint32_t barriers;
    int slot = 0;
    std::uint32_t parity = 0;
    __device__ explicit Ring(std::uint32_t at) : barriers(at) {}
    __device__ std::uint32_t full() const { return barriers + slot * 8; }
    __device__ std::uint32_t empty() const { return barriers + (slots + slot) * 8; }
    __device__ std::uint32_t previous_empty() const {
        return barriers + (slots + (slot == 0 ? slots - 1 : slot - 1)) * 8;
    }
    __device__ void wait_full() const { wait_at(full(), parity); }
    __device__ void wait_empty() const { wait_at(empty(), parity ^ 1); }
    __device__ void next() {
        if (++slot < slots) return;
        slot = 0;
        parity ^= 1;
    }
};

// A block's run of units: the first `longer` blocks have one more than the others.
struct Run {
    int steps, shorter, longer;
    __device__ explicit Run(const WarpgroupWork& work)
        : steps(work.decode.steps), shorter(work.shorter), longer(work.longer) {}
    __device__ int begin(int block) const { return block * shorter + min(block, longer); }
    __device__ int block_of(int unit) const {
        const int beyond = unit - longer * (shorter + 1);
        return beyond < 0 ? unit / (shorter + 1) : longer + beyond / shorter;
    }
};

struct Piece {
    int item, step, end;
    __device__ Piece(const Run& run, int unit, int unit_end)
        : item(unit / run.steps),
          step(unit % run.steps),
          end(min(run.steps, step + unit_end - unit)) {}
    __device__ bool whole(const Run& run) const { return step == 0 && end == run.steps; }
};

// The rows and tokens of an item.
struct ItemPlace {
    int product;
    int first_token;
    int block;  // of the product's blocks of rows
    __device__ ItemPlace(const WarpgroupWork& work, int item, int tokens) {
        const int group = item / work.token_tiles;
        first_token = item % work.token_tiles * tokens;
        product = 0;
        if (work.decode.into != Into::swiglu)
            while (product + 1 < work.decode.products &&
                   group >= work.decode.product[product + 1].first)
                ++product;
        block = group - work.decode.product[product].first;
    }
    __device__ static int matrix(const WarpgroupWork& work, int product, int tile) {
        return work.decode.into == Into::swiglu ? tile % 2 : product;
    }
    // Of tile 0..15 of the block; may lie beyond the matrix.
    __device__ int row_tile(const WarpgroupWork& work, int tile) const {
        return work.decode.into == Into::swiglu ? block * (block_tiles / 2) + tile / 2
                                                : block * block_tiles + tile;
    }
};

// The weights of half of the block's row tiles, a lane one.
template <WeightFormat first, WeightFormat second, int tokens>
__device__ inline void copy_weights(const WarpgroupWork& work, std::uint32_t shared, int part,
                                    int first_tile, int lane) {
    using Plan = WarpgroupPlan<first, second, tokens>;
    Ring<Plan::weight_slots> ring(shared + Plan::barriers_at + 16 * Plan::x_slots);
    const std::uint64_t policy = read_once_policy();
    const Run run(work);
    const int end = run.begin(part + 1);
    for (int unit = run.begin(part); unit < end;) {
        const Piece piece(run, unit, end);
        const ItemPlace place(work, piece.item, tokens);
        const int tile = first_tile + lane % (block_tiles / 2);
        const DecodeProduct& matrix =
            work.decode.product[ItemPlace::matrix(work, place.product, tile)];
        const int bytes = first == second || matrix.second == 0 ? step_layout(first).bytes
                                                                : step_layout(second).bytes;
        const int row_tile =
            min(place.row_tile(work, tile), (matrix.rows + tile_rows - 1) / tile_rows - 1);
        const std::uint8_t* from =
            matrix.planes + (std::int64_t{row_tile} * run.steps + piece.step) * bytes;
        for (int step = piece.step; step < piece.end; ++step, from += bytes, ring.next()) {
            ring.wait_empty();
            if (lane == 0) arrive_for_bytes(ring.full(), bytes * (block_tiles / 2));
            __syncwarp();
            if (lane < block_tiles / 2)
                copy_bulk(shared + Plan::weights_at + ring.slot * Plan::step_bytes +
                              tile * Plan::tile_bytes,
                          from, bytes, ring.full(), policy);
        }
        unit += piece.end - piece.step;
    }
}

// By one thread.
template <WeightFormat first, WeightFormat second, int tokens>
__device__ inline void copy_x(const WarpgroupWork& work, std::uint32_t shared, int part) {
    using Plan = WarpgroupPlan<first, second, tokens>;
    Ring<Plan::x_slots> ring(shared + Plan::barriers_at);
    const Run run(work);
    const int end = run.begin(part + 1);
    for (int unit = run.begin(part); unit < end;) {
        const Piece piece(run, unit, end);
        const int token = piece.item % work.token_tiles * tokens;
        const std::uint8_t* from =
            work.x +
            (std::int64_t{piece.step * Plan::stages * stage_chunks} * work.x_rows + token) *
                chunk_row_bytes;
        for (int stage = piece.step * Plan::stages; stage < piece.end * Plan::stages;
             ++stage, ring.next()) {
            ring.wait_empty();
            arrive_for_bytes(ring.full(), Plan::stage_bytes);
            for (int chunk = 0; chunk < stage_chunks; ++chunk) {
                copy_bulk(shared + ring.slot * Plan::stage_bytes + chunk * Plan::chunk_bytes, from,
                          Plan::chunk_bytes, ring.full());
                from += std::int64_t{work.x_rows} * chunk_row_bytes;
            }
        }
        unit += piece.end - piece.step;
    }
}

}  // namespace sluice::cuda
