// q8_0, q4_0 and q4_1.
#include "engine/cuda/matmul_warpgroup.cuh"

namespace sluice::cuda {

WarpgroupKernel warpgroup_small_blocks(WeightFormat format, int tokens) {
    using enum WeightFormat;
    if (format == q8_0) return warpgroup_any<q8_0>(tokens);
    if (format == q4_0) return warpgroup_any<q4_0>(tokens);
    if (format == q4_1) return warpgroup_any<q4_1>(tokens);
    return {};
}

}  // namespace sluice::cuda
