#include "engine/model/quant.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace sluice {
namespace {

constexpr int group_weights = 32;

std::uint16_t read_u16(const std::uint8_t* bytes) {
    return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

float read_half(const std::uint8_t* bytes) { return float_from_half(read_u16(bytes)); }

std::int8_t code(int value) { return static_cast<std::int8_t>(value); }

void set_scale(WeightGroup& group, float scale, float minimum) {
    group.scale[0] = group.scale[1] = scale;
    group.minimum[0] = group.minimum[1] = minimum;
}

// Weight i < 16 is the low nibble of byte i, weight i + 16 its high nibble.
void read_split_nibbles(WeightGroup& group, const std::uint8_t* nibbles, int bias) {
    for (int i = 0; i < 16; ++i) {
        group.code[i] = code((nibbles[i] & 15) - bias);
        group.code[i + 16] = code((nibbles[i] >> 4) - bias);
    }
}

// Groups 2g and 2g+1 share 32 bytes: the even group has the low nibbles.
void read_k_nibbles(WeightGroup& group, const std::uint8_t* nibbles, int index) {
    const std::uint8_t* bytes = nibbles + index / 2 * 32;
    int shift = index % 2 * 4;
    for (int i = 0; i < group_weights; ++i) group.code[i] = code(bytes[i] >> shift & 15);
}

void read_q4_k(WeightGroup& group, const std::uint8_t* block, int index) {
    ScaleAndMinimum packed = read_k_scale(block + 4, index);
    set_scale(group, read_half(block) * packed.scale, read_half(block + 2) * packed.minimum);
    read_k_nibbles(group, block + 16, index);
}

void read_q5_k(WeightGroup& group, const std::uint8_t* block, int index) {
    ScaleAndMinimum packed = read_k_scale(block + 4, index);
    set_scale(group, read_half(block) * packed.scale, read_half(block + 2) * packed.minimum);
    read_k_nibbles(group, block + 48, index);
    const std::uint8_t* high = block + 16;
    for (int i = 0; i < group_weights; ++i)
        group.code[i] = code(group.code[i] + ((high[i] >> index & 1) << 4));
}

// Each half of 128 weights has 64 bytes of low nibbles and 32 bytes of high bit pairs; its group
// g takes nibble g / 2 of byte 32 * (g % 2) + i and pair g of byte i. Codes are biased by 32.
void read_q6_k(WeightGroup& group, const std::uint8_t* block, int index) {
    int half = index / 4;
    int part = index % 4;
    const std::uint8_t* low = block + half * 64 + part % 2 * 32;
    const std::uint8_t* high = block + 128 + half * 32;
    const auto* scales = reinterpret_cast<const std::int8_t*>(block + 192) + half * 8 + part * 2;
    for (int i = 0; i < group_weights; ++i) {
        int nibble = low[i] >> part / 2 * 4 & 15;
        group.code[i] = code((nibble | (high[i] >> part * 2 & 3) << 4) - 32);
    }
    for (int i = 0; i < 2; ++i)
        group.scale[i] = read_half(block + 208) * static_cast<float>(scales[i]);
}

}  // namespace

float float_from_half(std::uint16_t bits) {
    std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
    std::uint32_t exponent = bits >> 10 & 31;
    std::uint32_t fraction = bits & 0x3FF;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
    if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = static_cast<float>(fraction) * 0x1p-24F;  // subnormal: exact in float
    return sign == 0 ? magnitude : -magnitude;
}

float float_from_bfloat(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// OCP 8-bit floating point (2023): no infinity, all ones is NaN, subnormals step by 2^-9.
float float_from_e4m3(std::uint8_t bits) {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80) << 24;
    const std::uint32_t exponent = bits >> 3 & 15;
    const std::uint32_t fraction = bits & 7;
    if ((bits & 0x7F) == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000);
    if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 120) << 23 | fraction << 20);
    const float magnitude = static_cast<float>(fraction) * 0x1p-9F;
    return sign == 0 ? magnitude : -magnitude;
}

std::uint16_t half_from_float(float value) {
    auto bits = std::bit_cast<std::uint32_t>(value);
    std::uint32_t sign = bits >> 16 & 0x8000;
    std::uint32_t magnitude = bits & 0x7FFFFFFF;
    std::uint32_t half = 0;
    if (magnitude > 0x7F800000) {
        half = 0x7E00;  // NaN
    } else if (magnitude >= 0x477FF000) {
        half = 0x7C00;  // rounds to 65536 or more
    } else if (magnitude < 0x38800000) {
        // Subnormal: adding 0.5 leaves value / 2^-24, rounded to nearest even, in the low bits.
        half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000;
    } else {
        half = (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
}

ScaleAndMinimum read_k_scale(const std::uint8_t* packed, int group) {
    auto byte = [&](int i) { return static_cast<unsigned>(packed[i]); };
    unsigned scale = 0;
    unsigned minimum = 0;
    if (group < 4) {
        scale = byte(group) & 63;
        minimum = byte(group + 4) & 63;
    } else {
        scale = (byte(group + 4) & 15) | byte(group - 4) >> 6 << 4;
        minimum = byte(group + 4) >> 4 | byte(group) >> 6 << 4;
    }
    return {static_cast<std::uint8_t>(scale), static_cast<std::uint8_t>(minimum)};
}

WeightGroup read_group(TensorType type, const std::uint8_t* block, int group) {
    WeightGroup out = {};
    switch (type) {
        case TensorType::q8_0:
            set_scale(out, read_half(block), 0.0F);
            std::memcpy(out.code, block + 2, group_weights);
            break;
        case TensorType::q4_0:
            set_scale(out, read_half(block), 0.0F);
            read_split_nibbles(out, block + 2, 8);
            break;
        case TensorType::q4_1:
            set_scale(out, read_half(block), -read_half(block + 2));
            read_split_nibbles(out, block + 4, 0);
            break;
        case TensorType::q4_k:
            read_q4_k(out, block, group);
            break;
        case TensorType::q5_k:
            read_q5_k(out, block, group);
            break;
        case TensorType::q6_k:
            read_q6_k(out, block, group);
            break;
        case TensorType::f32:
        case TensorType::f16:
        case TensorType::bf16:
        case TensorType::fp8_e4m3:
            assert(false);
            break;
    }
    return out;
}

void dequantise(TensorType type, const std::uint8_t* data, std::int64_t count, float* out) {
    if (type == TensorType::f32) {
        std::memcpy(out, data, static_cast<std::size_t>(count) * sizeof(float));
        return;
    }
    if (type == TensorType::f16 || type == TensorType::bf16) {
        auto* convert = type == TensorType::f16 ? float_from_half : float_from_bfloat;
        for (std::int64_t i = 0; i < count; ++i) out[i] = convert(read_u16(data + 2 * i));
        return;
    }
    if (type == TensorType::fp8_e4m3) {
        for (std::int64_t i = 0; i < count; ++i) out[i] = float_from_e4m3(data[i]);
        return;
    }
    int groups = block_weights(type) / group_weights;
    for (std::int64_t block = 0; block < count / block_weights(type); ++block) {
        for (int g = 0; g < groups; ++g) {
            WeightGroup group = read_group(type, data + block * block_bytes(type), g);
            for (int i = 0; i < group_weights; ++i, ++out) {
                auto value = static_cast<float>(group.code[i]);
                *out = group.scale[i / 16] * value - group.minimum[i / 16];
            }
        }
    }
}

}  // namespace sluice
