// What the CUDA device refuses before it touches a GPU: options out of range, and networks that its
// kernels are not made for; and, once it knows the GPU, what that one cannot. Pure: any thread.
#pragma once

#include "engine/engine.h"
#include "engine/model/network.h"

namespace sluice::cuda {

// Errors: bad_config, naming the option, its value and its range; bad_file, naming the tensors.
Status check_opening(const EngineOptions& options, const ModelFile& file,
                     const NetworkDescription& network);

// fp8 weights on a GPU of compute capability `major`.`minor`. The library's products of fp8 need
// 8.9; with batch_invariant there are none, and our own kernels take such weights on every card.
// Errors: bad_config.
Status check_fp8(const EngineOptions& options, const ModelFile& file,
                 const NetworkDescription& network, int major, int minor);

}  // namespace sluice::cuda
