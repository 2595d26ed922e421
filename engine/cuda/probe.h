// A linear head over hidden states: value[s] = bias + sum_h x[s, h] * weight[h].
//   x       f16 or bf16 (x_bf16) [S, H]    read
//   weight  f32 [H]                        read
//   value   f32 [S]                        written
// One block a row; the sum's order is fixed. Reads 2 S H bytes.
#pragma once

#include <cuda_runtime_api.h>

namespace sluice::cuda {

void probe(const void* x, bool x_bf16, const float* weight, float bias, float* value, int S, int H,
           cudaStream_t stream);

}  // namespace sluice::cuda
