// Random bits that are valid weights of any type, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/model/gguf.h"
#include "engine/model/quant.h"

namespace sluice {

inline const std::vector<TensorType>& all_tensor_types() {
    static const std::vector<TensorType> types = {
        TensorType::f32,  TensorType::f16,  TensorType::bf16, TensorType::q8_0, TensorType::q4_0,
        TensorType::q4_1, TensorType::q4_k, TensorType::q5_k, TensorType::q6_k};
    return types;
}

// Every code and 6-bit scale equally likely; the halves that scale them are near `scale`. The
// weights are of the order of 10 * scale and not centred on zero in q4_1.
inline std::string random_weights(TensorType type, std::int64_t count, std::mt19937& random,
                                  float scale = 0.01F) {
    std::uniform_real_distribution<float> uniform(0.5F, 1.5F);
    std::normal_distribution<float> normal(0.0F, 10.0F * scale);
    std::string bytes;
    auto put_u16 = [](std::string& out, std::size_t at, std::uint16_t bits) {
        std::memcpy(out.data() + at, &bits, sizeof bits);
    };
    for (std::int64_t block = 0; block < count / block_weights(type); ++block) {
        std::string one(static_cast<std::size_t>(block_bytes(type)), '\0');
        for (char& byte : one) byte = static_cast<char>(random());
        auto half = [&](float factor) { return half_from_float(uniform(random) * factor * scale); };
        float value = normal(random);
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        switch (type) {
            case TensorType::f32:
                std::memcpy(one.data(), &value, sizeof value);
                break;
            case TensorType::f16:
                put_u16(one, 0, half_from_float(value));
                break;
            case TensorType::bf16:
                put_u16(one, 0, static_cast<std::uint16_t>(bits >> 16));
                break;
            case TensorType::q8_0:
                put_u16(one, 0, half(0.1F));
                break;
            case TensorType::q4_0:
                put_u16(one, 0, half(1.0F));
                break;
            case TensorType::q4_1:
                put_u16(one, 0, half(1.0F));
                put_u16(one, 2, half(-6.0F));
                break;
            case TensorType::q4_k:
            case TensorType::q5_k:
                put_u16(one, 0, half(type == TensorType::q4_k ? 0.03F : 0.015F));
                put_u16(one, 2, half(type == TensorType::q4_k ? 0.225F : 0.2325F));
                break;
            case TensorType::q6_k:
                put_u16(one, 208, half(0.005F));
                break;
            case TensorType::fp8_e4m3:
                if ((one[0] & 0x7F) == 0x7F) one[0] = 0;  // NaN
                break;
        }
        bytes += one;
    }
    return bytes;
}

inline std::vector<float> floats_of(TensorType type, const std::string& bytes, std::int64_t count) {
    std::vector<float> out(static_cast<std::size_t>(count));
    dequantise(type, reinterpret_cast<const std::uint8_t*>(bytes.data()), count, out.data());
    return out;
}

}  // namespace sluice
