// What the device can read: the ceiling that the benches of this folder print beside their figures.
#pragma once

#include <cstddef>

namespace sluice::cuda {

// Bytes a second of one kernel reading `bytes` of device memory (far more than L2), best of five.
double read_ceiling(const void* memory, std::size_t bytes);

}  // namespace sluice::cuda
