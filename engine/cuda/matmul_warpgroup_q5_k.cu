// q5_k, alone and beside q6_k.
#include "engine/cuda/matmul_warpgroup.cuh"

namespace sluice::cuda {

WarpgroupKernel warpgroup_q5_k(WeightFormat first, WeightFormat second, int tokens) {
    using enum WeightFormat;
    if (first != q5_k) return {};
    if (second == q5_k) return warpgroup_any<q5_k>(tokens);
    if (second == q6_k) return warpgroup_any<q5_k, q6_k>(tokens);
    return {};
}

}  // namespace sluice::cuda
