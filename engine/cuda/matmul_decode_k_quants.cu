// q4_k, q5_k and q6_k, and the two mixes that llama.cpp's "M" files hold.
#include "engine/cuda/matmul_decode.cuh"

namespace sluice::cuda {

DecodeKernel k_quant_kernel(WeightFormat first, WeightFormat second, int T) {
    using enum WeightFormat;
    if (first == q4_k && second == q4_k) return decode_kernel_of<q4_k>(T);
    if (first == q5_k && second == q5_k) return decode_kernel_of<q5_k>(T);
    if (first == q6_k && second == q6_k) return decode_kernel_of<q6_k>(T);
    if (first == q4_k && second == q6_k) return decode_kernel_of<q4_k, q6_k>(T);
    if (first == q5_k && second == q6_k) return decode_kernel_of<q5_k, q6_k>(T);
    return {};
}

}  // namespace sluice::cuda
