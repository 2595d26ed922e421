// Blocks of 32 weights: q8_0, q4_0 and q4_1.
#include "engine/cuda/matmul_decode_any.cuh"

namespace sluice::cuda {
DecodeKernel small_block_kernel(WeightFormat format, DecodeShape shape) {
    using enum WeightFormat;
    if (format == q8_0) return decode_any<q8_0>(shape);
    if (format == q4_0) return decode_any<q4_0>(shape);
    if (format == q4_1) return decode_any<q4_1>(shape);
    return {};
}

}  // namespace sluice::cuda
