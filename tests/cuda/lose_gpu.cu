#include "tests/cuda/lose_gpu.h"

#include <cuda_runtime.h>

namespace sluice {
namespace {

__global__ void stop_everything() { __trap(); }

}  // namespace

bool lose_gpu() {
    stop_everything<<<1, 1>>>();
    return cudaDeviceSynchronize() != cudaSuccess;
}

}  // namespace sluice
