// Whether the products take the scales of a file's blocks, looked at before a GPU is touched.
#pragma once

#include <span>

#include "engine/model/network.h"
#include "engine/result.h"

namespace sluice::cuda {

// Reads every q4_k and q5_k block of `matrices`, with several threads: a file that is in the page
// cache at some 30 GB/s. Errors: bad_file, naming the tensor and the block's offset.
Status check_block_scales(const ModelFile& file, std::span<const Tensor* const> matrices);

}  // namespace sluice::cuda
