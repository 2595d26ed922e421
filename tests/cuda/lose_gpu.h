// What a fault in a kernel does to a process: every CUDA call fails from then on.
#pragma once

namespace sluice {

// Returns whether the context is lost now, as it should be.
bool lose_gpu();
// Every multiprocessor runs threads that do not end, for so long: no other kernel of this process
// begins. Errors: false.
bool occupy_gpu(int seconds);

}  // namespace sluice
