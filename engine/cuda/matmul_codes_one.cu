// Every quantised format.
#include "engine/cuda/matmul_codes_one.cuh"

namespace sluice::cuda {
DecodeKernel codes_kernel(WeightFormat first, WeightFormat second, DecodeShape shape) {
    using enum WeightFormat;
    if (first == q4_k && second == q4_k) return decode_codes<q4_k>(shape);
    if (first == q5_k && second == q5_k) return decode_codes<q5_k>(shape);
    if (first == q6_k && second == q6_k) return decode_codes<q6_k>(shape);
    if (first == q4_k && second == q6_k) return decode_codes<q4_k, q6_k>(shape);
    if (first == q5_k && second == q6_k) return decode_codes<q5_k, q6_k>(shape);
    if (first == q8_0 && second == q8_0) return decode_codes<q8_0>(shape);
    if (first == q4_0 && second == q4_0) return decode_codes<q4_0>(shape);
    if (first == q4_1 && second == q4_1) return decode_codes<q4_1>(shape);
    return {};
}

}  // namespace sluice::cuda
