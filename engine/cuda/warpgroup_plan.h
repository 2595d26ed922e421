// How matmul_warpgroup shares a product among the blocks of a launch. Plain numbers, so that what
// the shares add up to can be held for every model's shape where there is no GPU
// (tests/cuda/plans).
//
// A group is the rows that a block takes at once, an item a group and a tile of tokens, a unit a
// step of an item's columns. Blocks take whole items in turn, as long as there is one for each, and
// then equal runs of the units that are left.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "engine/cuda/ways.h"

namespace sluice::cuda {

constexpr int block_tiles = 16;  // row tiles of a block
constexpr int tile_tokens_most = 128;
constexpr int tile_tokens_narrow = 64;  // more are tiles of 128

constexpr int tile_tokens(int T) {
    return T <= 16 ? 16 : T <= 32 ? 32 : T <= tile_tokens_narrow ? 64 : tile_tokens_most;
}
// Rows that an arranged x of T tokens has.
constexpr int warpgroup_rows(int T) {
    const int tokens = tile_tokens(T);
    return (T + tokens - 1) / tokens * tokens;
}

// The blocks' runs of units: the first `longer` blocks have one more than the others.
struct RunShares {
    int steps = 0;  // of an item
    int shorter = 0;
    int longer = 0;
    constexpr int begin(int block) const {
        return block * shorter + (block < longer ? block : longer);
    }
    // Whose run has this unit.
    constexpr int block_of(int unit) const {
        const int beyond = unit - longer * (shorter + 1);
        return beyond < 0 ? unit / (shorter + 1) : longer + beyond / shorter;
    }
};

struct WarpgroupShares {
    int groups = 0;
    int token_tiles = 0;
    int blocks = 0;
    int rounds = 0;  // of whole items: a block's are as far apart as there are blocks
    RunShares run;
};

// Groups of rows of one product; of gate and up together for SwiGLU.
constexpr int groups_of(const Product& product, bool swiglu) {
    const int each = swiglu ? block_tiles / 2 : block_tiles;
    return (row_tiles(product) + each - 1) / each;
}

// `steps` of columns; `resident`: blocks that the device holds at once.
constexpr WarpgroupShares share_warpgroups(std::span<const Product> products, bool swiglu,
                                           int steps, int T, int resident) {
    WarpgroupShares out;
    for (const Product& product : products)
        out.groups = swiglu ? groups_of(product, true) : out.groups + groups_of(product, false);
    out.token_tiles = warpgroup_rows(T) / tile_tokens(T);
    const int items = out.groups * out.token_tiles;
    out.blocks = std::min(resident, items * steps);
    // Blocks that work at the same time share rows and tokens when there are many of both.
    out.rounds = out.token_tiles > 1 ? items / out.blocks : 0;
    const int units = (items - out.rounds * out.blocks) * steps;
    out.run = {steps, units / out.blocks, units % out.blocks};
    return out;
}

// The workspace: a counter for each pair of a block's row tiles, then two pieces a block.
constexpr std::size_t warpgroup_counter_bytes(int processors) {
    return static_cast<std::size_t>(processors) * (block_tiles / 2) * sizeof(int);
}
constexpr std::size_t warpgroup_room(int processors) {
    constexpr std::size_t piece = sizeof(float) * block_tiles * tile_rows * tile_tokens_most;
    return warpgroup_counter_bytes(processors) + static_cast<std::size_t>(processors) * 2 * piece;
}

}  // namespace sluice::cuda
