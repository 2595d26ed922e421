// One weight out of a row of the file's blocks, on the device: the plain way, for rows that are
// read rarely. Block layouts: engine/model/quant.h.
#pragma once

#include <cstdint>

#include "engine/cuda/dims.h"
#include "engine/model/tensor.h"

namespace sluice::cuda {

__device__ inline unsigned two_bytes(const std::uint8_t* at) { return at[0] | at[1] << 8; }
__device__ inline float half_at(const std::uint8_t* at) {
    return __half2float(__ushort_as_half(static_cast<unsigned short>(two_bytes(at))));
}

struct KScale {
    float scale, minimum;
};
__device__ inline KScale k_scale(const std::uint8_t* block, int group) {
    const std::uint8_t* p = block + 4;
    unsigned scale = 0, minimum = 0;
    if (group < 4) {
        scale = p[group] & 63;
        minimum = p[group + 4] & 63;
    } else {
        scale = (p[group + 4] & 15) | p[group - 4] >> 6 << 4;
        minimum = p[group + 4] >> 4 | p[group] >> 6 << 4;
    }
    return {half_at(block) * static_cast<float>(scale),
            half_at(block + 2) * static_cast<float>(minimum)};
}

__device__ inline float q4_k_value(const std::uint8_t* block, int i) {
    const int group = i / 32;
    const KScale k = k_scale(block, group);
    const int code = block[16 + group / 2 * 32 + i % 32] >> group % 2 * 4 & 15;
    return k.scale * static_cast<float>(code) - k.minimum;
}

__device__ inline float q5_k_value(const std::uint8_t* block, int i) {
    const int group = i / 32;
    const KScale k = k_scale(block, group);
    const int low = block[48 + group / 2 * 32 + i % 32] >> group % 2 * 4 & 15;
    const int high = block[16 + i % 32] >> group & 1;
    return k.scale * static_cast<float>(low | high << 4) - k.minimum;
}

__device__ inline float q6_k_value(const std::uint8_t* block, int i) {
    const int part = i / 32 % 4;
    const int low = block[i / 128 * 64 + part % 2 * 32 + i % 32] >> part / 2 * 4 & 15;
    const int high = block[128 + i / 128 * 32 + i % 32] >> part * 2 & 3;
    const auto scale = static_cast<std::int8_t>(block[192 + i / 16]);
    return half_at(block + 208) * static_cast<float>(scale) *
           static_cast<float>((low | high << 4) - 32);
}

__device__ inline float block_value(TensorType type, const std::uint8_t* row, int i) {
    const std::uint8_t* b32 = row + i / 32 *
                                        (type == TensorType::q8_0   ? 34
                                         : type == TensorType::q4_0 ? 18
                                                                    : 20);
    const int j = i % 32;
    switch (type) {
        case TensorType::f32:
            return reinterpret_cast<const float*>(row)[i];
        case TensorType::f16:
            return half_at(row + 2 * i);
        case TensorType::bf16:
            return __uint_as_float(two_bytes(row + 2 * i) << 16);
        case TensorType::fp8_e4m3:
            break;  // no embedding is
        case TensorType::q8_0:
            return half_at(b32) * static_cast<float>(static_cast<std::int8_t>(b32[2 + j]));
        case TensorType::q4_0:
            return half_at(b32) * static_cast<float>((b32[2 + j % 16] >> j / 16 * 4 & 15) - 8);
        case TensorType::q4_1:
            return half_at(b32) * static_cast<float>(b32[4 + j % 16] >> j / 16 * 4 & 15) +
                   half_at(b32 + 2);
        case TensorType::q4_k:
            return q4_k_value(row + i / 256 * 144, i % 256);
        case TensorType::q5_k:
            return q5_k_value(row + i / 256 * 176, i % 256);
        case TensorType::q6_k:
            return q6_k_value(row + i / 256 * 210, i % 256);
    }
    return 0.0F;
}

__device__ inline void put_half(std::uint8_t* at, float value) {
    // In one piece, as blocks have even sizes: nvcc 13.0 stores 0 for the low byte of a conversion.
    *reinterpret_cast<unsigned short*>(at) = __half_as_ushort(__float2half_rn(value));
}

// Makes random bytes a block whose weights are about `size`: its halves are set, the codes stay.
__device__ inline void tame_block(TensorType type, std::uint8_t* data, std::int64_t block,
                                  float size) {
    switch (type) {
        case TensorType::f32: {
            auto* value = reinterpret_cast<float*>(data) + block;
            const auto bits = __float_as_uint(*value);
            *value = (static_cast<float>(bits >> 8) * 0x1p-23F - 1.0F) * 1.7F * size;
            return;
        }
        case TensorType::f16:
            put_half(
                data + 2 * block,
                (static_cast<float>(two_bytes(data + 2 * block)) * 0x1p-15F - 1.0F) * 1.7F * size);
            return;
        case TensorType::bf16: {
            const float value =
                (static_cast<float>(two_bytes(data + 2 * block)) * 0x1p-15F - 1.0F) * 1.7F * size;
            reinterpret_cast<bf16*>(data)[block] = __float2bfloat16_rn(value);
            return;
        }
        case TensorType::fp8_e4m3:  // exponents from 2^-2 to 2^1: 1.7 in the mean square
            data[block] =
                static_cast<std::uint8_t>((data[block] & 0x87) | (5 + (data[block] >> 3 & 3)) << 3);
            return;
        case TensorType::q8_0:
            put_half(data + 34 * block, size / 73);
            return;
        case TensorType::q4_0:
            put_half(data + 18 * block, size / 4.6F);
            return;
        case TensorType::q4_1:
            put_half(data + 20 * block, size / 4.6F);
            put_half(data + 20 * block + 2, -7.5F * size / 4.6F);
            return;
        case TensorType::q4_k:
        case TensorType::q5_k: {
            const bool four = type == TensorType::q4_k;
            std::uint8_t* at = data + (four ? 144 : 176) * block;
            for (int i = 0; i < 12; ++i) at[4 + i] = 0;  // scale and minimum 32 in every group
            for (int i = 0; i < 8; ++i) at[4 + i] = 32;
            for (int i = 0; i < 4; ++i) at[12 + i] = 0;
            for (int i = 0; i < 8; ++i) at[4 + i] |= 2 << 6;  // and in groups 4 to 7
            const float unit = size / (four ? 4.6F : 9.2F) / 32;
            put_half(at, unit);
            put_half(at + 2, (four ? 7.5F : 15.5F) * unit);
            return;
        }
        case TensorType::q6_k: {
            std::uint8_t* at = data + 210 * block;
            for (int i = 0; i < 16; ++i) at[192 + i] = 64;
            put_half(at + 208, size / 18.5F / 64);
            return;
        }
    }
}

}  // namespace sluice::cuda
