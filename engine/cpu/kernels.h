// The arithmetic of the CPU device, once for each instruction set: kernels_portable.cc,
// kernels_avx2.cc and kernels_avx512.cc instantiate the templates of matmul_kernels.h,
// float_kernels.h and attention_kernels.h. All agree with the plain-loop references of the tests
// within their tolerances; each gives the same bits for a token whatever else is in the step.
//
// The files with instruction-set flags call no inline function of the standard library: the
// linker keeps one copy of such a function, and it might be the one this processor cannot run.
//
// Activations are quantised to 16 bits a block of 32, so the products' error is that of the
// weights alone (8 bits would be faster in prefill and about as wrong as the 4-bit weights' own
// rounding; see benchmarks/README.md). Letters: T tokens, H hidden, D head dim, P tokens a page.
// Pure functions on memory that the caller owns: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/cpu/packed_matrix.h"
#include "engine/result.h"

namespace sluice {

inline constexpr int block_columns = 32;  // activations under one scale

// Rows of activations; both forms are there, or the one that the matrix needs.
//   floats  f32 [T, columns]
//   codes   i16 [T, columns], scale f32 [T, columns / 32]: x = code * scale
//   sum     f32 [T, columns / 32]: scale * the sum of a block's codes
struct Activations {
    float* floats = nullptr;
    std::int16_t* codes = nullptr;
    float* scale = nullptr;
    float* sum = nullptr;
    int columns = 0;
};

enum class Into { replace, add };

// out[t, r] (+)= sum_c x[t, c] * matrix[r, c] for tokens [0, tokens) and the rows of groups
// [group_begin, group_end); out is f32 with `stride` floats a token.
struct MatmulArguments {
    const PackedMatrix* matrix = nullptr;
    int group_begin = 0;
    int group_end = 0;
    Activations x;
    int tokens = 0;
    float* out = nullptr;
    std::size_t stride = 0;
    Into into = Into::replace;
};
using MatmulKernel = void (*)(const MatmulArguments&);

inline constexpr int page_positions = 32;  // P
inline constexpr int head_dim_max = 512;   // D

// Keys of one kv head in one page are f16 [D, P], values f16 [P, D rounded up to 16].
// Attention of consecutive positions of one sequence over one kv head, for the query heads that
// share it. Every query sees the positions up to its own.
//   query  f32: token t's heads at query + t * query_stride, [heads, D], scaled by 1 / sqrt(D)
//   out    f32: the same shape at out + t * out_stride
//   page   p's keys at keys + pages[p] * page_stride, its values at values + the same
struct AttentionArguments {
    const float* query = nullptr;
    std::size_t query_stride = 0;
    float* out = nullptr;
    std::size_t out_stride = 0;
    int tokens = 0;
    int heads = 0;
    int head_dim = 0;
    int position = 0;  // of the first token
    const std::int32_t* pages = nullptr;
    const std::uint16_t* keys = nullptr;
    const std::uint16_t* values = nullptr;
    std::size_t page_stride = 0;
};

struct Kernels {
    std::string_view name;
    MatmulKernel (*matmul)(TensorType type);
    // codes, scale and sum of one row of `columns` (a multiple of 32) floats.
    void (*quantise)(const float* x, int columns, std::int16_t* codes, float* scale, float* sum);
    // out[h] = x[h] / sqrt(mean(x^2) + eps) * weight[h]; out may be x.
    void (*rmsnorm)(float* out, const float* x, const float* weight, int count, float eps);
    // gate[i] = gate[i] * sigmoid(gate[i]) * up[i]
    void (*silu_multiply)(float* gate, const float* up, int count);
    // Pair i of a head, (x[i], x[i + pairs]), turned by the angle of cosine[i], sine[i].
    void (*rotate)(float* head, const float* cosine, const float* sine, int pairs);
    // One position's key and value of one head, to slot `slot` of a page.
    void (*store_key)(std::uint16_t* page, int slot, const float* key, int head_dim);
    void (*store_value)(std::uint16_t* page, int slot, const float* value, int head_dim);
    void (*attend)(const AttentionArguments&);
};

// The fastest that this processor runs, or the one named: "portable", "avx2", "avx512".
// Errors: bad_config when the name is unknown or the processor lacks it.
Result<const Kernels*> choose_kernels(std::string_view name = {});

const Kernels& portable_kernels();
const Kernels& avx2_kernels();    // x86-64 only
const Kernels& avx512_kernels();  // x86-64 only

inline constexpr int padded_head_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }

}  // namespace sluice
