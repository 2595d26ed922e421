// The work of matmul_warpgroup as its blocks share it, the rings in shared memory, and the warps
// that fill them.
#pragma once

#include "engine/cuda/arranged.h"
#include "engine/cuda/decode_product.cuh"
#include "engine/cuda/warpgroup.cuh"
#include "engine/cuda/warpgroup_plan.h"

namespace sluice::cuda {

constexpr int copy_warps = 4;            // of a block, the last of which is idle
constexpr int block_bytes = 227 * 1024;  // of shared memory, that compute capability 9.0 has

// A desk: where a pair of row tiles' sums, or the f16s that SwiGLU makes of them, are put in the
// order in which they are written (matmul_warpgroup_sums.cuh).
constexpr int desk_tokens = 16;
constexpr int desk_pitch = 36;  // floats a token
constexpr int desk_bytes = desk_tokens * desk_pitch * 4;

struct WarpgroupWork {
    DecodeWork decode;  // product.first: its first group of rows
    const std::uint8_t* x;
    int x_rows;
    int token_tiles;
    int rounds;           // of whole items: a block's are as far apart as there are blocks
    int shorter, longer;  // units of a block then, and how many blocks have one more
    int out_rows;         // of arranged out; 0: plain
    float* pieces;        // [block][2][row tile][tile_sums]
    int* arrived;         // [block][row tile / 2]: of the item that is the block's last
};

struct WarpgroupKernel {
    void (*kernel)(WarpgroupWork) = nullptr;
    int shared_bytes = 0;
    int threads = 0;
    int tokens = 0;  // of a tile
};

// `tokens`: 16, 32, 64 or 128. No kernel where the two formats do not go together. Each is defined
// beside its instantiations.
WarpgroupKernel warpgroup_q4_k(WeightFormat first, WeightFormat second, int tokens);
WarpgroupKernel warpgroup_q5_k(WeightFormat first, WeightFormat second, int tokens);
WarpgroupKernel warpgroup_q6_k(WeightFormat first, WeightFormat second, int tokens);
WarpgroupKernel warpgroup_small_blocks(WeightFormat format, int tokens);
// Whichever there is, for the least and the greatest format.
WarpgroupKernel warpgroup_for(WeightFormat first, WeightFormat second, int tokens);

template <WeightFormat first, WeightFormat second, int tile_tokens>
struct WarpgroupPlan {
    static constexpr WeightFormat format = first;
    static constexpr WeightFormat other_format = second;
    static constexpr int tokens = tile_tokens;
    static constexpr int columns = step_layout(first).columns;
    static_assert(columns == step_layout(second).columns);
    static constexpr int stage_chunks = 2;  // of activations: 128 columns
    static constexpr int stages = columns / (chunk_columns * stage_chunks);  // of a step
    static constexpr int chunk_bytes = tokens * chunk_row_bytes;
    static constexpr int stage_bytes = stage_chunks * chunk_bytes;
    static constexpr int tile_bytes = slot_bytes<first, second>;
    static constexpr int step_bytes = block_tiles * tile_bytes;
    // Pairs of columns made ready at a time; registers are few.
    static constexpr int batch = tokens > 32 || first != second ? 1 : 2;
    static constexpr int consumers = block_tiles;  // warps
    static constexpr int desks = consumers / 2;
    static constexpr int ring_bytes = block_bytes - desks * desk_bytes - 256;
    static constexpr int fewest_x = 4;
    static constexpr int fitting = (ring_bytes - fewest_x * stage_bytes) / step_bytes;
    static constexpr int weight_slots = fitting < 4 ? fitting : 4;
    static_assert(weight_slots >= 2);
    static constexpr int x_fitting = (ring_bytes - weight_slots * step_bytes) / stage_bytes;
    static constexpr int x_slots = x_fitting < 8 ? x_fitting : 8;
    static constexpr int weights_at = x_slots * stage_bytes;
    static constexpr int desks_at = weights_at + weight_slots * step_bytes;
    static constexpr int barriers_at = desks_at + desks * desk_bytes;
    static constexpr int shared_bytes = barriers_at + 16 * (x_slots + weight_slots);
    static_assert(shared_bytes <= block_bytes);
};

// As above for 128 tokens, where a warp has two row tiles and nothing has to be exchanged.
template <WeightFormat first, WeightFormat second>
struct WidePlan {
    static constexpr WeightFormat format = first;
    static constexpr WeightFormat other_format = second;
    static constexpr int tokens = 128;
    static constexpr int columns = step_layout(first).columns;
    static_assert(columns == step_layout(second).columns);
    static constexpr int stage_chunks = 1;
    static constexpr int stages = columns / chunk_columns;
    static constexpr int chunk_bytes = tokens * chunk_row_bytes;
    static constexpr int stage_bytes = chunk_bytes;
    static constexpr int tile_bytes = slot_bytes<first, second>;
    static constexpr int step_bytes = block_tiles * tile_bytes;
    static constexpr int consumers = block_tiles / 2;  // warps
    static constexpr int ring_bytes = 226 * 1024 - 256 - consumers * desk_bytes;
    static constexpr int fewest_x = 6;
    static constexpr int fitting = (ring_bytes - fewest_x * stage_bytes) / step_bytes;
    static constexpr int weight_slots = fitting < 4 ? fitting : 4;
    static_assert(weight_slots >= 2);
    static constexpr int x_slots = (ring_bytes - weight_slots * step_bytes) / stage_bytes;
    static constexpr int weights_at = x_slots * stage_bytes;
    static constexpr int desks_at = weights_at + weight_slots * step_bytes;
    static constexpr int barriers_at = desks_at + consumers * desk_bytes;
    static constexpr int shared_bytes = barriers_at + 16 * (x_slots + weight_slots);
    static_assert(shared_bytes <= block_bytes);
};

// By one thread, before the rings are used.
template <class Plan>
__device__ inline void make_rings(std::uint32_t shared) {
    const std::uint32_t at = shared + Plan::barriers_at;
    for (int i = 0; i < 2 * Plan::x_slots; ++i)
        init_barrier(at + i * 8, i < Plan::x_slots ? 1 : Plan::consumers);
    for (int i = 0; i < 2 * Plan::weight_slots; ++i)
        init_barrier(at + (2 * Plan::x_slots + i) * 8,
                     i < Plan::weight_slots ? 2 : Plan::consumers);
    publish_barriers();
}

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
    __device__ bool is_full() const { return has_come(full(), parity); }
    __device__ void wait_full() const { wait_at(full(), parity); }
    __device__ void wait_empty() const { wait_at(empty(), parity ^ 1); }
    __device__ void next() {
        if (++slot < slots) return;
        slot = 0;
        parity ^= 1;
    }
};

