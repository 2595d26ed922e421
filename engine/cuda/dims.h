// The letters that every tensor comment of this folder uses, and the types of its numbers.
//   T tokens of the step     S sequences      H hidden       Q query heads    K kv heads
//   D head dim               F ffn            V vocab        L layers         P tokens a page
// Activations: the residual stream is f32 [T, H]; what a product reads is f16 for quantised and fp8
// weights and bf16 for bf16 weights. f16 holds three bits more than bf16 and is enough in range,
// because norms come before every product but two: attention's output, an average of values, and
// SwiGLU's, which is stored divided by `swiglu_scale`. Conversions to f16 saturate at 65504.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace sluice::cuda {

using f16 = __half;
using bf16 = __nv_bfloat16;

constexpr int page_positions = 64;     // P
constexpr float swiglu_scale = 16.0F;  // f16 holds up to 65504: SwiGLU's output up to a million

}  // namespace sluice::cuda
