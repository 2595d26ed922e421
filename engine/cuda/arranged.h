// Activations in the order that matmul_warpgroup copies into shared memory as it is: chunks of 64
// columns, a chunk all tokens, a token 128 bytes. Within them a 32-column run is cut into eight
// pairs' worth of 16-byte units as weight_layout.cuh gives pairs of columns to the fragments' slots
// (unit w of a run holds columns 8 q + 2 w and the next, for q = 0..3), and unit u of token t
// stands at u ^ t % 8, which keeps the banks of shared memory apart.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "engine/cuda/dims.h"

namespace sluice::cuda {

constexpr int chunk_columns = 64;
constexpr int chunk_row_bytes = 128;
constexpr int arranged_columns = 256;  // columns are padded to a multiple of it, with zeros

// Where columns c and c + 1 (c even) of a token stand, in bytes; `rows` of a chunk.
__host__ __device__ constexpr std::int64_t arranged_place(int token, int c, int rows) {
    const int unit = c % 64 / 32 * 4 + c % 8 / 2;
    return (std::int64_t{c / 64} * rows + token) * chunk_row_bytes + (unit ^ token % 8) * 16 +
           c % 32 / 8 * 4;
}

constexpr int padded_columns(int columns) {
    return (columns + arranged_columns - 1) / arranged_columns * arranged_columns;
}
constexpr std::size_t arranged_bytes(int rows, int columns) {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(padded_columns(columns)) *
           sizeof(f16);
}

// x f16 [T, columns] read; out arranged_bytes(rows, columns), of which T rows are written.
void arrange(const f16* x, void* out, int T, int rows, int columns, cudaStream_t stream);

}  // namespace sluice::cuda
