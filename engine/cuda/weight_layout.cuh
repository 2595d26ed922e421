// How the planes of a quantised matrix are laid out: the order of mma.m16n8k16's A fragments.
// (bf16, f16 and fp8 are plain rows; matmul_decode brings a step of them into the order below, fp8
// into rows of fp8_row_pitch bytes, when it copies them to shared memory.)
//
// A matrix is row tiles of 16 rows, and a tile is steps of `columns` columns; steps follow one
// another along the row tile, so that a warp reads one stream. Rows are padded to 32 (never used)
// and columns to a whole step (zeros). Within a step lane 4 g + q of a warp owns, of each 32
// columns (a pair p of k16 steps), columns 32 p + 8 q .. + 7 of rows g and g + 8. Which of the
// eight stand in which slot of the fragments is free, as long as the activations agree:
//   first  of the pair: a0, a1 = columns 0 1, a2, a3 = columns 2 3 (a1 and a3 of row g + 8)
//   second of the pair: a0, a1 = columns 4 5, a2, a3 = columns 6 7
// so that a lane's activations of a pair are 16 consecutive bytes. All that belongs to one row
// stands in words of its own.
//
// Codes, per row, p and q (all offsets in a step):
//   4 bits (q4_0, q4_1, q4_k, q5_k, q6_k)  one word; column 2 i is nibble i, column 2 i + 1 nibble
//                                          4 + i; at (p / 2) 512 + lane 16 + (p % 2) 8 + (r / 8) 4
//   8 bits (q8_0, plus 128)  two words at p 512 + lane 16 + (r / 8) 8, columns in order
//   16 bits  four words, columns in order, at (2 p + r / 8) 512 + lane 16
// The fifth bits of q5_k: one word for four p at `high` + lane 16 + (p / 4) 8 + (r / 8) 4; column
// 2 i is bit 4 (p % 4) + i, column 2 i + 1 the same plus 16. The fifth and sixth bits of q6_k: one
// word for two p at `high` + (p / 4) 512 + lane 16 + (p % 4 / 2) 8 + (r / 8) 4; column 2 i is at
// bit q6_high_place(p, i), column 2 i + 1 the same plus 16.
// Scales, per row at `scales` + r * scale_bytes:
//   q4_0   f16 d [8]         q4_1   f16 d, m [8]         q8_0   f16 d [4]
//   q4_k, q5_k   f16 d, f16 dmin, then three words of which bits 4-9 and 10-15 are the scales of
//          groups 2 w and 2 w + 1 and the same plus 16 their minimums; the four bits left over
//          (0-3, 16-19) are bits 4 w + 4 .. 4 w + 7 of such a word for groups 6 and 7
//   q6_k   i8 [2][8]: of columns 0-15 of each p, of columns 16-31; then, after all rows, f16 d [16]
#pragma once

#include <cstdint>

#include "engine/cuda/matrix.h"

namespace sluice::cuda {

constexpr int tile_rows = 16;
constexpr int row_padding = 32;        // a warp takes two tiles
constexpr int fp8_row_pitch = 160;     // 128 columns; keeps rows in different banks
constexpr int plain_step_bytes = 128;  // of a row, for bf16, f16 and fp8

struct StepLayout {
    int columns;      // of a step
    int high;         // offset of further bits of the codes
    int scales;       // offset
    int scale_bytes;  // a row
    int bytes;        // of a step of one tile
};

constexpr StepLayout step_layout(WeightFormat format) {
    switch (format) {
        case WeightFormat::bf16:
        case WeightFormat::f16:
            return {64, 0, 0, 0, 2048};
        case WeightFormat::fp8_e4m3:
            return {128, 0, 0, 0, tile_rows * fp8_row_pitch};
        case WeightFormat::q8_0:
            return {128, 0, 2048, 8, 2176};
        case WeightFormat::q4_0:
            return {256, 0, 2048, 16, 2304};
        case WeightFormat::q4_1:
            return {256, 0, 2048, 32, 2560};
        case WeightFormat::q4_k:
            return {256, 0, 2048, 16, 2304};
        case WeightFormat::q5_k:
            return {256, 2048, 2560, 16, 2816};
        case WeightFormat::q6_k:
            return {256, 2048, 3072, 16, 3360};
    }
    return {};
}

constexpr bool is_plain(WeightFormat format) {
    return format == WeightFormat::bf16 || format == WeightFormat::f16 ||
           format == WeightFormat::fp8_e4m3;
}

constexpr bool has_nibbles(WeightFormat format) { return step_layout(format).columns == 256; }

constexpr int padded_tiles(int rows) {
    return (rows + row_padding - 1) / row_padding * (row_padding / tile_rows);
}
constexpr int steps_of(WeightFormat format, int columns) {
    return (columns + step_layout(format).columns - 1) / step_layout(format).columns;
}

// Of the three words of scales in a q4_k or q5_k row, the word for groups 6 and 7.
__host__ __device__ constexpr std::uint32_t last_scales(std::uint32_t first, std::uint32_t second,
                                                        std::uint32_t third) {
    return (first << 4 & 0x00F000F0U) | (second << 8 & 0x0F000F00U) | (third << 12 & 0xF000F000U);
}

// Places with the fewest shifts: the reader needs i even at bit 4 and i odd at bit 8, of p odd once
// the bytes of each half have changed places.
constexpr int q6_high_place(int p, int i) {
    const int place = (i % 2 == 0 ? 4 : 8) + i / 2 * 2;
    return p % 2 == 0 ? place : (place + 8) % 16;
}

}  // namespace sluice::cuda
