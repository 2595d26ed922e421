#include "engine/cuda/card.h"

#include <cuda_runtime_api.h>

#include "engine/cuda/check.h"

namespace sluice::cuda {
namespace {

Card asked() {
    int device = 0;
    check(cudaGetDevice(&device));
    const auto attribute = [device](cudaDeviceAttr which) {
        int value = 0;
        check(cudaDeviceGetAttribute(&value, which, device));
        return value;
    };
    Card card;
    card.warpgroups = attribute(cudaDevAttrComputeCapabilityMajor) == 9;
    card.processors = attribute(cudaDevAttrMultiProcessorCount);
    card.block_shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    card.processor_shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
    return card;
}

}  // namespace

const Card& this_card() {
    static const Card card = asked();
    return card;
}

}  // namespace sluice::cuda
