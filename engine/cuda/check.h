// Every CUDA call's result is checked here. A failed call is a bug or a lost device, so it throws
// CudaFailure; CudaDevice turns that into an Error at its face. Any thread.
#pragma once

#include <cuda_runtime_api.h>

#include <source_location>
#include <stdexcept>
#include <string>

namespace sluice::cuda {

struct CudaFailure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void check(cudaError_t result,
                  std::source_location where = std::source_location::current()) {
    if (result == cudaSuccess) return;
    throw CudaFailure(std::string(cudaGetErrorString(result)) + " (" + cudaGetErrorName(result) +
                      ") at " + where.file_name() + ":" + std::to_string(where.line()));
}

}  // namespace sluice::cuda
