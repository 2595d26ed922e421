// The largest size of keys and values, for the scales of an fp8 cache.
#pragma once

#include "engine/cuda/attention.h"

namespace sluice::cuda {

// most[layer, key|value, k] = the largest |value| among the first `tokens` positions of a bf16
// cache, whose pages are 0, 1, 2 ... in order; what lies beyond them is not looked at. NaN counts
// as nothing.
//   most  f32 [L, 2, K]    written
void largest_in_kv(const KvCache& kv, int tokens, float* most, cudaStream_t stream);

}  // namespace sluice::cuda
