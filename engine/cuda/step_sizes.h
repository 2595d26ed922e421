// The sizes of a step that buffers and grids are made for. Plain numbers, so that what fits can be
// held for every option where there is no GPU (tests/cuda/plans). Letters: dims.h.
#pragma once

namespace sluice::cuda {

// The number of rows that a step of `count` tokens that all decode is padded to: a graph serves
// them all.
constexpr int padded_tokens(int count) {
    if (count <= 2) return count;
    if (count <= 4) return 4;
    if (count <= 64) return (count + 7) / 8 * 8;
    if (count <= 128) return (count + 15) / 16 * 16;
    return (count + 31) / 32 * 32;
}

// The library computes whole tiles of so many rows.
constexpr int rows_of(int T) { return (T + 63) / 64 * 64; }
// Buffers of T rows are this long: matmul_warpgroup reads whole tiles.
constexpr int buffer_rows(int T) { return (T + 127) / 128 * 128; }

// A prompt's tokens are cut into tiles of so many.
constexpr int prefill_tile = 128;
// Of a step of several sequences' tokens: each may end with a tile that is not full.
constexpr int tiles_most(int tokens_max, int sequences_max) {
    return tokens_max / prefill_tile + sequences_max + 1;
}

// Contexts are told apart in powers of two between these: beyond, attend_decode's grid is the same.
constexpr int context_least = 512;
constexpr int context_most = 4096;
constexpr int context_class(int least) {
    int value = context_least;
    while (value < least && value < context_most) value *= 2;
    return value;
}

}  // namespace sluice::cuda
