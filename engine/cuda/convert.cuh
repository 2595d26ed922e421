// Numbers between formats, on the device.
#pragma once

#include "engine/cuda/dims.h"

namespace sluice::cuda {

template <class To>
__device__ inline To rounded(float value);
// Saturates: an outlier must not become infinity, which would turn into NaN further on.
template <>
__device__ inline f16 rounded<f16>(float value) {
    return __float2half_rn(fminf(fmaxf(value, -65504.0F), 65504.0F));
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
