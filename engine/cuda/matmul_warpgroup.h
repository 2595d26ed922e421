// Products of quantised weights with many tokens on compute capability 9.0: weights are read as
// they are and dequantised in registers, four warps multiply 64 rows of them at a time (wgmma), and
// activations come as arranged.h lays them out. Bound by the weights' bytes up to about 64 tokens,
// by the tensor cores from there on; any number of tokens, as far as their outputs have room.
// The engine thread's alone. Deterministic. A token's result does not depend on T up to 64.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/warpgroup_plan.h"

namespace sluice::cuda {

// Whether the device and the formats of all products allow it.
bool warpgroup_takes(std::span<const Product> products);

// As matmul_decode; x arranged, of warpgroup_rows(T) rows, and with `out_arranged` SwiGLU's out
// likewise. `workspace`: warpgroup_workspace_bytes(), zeroed once, used by one stream only.
void matmul_warpgroup(std::span<const Product> products, const void* x, int T, void* out,
                      int out_stride, Into into, bool out_arranged, float scale, void* workspace,
                      const Ahead& ahead, cudaStream_t stream);

std::size_t warpgroup_workspace_bytes();

}  // namespace sluice::cuda
