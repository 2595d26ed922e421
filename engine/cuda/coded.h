// Activations as integers, for products of up to eight tokens: a token's 256 columns are 16-bit
// integers with one scale, cut into two signed bytes. Weights that are integers themselves then
// multiply exactly, with a third of the instructions that turning them into f16 takes. An integer
// is at most 32511, so a column's error is at most 1/65022 of the largest of its 256.
//
// [columns / 256, rounded up][T] of `coded_bytes`:
//   0    i8 [256]  the upper bytes: column 32 p + 8 q + i at (p / 2) 64 + q 16 + (p % 2) 8 and
//                  there 0 4 1 5 2 6 3 7 for i (the places of a word's nibbles, weight_layout.cuh)
//   256  i32 [16]  the sums of 16 columns' integers
//   320  i8 [256]  the lower bytes, -128 to 127; integer = 256 upper + lower
//   576  f32       value = scale * integer; NaN where a column was NaN or infinite
//   592  f16 [8][2]  (of more than one token) the sums of 32 columns' integers over 32, as a number
//   and what it lacks; of p
//                  at (p % 4) 8 + (p / 4) 4
// Columns beyond the row are zeros. The engine thread's alone.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "engine/cuda/dims.h"

namespace sluice::cuda {

constexpr int coded_tokens_max = 8;
constexpr int coded_columns = 256;
constexpr int coded_bytes = 640;  // of a token's 256 columns
constexpr int coded_sums = 256;   // offsets
constexpr int coded_lower = 320;
constexpr int coded_scale = 576;
constexpr int coded_halves = 592;
constexpr float coded_halves_unit = 32.0F;

constexpr int coded_steps(int columns) { return (columns + coded_columns - 1) / coded_columns; }
constexpr std::size_t coded_size(int T, int columns) {
    return static_cast<std::size_t>(T) * static_cast<std::size_t>(coded_steps(columns)) *
           coded_bytes;
}

// x f16 [T, columns] read, coded written.
void code_activations(const f16* x, int T, int columns, std::uint8_t* coded, cudaStream_t stream);

}  // namespace sluice::cuda
