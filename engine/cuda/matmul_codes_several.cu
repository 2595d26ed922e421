// Every quantised format.
#include "engine/cuda/matmul_codes_several.cuh"

namespace sluice::cuda {
SeveralKernel several_kernel(WeightFormat first, WeightFormat second, int T) {
    using enum WeightFormat;
    if (first == q4_k && second == q4_k) return codes_several<q4_k>(T);
    if (first == q5_k && second == q5_k) return codes_several<q5_k>(T);
    if (first == q6_k && second == q6_k) return codes_several<q6_k>(T);
    if (first == q4_k && second == q6_k) return codes_several<q4_k, q6_k>(T);
    if (first == q5_k && second == q6_k) return codes_several<q5_k, q6_k>(T);
    if (first == q8_0 && second == q8_0) return codes_several<q8_0>(T);
    if (first == q4_0 && second == q4_0) return codes_several<q4_0>(T);
    if (first == q4_1 && second == q4_1) return codes_several<q4_1>(T);
    return {};
}

}  // namespace sluice::cuda