// A block's run of units.
struct Run : RunShares {
    __device__ explicit Run(const WarpgroupWork& work)
        : RunShares{work.decode.steps, work.shorter, work.longer} {}
};

// What a block does, piece after piece: whole items, then its run of the items that are left.
struct Walk {
    Run run;
    int item;  // of all
    int step, end;
    __device__ Walk(const WarpgroupWork& work, int part)
        : run(work),
          blocks_(static_cast<int>(gridDim.x)),
          left_(work.rounds * blocks_),
          rounds_(work.rounds),
          part_(part),
          unit_(run.begin(part)),
          unit_end_(run.begin(part + 1)) {
        open();
    }
    __device__ bool more() const { return rounds_ > 0 || unit_ < unit_end_; }
    __device__ void next() {
        if (rounds_ > 0)
            --rounds_;
        else
            unit_ += end - step;
        open();
    }
    __device__ bool whole() const { return step == 0 && end == run.steps; }
    // Of the items that are left.
    __device__ int first_left() const { return left_; }
    __device__ bool begins_run() const { return unit_ == run.begin(part_); }

private:
    __device__ void open() {
        if (rounds_ > 0) {
            item = left_ - rounds_ * blocks_ + part_;
            step = 0;
            end = run.steps;
        } else {
            item = left_ + unit_ / run.steps;
            step = unit_ % run.steps;
            end = min(run.steps, step + unit_end_ - unit_);
        }
    }
    int blocks_, left_, rounds_, part_, unit_, unit_end_;
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
template <class Plan>
__device__ inline void copy_weights(const WarpgroupWork& work, std::uint32_t shared, int part,
                                    int first_tile, int lane) {
    Ring<Plan::weight_slots> ring(shared + Plan::barriers_at + 16 * Plan::x_slots);
    // Other tiles of tokens read them too, when there are others.
    const std::uint64_t policy = work.token_tiles == 1 ? read_once_policy() : read_often_policy();
    for (Walk walk(work, part); walk.more(); walk.next()) {
        const ItemPlace place(work, walk.item, Plan::tokens);
        const int tile = first_tile + lane % (block_tiles / 2);
        const DecodeProduct& matrix =
            work.decode.product[ItemPlace::matrix(work, place.product, tile)];
        const int bytes = Plan::format == Plan::other_format || matrix.second == 0
                              ? step_layout(Plan::format).bytes
                              : step_layout(Plan::other_format).bytes;
        const int row_tile =
            min(place.row_tile(work, tile), (matrix.rows + tile_rows - 1) / tile_rows - 1);
        const std::uint8_t* from =
            matrix.planes + (std::int64_t{row_tile} * walk.run.steps + walk.step) * bytes;
        for (int step = walk.step; step < walk.end; ++step, from += bytes, ring.next()) {
            ring.wait_empty();
            if (lane == 0) arrive_for_bytes(ring.full(), bytes * (block_tiles / 2));
            __syncwarp();
            if (lane < block_tiles / 2)
                copy_bulk(shared + Plan::weights_at + ring.slot * Plan::step_bytes +
                              tile * Plan::tile_bytes,
                          from, bytes, ring.full(), policy);
        }
    }
}

// By one thread.
template <class Plan>
__device__ inline void copy_x(const WarpgroupWork& work, std::uint32_t shared, int part) {
    Ring<Plan::x_slots> ring(shared + Plan::barriers_at);
    for (Walk walk(work, part); walk.more(); walk.next()) {
        const int token = walk.item % work.token_tiles * Plan::tokens;
        const std::uint8_t* from =
            work.x +
            (std::int64_t{walk.step * Plan::stages * Plan::stage_chunks} * work.x_rows + token) *
                chunk_row_bytes;
        for (int stage = walk.step * Plan::stages; stage < walk.end * Plan::stages;
             ++stage, ring.next()) {
            ring.wait_empty();
            arrive_for_bytes(ring.full(), Plan::stage_bytes);
            for (int chunk = 0; chunk < Plan::stage_chunks; ++chunk) {
                copy_bulk(shared + ring.slot * Plan::stage_bytes + chunk * Plan::chunk_bytes, from,
                          Plan::chunk_bytes, ring.full());
                from += std::int64_t{work.x_rows} * chunk_row_bytes;
            }
        }
    }
}

// The warps that copy; `warp` of them.
template <class Plan>
__device__ inline void copy_all(const WarpgroupWork& work, std::uint32_t shared, int warp,
                                int lane) {
    const int part = static_cast<int>(blockIdx.x);
    if (warp < 2) {
        copy_weights<Plan>(work, shared, part, warp * (block_tiles / 2), lane);
        let_next_start();
        ask_ahead(work.decode.ahead, (warp * 32 + lane) * gridDim.x + part, gridDim.x * 64);
    } else if (warp == 2 && lane == 0) {
        wait_for_previous();
        copy_x<Plan>(work, shared, part);
    }
}

}  // namespace sluice::cuda
