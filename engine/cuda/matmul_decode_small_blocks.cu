// Blocks of 32 weights: q8_0, q4_0 and q4_1.
#include "engine/cuda/matmul_decode.cuh"

namespace sluice::cuda {

DecodeKernel small_block_kernel(WeightFormat format, int T) {
    using enum WeightFormat;
    if (format == q8_0) return decode_kernel_of<q8_0>(T);
    if (format == q4_0) return decode_kernel_of<q4_0>(T);
    if (format == q4_1) return decode_kernel_of<q4_1>(T);
    return {};
}

}  // namespace sluice::cuda
