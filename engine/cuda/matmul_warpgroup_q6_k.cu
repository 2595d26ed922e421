// q6_k, alone and beside q4_k.
#include "engine/cuda/matmul_warpgroup.cuh"

namespace sluice::cuda {

WarpgroupKernel warpgroup_q6_k(WeightFormat first, WeightFormat second, int tokens) {
    using enum WeightFormat;
    if (second != q6_k) return {};
    if (first == q6_k) return warpgroup_any<q6_k>(tokens);
    if (first == q4_k) return warpgroup_any<q4_k, q6_k>(tokens);
    return {};
}

}  // namespace sluice::cuda
