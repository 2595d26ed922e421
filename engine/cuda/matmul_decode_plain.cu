// Plain rows: bf16, f16 and fp8.
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

DecodeKernel plain_kernel(WeightFormat format, DecodeShape shape) {
    using enum WeightFormat;
    if (format == bf16) return decode_any<bf16>(shape);
    if (format == f16) return decode_any<f16>(shape);
    if (format == fp8_e4m3) return decode_any<fp8_e4m3>(shape);
    return {};
}

}  // namespace sluice::cuda
