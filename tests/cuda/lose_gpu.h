// What a fault in a kernel does to a process: every CUDA call fails from then on.
#pragma once

namespace sluice {

// Returns whether the context is lost now, as it should be.
bool lose_gpu();

}  // namespace sluice
