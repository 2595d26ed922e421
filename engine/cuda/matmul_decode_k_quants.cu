// q4_k, q5_k and q6_k, and the two mixes that llama.cpp's "M" files hold.
#include "engine/cuda/matmul_decode_few.cuh"
#include "engine/cuda/matmul_decode_many.cuh"

namespace sluice::cuda {
namespace {

template <WeightFormat first, WeightFormat second = first>
DecodeKernel decode_any(DecodeShape shape) {
    if (shape.few_rows) return decode_few<first, second>(shape);
    return decode_many<first, second>(shape);
}

}  // namespace

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
