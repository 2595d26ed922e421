// The kernel of matmul_codes for two to eight tokens, and its work.
#pragma once

#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {

struct SeveralWork {
    DecodeWork decode;  // segments: parts * splits, in steps of 256 columns
    int parts = 1;      // of the columns; a block takes one
    int splits = 1;     // of a part; a warp takes one
    int teams = 1;      // of warps in a block; each takes a row tile, for SwiGLU of gate and of up
    int x_room = 0;     // bytes of the widest part's activations
};

struct SeveralKernel {
    void (*kernel)(SeveralWork) = nullptr;
    int tokens = 0;      // that it reads
    int warps = 0;       // of a block, at most
    int warp_bytes = 0;  // of shared memory, that each warp takes beside the activations
};

SeveralKernel several_kernel(WeightFormat first, WeightFormat second, int T);

}  // namespace sluice::cuda
