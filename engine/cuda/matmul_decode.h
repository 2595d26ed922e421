// Products of a few tokens with weights in any format: what a decode step does. Reads each weight
// once, so the time is the weights' bytes over the card's bandwidth, up to about 64 tokens.
// The engine thread's alone. Deterministic: the same inputs give the same bits, and a token's
// result does not depend on T (batch invariance) unless the header of a variant says otherwise.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

#include "engine/cuda/ahead.h"
#include "engine/cuda/matrix.h"

namespace sluice::cuda {

constexpr int decode_tokens_max = 64;  // T

enum class Into {
    store,   // out f32 [T, out_stride], columns from the product's out_column
    add,     // out f32 [T, out_stride] +=
    swiglu,  // products are {gate, up}: out f16 (bf16 for bf16 weights) [T, out_stride] =
             // silu(gate x) * (up x) / swiglu_scale (not divided for bf16)
};

struct Product {
    Matrix matrix;       // [rows, columns]
    int out_column = 0;  // where its rows begin in out
};

// out[t, out_column + r] = scale * sum_c x[t, c] * weight[r, c], accumulated in f32, for up to
// three products of the same x. One launch for one format, or for q4_k or q5_k beside q6_k; else
// one a product. Where rows are few and tokens more than four, a second one adds up segments of the
// columns. gate and up have one format, or two of those that go together.
//   x     f16 [T, columns] (bf16 for bf16 weights)      read
//   out   see Into                                      written
//   scale 1, or swiglu_scale where x is SwiGLU's f16 output
// `workspace`: matmul_workspace_bytes(), used by one stream only.
void matmul_decode(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale, void* workspace, const Ahead& ahead,
                   cudaStream_t stream);

// The same for one to coded_tokens_max tokens of quantised weights, with activations of coded.h: no
// rounding of weights, fewer instructions, other bits than matmul_decode's; one token gives other
// bits than more. A second launch where the columns are too many for a block to keep them.
// x is either, read:
//   coded  coded_size(T, columns) bytes
//   plain  f16 [1, columns], where matmul_codes_reads_plain()
struct CodesInput {
    const std::uint8_t* coded = nullptr;
    const void* plain = nullptr;
};
bool matmul_codes_takes(std::span<const Product> products);
bool matmul_codes_reads_plain(std::span<const Product> products, int T);
void matmul_codes(std::span<const Product> products, CodesInput x, int T, void* out, int out_stride,
                  Into into, float scale, void* workspace, const Ahead& ahead, cudaStream_t stream);

std::size_t matmul_workspace_bytes();

}  // namespace sluice::cuda
