#include "engine/cuda/matmul_warpgroup.cuh"

namespace sluice::cuda {

WarpgroupKernel warpgroup_q4_k(WeightFormat first, WeightFormat second, int tokens) {
    if (first != WeightFormat::q4_k || second != WeightFormat::q4_k) return {};
    return warpgroup_any<WeightFormat::q4_k>(tokens);
}

}  // namespace sluice::cuda
