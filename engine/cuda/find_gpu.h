// Whether there is a GPU that this program can use: asked before anything else of CUDA is, so that
// a machine without one is told so in words. A thread that opens a device or measures.
#pragma once

#include <string>

#include "engine/cuda/check.h"
#include "engine/result.h"

namespace sluice::cuda {

// Makes the first GPU that CUDA_VISIBLE_DEVICES leaves the thread's. Errors: bad_config, with what
// would be right. Throws CudaFailure.
Status find_gpu();

// What is said where the runtime's first answer is `result`, or it counts no device.
std::string no_gpu_text(cudaError_t result);

}  // namespace sluice::cuda
