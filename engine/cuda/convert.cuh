// Numbers between formats, on the device.
#pragma once

#include "engine/cuda/dims.h"

namespace sluice::cuda {

template <class To>
__device__ inline To rounded(float value);
// Within what f16 holds: an outlier must not become infinity, which would turn into NaN further on.
// NaN stays NaN, so that its sequence fails.
__device__ inline float bounded(float value) {
    asm("max.NaN.f32 %0, %0, %1;" : "+f"(value) : "f"(-65504.0F));
    asm("min.NaN.f32 %0, %0, %1;" : "+f"(value) : "f"(65504.0F));
    return value;
}
template <>
__device__ inline f16 rounded<f16>(float value) {
    return __float2half_rn(bounded(value));
}
__device__ inline __half2 rounded_pair(float first, float second) {
    const __half2 most = __float2half2_rn(65504.0F);
    return __hmax2_nan(__hmin2_nan(__floats2half2_rn(first, second), most), __hneg2(most));
}
template <>
__device__ inline bf16 rounded<bf16>(float value) {
    return __float2bfloat16_rn(value);
}

template <class T>
struct alignas(8) Four {
    T x, y, z, w;
};

template <class To>
__device__ inline Four<To> four(float x, float y, float z, float w) {
    return {rounded<To>(x), rounded<To>(y), rounded<To>(z), rounded<To>(w)};
}

}  // namespace sluice::cuda
