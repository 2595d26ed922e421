// What the CUDA device refuses before it touches a GPU: options out of range, and networks that its
// kernels are not made for. Pure: any thread.
#pragma once

#include "engine/engine.h"
#include "engine/model/network.h"

namespace sluice::cuda {

// Errors: bad_config, naming the option, its value and its range; bad_file, naming the tensors.
Status check_opening(const EngineOptions& options, const ModelFile& file,
                     const NetworkDescription& network);

}  // namespace sluice::cuda
