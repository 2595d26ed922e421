// Plain rows: bf16, f16 and fp8.
#include "engine/cuda/matmul_decode.cuh"

namespace sluice::cuda {

DecodeKernel plain_kernel(WeightFormat format, int T) {
    using enum WeightFormat;
    if (format == bf16) return decode_kernel_of<bf16>(T);
    if (format == f16) return decode_kernel_of<f16>(T);
    if (format == fp8_e4m3) return decode_kernel_of<fp8_e4m3>(T);
    return {};
}

}  // namespace sluice::cuda
