// q4_k, q5_k and q6_k, and the two mixes that llama.cpp's "M" files hold.
#include "engine/cuda/matmul_decode_any.cuh"

namespace sluice::cuda {
DecodeKernel k_quant_kernel(WeightFormat first, WeightFormat second, DecodeShape shape) {
    using enum WeightFormat;
    if (first == q4_k && second == q4_k) return decode_any<q4_k>(shape);
    if (first == q5_k && second == q5_k) return decode_any<q5_k>(shape);
    if (first == q6_k && second == q6_k) return decode_any<q6_k>(shape);
    if (first == q4_k && second == q6_k) return decode_any<q4_k, q6_k>(shape);
    if (first == q5_k && second == q6_k) return decode_any<q5_k, q6_k>(shape);
    return {};
}

}  // namespace sluice::cuda
