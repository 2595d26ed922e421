// How 256 columns of a token are coded, by one warp: see coded.h.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/cuda/coded.h"

namespace sluice::cuda {

__device__ inline void eight_values(const uint4& words, float (&values)[8]) {
    const auto* halves = reinterpret_cast<const __half2*>(&words);
    for (int i = 0; i < 4; ++i) {
        const float2 two = __half22float2(halves[i]);
        values[2 * i] = two.x;
        values[2 * i + 1] = two.y;
    }
}

// Lane 4 p + q has columns 32 p + 8 q .. + 7. `to`: the token's 256 columns. `alone`: the sums over
// 32 columns, which the product of one token does not read, stay as they are.
__device__ inline void code_columns(const float (&x)[8], std::uint8_t* to, int lane, bool alone) {
    constexpr float largest = 32511.0F;  // 127 * 256 - 1: its upper byte is 127
    float most = 0.0F;
    bool finite = true;
#pragma unroll
    for (float value : x) {
        most = fmaxf(most, fabsf(value));
        finite = finite && fabsf(value) <= 3.4e38F;
    }
    for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(~0U, most, step));
    const float scale = most / largest;
    const float factor = most > 0.0F ? largest / most : 0.0F;
    constexpr int order[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    std::uint32_t upper[2] = {};
    std::uint32_t lower[2] = {};
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int integer = __float2int_rn(x[order[i]] * factor);
        const int high = (integer + 128) >> 8;
        sum += integer;
        upper[i / 4] |= static_cast<std::uint32_t>(high & 255) << i % 4 * 8;
        lower[i / 4] |= static_cast<std::uint32_t>(integer & 255) << i % 4 * 8;
    }
    const int p = lane / 4;
    const int q = lane % 4;
    const int place = p / 2 * 64 + q * 16 + p % 2 * 8;
    *reinterpret_cast<uint2*>(to + place) = {upper[0], upper[1]};
    *reinterpret_cast<uint2*>(to + coded_lower + place) = {lower[0], lower[1]};
    sum += __shfl_xor_sync(~0U, sum, 1);
    if (q % 2 == 0) *reinterpret_cast<int*>(to + coded_sums + (p * 2 + q / 2) * 4) = sum;
    if (!alone) sum += __shfl_xor_sync(~0U, sum, 2);
    if (!alone && q == 0) {
        const float scaled = static_cast<float>(sum) / coded_halves_unit;
        const __half number = __float2half_rn(scaled);
        *reinterpret_cast<__half2*>(to + coded_halves + p % 4 * 8 + p / 4 * 4) =
            __halves2half2(number, __float2half_rn(scaled - __half2float(number)));
    }
    const bool sound = __all_sync(~0U, finite);
    if (lane == 0)
        *reinterpret_cast<float*>(to + coded_scale) = sound ? scale : __int_as_float(0x7FC00000);
}

}  // namespace sluice::cuda
