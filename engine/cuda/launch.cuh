// Launching a kernel so that it may start before the one ahead of it ends (programmatic dependent
// launch, sm_90): its blocks are placed and its weights prefetched while the last blocks of the
// kernel ahead still run. The contract of every kernel launched here: it calls
// wait_for_previous() in every thread before it reads or writes anything that an earlier kernel
// wrote or reads (weights and tables written at load are free), and let_next_start() as soon as it
// likes. Before sm_90 both are nothing and launches are plain.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "engine/cuda/check.h"

namespace sluice::cuda {

__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes,
            cudaStream_t stream, Args&&... args) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    cudaLaunchAttribute overlap{};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    config.attrs = &overlap;
    config.numAttrs = 1;
    check(cudaLaunchKernelEx(&config, kernel, Params(std::forward<Args>(args))...));
}

}  // namespace sluice::cuda
