// The first and the smaller stages of a step: tokens to rows, rows that matter, SwiGLU, news of
// pages.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/cuda/dims.h"
#include "engine/model/tensor.h"

namespace sluice::cuda {

// x[t, h] = embedding[token[t], h]; a token below 0 takes last_token[slot[t]], the token that the
// step before chose, which the host may not have seen yet.
//   blocks      [V, H] in the file's own layout of `type`     read
//   token, slot i32 [T]; slot below 0 is padding: row 0       read
//   x           f32 [T, H]                                    written
void embed(TensorType type, const std::uint8_t* blocks, const std::int32_t* token,
           const std::int32_t* slot, const std::int32_t* last_token, float* x, int T, int H,
           cudaStream_t stream);

struct RowsToPick {
    const void* from = nullptr;
    void* to = nullptr;
    int width = 0;  // bytes, % 16 == 0
};
// to[i, :] = from[row[i], :] for i below S, and zeros for the rest of buffer_rows(S)
// (step_sizes.h), of two matrices at once. One block a row of each; S >= 1.
//   row   i32 [S], each below T                    read
//   from  [T, width bytes], aligned to 16          read
//   to    [buffer_rows(S), width bytes], likewise  written; overlaps with none of the others
void pick_rows(const std::int32_t* row, int S, RowsToPick first, RowsToPick second,
               cudaStream_t stream);

// out[t, f] = silu(s g[t, f]) * (s u[t, f]) / swiglu_scale, where g and u are the halves of a row
// and s is swiglu_scale: gate and up came out of their product divided by it.
//   gate_up  f16 [T, 2F]    read
//   out      f16 [T, F]     written; F % 8 == 0
void swiglu_f16(const f16* gate_up, f16* out, int T, int F, cudaStream_t stream);
// out = silu(g) * u, bf16 both.
void swiglu_bf16(const bf16* gate_up, bf16* out, int T, int F, cudaStream_t stream);

// page_table[update[i].slot * stride + update[i].index] = update[i].page, i below *count, which is
// on the device, so that a graph serves any number of updates.
struct PageUpdate {
    std::int32_t slot = 0;
    std::int32_t index = 0;
    std::int32_t page = 0;
};
void update_pages(const PageUpdate* updates, const std::int32_t* count, std::int32_t* page_table,
                  int stride, cudaStream_t stream);

// Random but valid blocks of any type, for benchmarks: codes of every value, weights of the order
// of 1/sqrt(columns). `bytes` is a whole number of blocks.
void random_blocks(TensorType type, std::uint8_t* blocks, std::int64_t bytes, std::uint64_t seed,
                   int columns, cudaStream_t stream);

}  // namespace sluice::cuda
