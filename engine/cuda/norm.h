// RMS norm of the residual stream, in the form that the product after it reads.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/cuda/dims.h"

namespace sluice::cuda {

// out[t, h] = x[row[t], h] / sqrt(mean_h x[row[t], :]^2 + eps) * weight[h]
//   x       f32 [T, H] row-major                         read
//   row     i32 [T], or nullptr: row t                   read
//   weight  f32 [H]                                      read
//   out     f16 or bf16 (out_bf16) [T, H]                written; arranged (arranged.h) of so many
//           rows if arranged_rows is not 0
// One block a token; H % 4 == 0. Memory-bound: 6 T H + 4 H bytes.
void rmsnorm(const float* x, const std::int32_t* row, const float* weight, void* out, bool out_bf16,
             int T, int H, float eps, cudaStream_t stream, int arranged_rows = 0);

// The same of rows 0, 1, ... T - 1 as integers: `coded` of coded.h, written. H up to 10240.
constexpr int norm_coded_columns = 10240;
void rmsnorm_coded(const float* x, const float* weight, std::uint8_t* coded, int T, int H,
                   float eps, cudaStream_t stream);

}  // namespace sluice::cuda
