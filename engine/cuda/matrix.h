// A weight matrix on the device, repacked from the file's blocks into aligned planes: the same bits
// in another order. Planes are laid out for matmul_decode; dequantise() gives them back as numbers.
// Planes of bf16, f16 and fp8_e4m3 are plain row-major [rows, columns] with rows in order, because
// library GEMMs read them too.
// The engine thread's alone; the memory is the caller's. Shapes: `columns` is a multiple of the
// format's block (32 for q4_0, q4_1, q8_0; 256 for q4_k, q5_k, q6_k; 16 for bf16, f16 and fp8).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/cuda/dims.h"

namespace sluice::cuda {

// gcc 12 takes an enumerator for a declaration that hides f16 and bf16 of dims.h.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
enum class WeightFormat { bf16, f16, fp8_e4m3, q8_0, q4_0, q4_1, q4_k, q5_k, q6_k };
#pragma GCC diagnostic pop

// What a product with this format reads: bf16 for bf16 and nothing else; f16 for all others.
constexpr bool reads_bf16(WeightFormat format) { return format == WeightFormat::bf16; }

struct Matrix {
    WeightFormat format = WeightFormat::bf16;
    int rows = 0;
    int columns = 0;
    std::uint8_t* planes = nullptr;    // matrix_bytes() of them, 256-byte aligned
    const float* row_scale = nullptr;  // fp8_e4m3: [rows], weight = scale * code
};

std::int64_t matrix_bytes(WeightFormat format, int rows, int columns);

// Which row of the matrix row r of the file becomes. head_dim 0: the same one. Else unpermuted_row
// of engine/model/network.h, within each head.
struct RowOrder {
    int head_dim = 0;
    int rope_dims = 0;
};

// Fills rows [row_begin, row_begin + row_count) of the file, whose blocks (GGUF layout; plain
// row-major values for bf16, f16, fp8) start at `blocks` on the device. Row ranges may be any.
void repack(const Matrix& matrix, const std::uint8_t* blocks, int row_begin, int row_count,
            RowOrder order, cudaStream_t stream);

// out[r, c] = weight[row_begin + r, c]   f16 [row_count, columns] row-major; fp8 without its scale.
// Not for bf16, whose planes must be read as they are. Memory-bound.
void dequantise(const Matrix& matrix, int row_begin, int row_count, f16* out, cudaStream_t stream);

}  // namespace sluice::cuda
