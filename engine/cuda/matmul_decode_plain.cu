// Plain rows: bf16, f16 and fp8.
#include "engine/cuda/matmul_decode_any.cuh"

namespace sluice::cuda {
DecodeKernel plain_kernel(WeightFormat format, DecodeShape shape) {
    using enum WeightFormat;
    if (format == bf16) return decode_any<bf16>(shape);
    if (format == f16) return decode_any<f16>(shape);
    if (format == fp8_e4m3) return decode_any<fp8_e4m3>(shape);
    return {};
}

}  // namespace sluice::cuda
