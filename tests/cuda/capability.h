// What the GPU in use is, as it says itself: a test may be left out on a card that has no such
// instructions, never because our own code thinks so.
#pragma once

#include <cuda_runtime_api.h>

#include <catch2/catch.hpp>

namespace sluice {

// Major x 10 + minor: 90 is an H100.
inline int compute_capability() {
    int major = 0, minor = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) != cudaSuccess ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0) != cudaSuccess)
        FAIL("the GPU does not tell its compute capability");
    return major * 10 + minor;
}

// wgmma is 9.0's alone.
inline bool has_wgmma() { return compute_capability() / 10 == 9; }

}  // namespace sluice
