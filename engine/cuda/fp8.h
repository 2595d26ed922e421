// What surrounds a product of fp8 weights and activations: codes of the activations before it, and
// the scales of rows and tokens after it, which the library's products take faster without.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/cuda/dims.h"

namespace sluice::cuda {

// Gate and up leave their product times this, in f16: codes go up to 448, and sums of their
// products would not fit.
constexpr float gate_up_scale = 1.0F / 2048;

// code[t, c] = x[t, c] / scale[t] as e4m3, scale[t] = max_c |x[t, c]| / 448 (kept times
// `multiplier`).
//   x f16 [T, columns] read; code [T, columns], scale f32 [T] written. columns % 8 == 0.
void quantise_fp8(const f16* x, std::uint8_t* code, float* scale, float multiplier, int T,
                  int columns, cudaStream_t stream);

// out[t, r] = raw[t, r] * row_scale[r] * token_scale[t], in place, or added to `out` with `add`.
//   raw f32 [T, rows] (raw == out allowed, stride then out_stride); out f32 [T, out_stride]
void scale_rows(const float* raw, int raw_stride, float* out, int out_stride, bool add,
                const float* row_scale, const float* token_scale, int T, int rows,
                cudaStream_t stream);

constexpr int swiglu_fp8_max = 32768;  // F

// SwiGLU of scaled products, straight to the codes of the product that reads it:
// v[t, f] = silu(g) * u with g = gate_up[t, f] / gate_up_scale * row_scale[f] * token_scale[t] and
// u likewise from F on; code and scale as quantise_fp8. One block a token; F % 8 == 0.
//   gate_up f16 [T, 2F], row_scale f32 [2F], token_scale f32 [T] read; code, scale written
void swiglu_fp8(const f16* gate_up, const float* row_scale, const float* token_scale,
                std::uint8_t* code, float* scale, int T, int F, cudaStream_t stream);

}  // namespace sluice::cuda
