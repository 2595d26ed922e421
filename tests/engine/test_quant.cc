#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "engine/model/quant.h"
#include "tests/engine/random_weights.h"

using namespace sluice;

namespace {

using Bytes = std::vector<int>;

// What weight `i` of a block is, written from the format's description one weight at a time.
float half_at(const Bytes& b, int at) {
    int bits = b[static_cast<std::size_t>(at)] + 256 * b[static_cast<std::size_t>(at) + 1];
    int exponent = bits / 1024 % 32;
    double fraction = bits % 1024 / 1024.0;
    double value =
        exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
    return static_cast<float>(bits >= 32768 ? -value : value);
}

int bits_of(const Bytes& b, int at, int low, int count) {
    return b[static_cast<std::size_t>(at)] / (1 << low) % (1 << count);
}

float k_weight(const Bytes& b, int i, int code) {
    int group = i / 32;
    int scale = bits_of(b, 4 + group, 0, 6);
    int minimum = bits_of(b, 8 + group % 8, 0, 6);
    if (group >= 4) {
        scale = bits_of(b, 4 + group + 4, 0, 4) + 16 * bits_of(b, 4 + group - 4, 6, 2);
        minimum = bits_of(b, 4 + group + 4, 4, 4) + 16 * bits_of(b, 4 + group, 6, 2);
    }
    return half_at(b, 0) * static_cast<float>(scale) * static_cast<float>(code) -
           half_at(b, 2) * static_cast<float>(minimum);
}

float weight_of(TensorType type, const Bytes& b, int i) {
    int byte = i / 64 * 32 + i % 32;  // of the K types' nibbles
    int high = i / 32 % 2 * 4;
    switch (type) {
        case TensorType::q8_0: {
            int code = b[static_cast<std::size_t>(2 + i)];
            return half_at(b, 0) * static_cast<float>(code < 128 ? code : code - 256);
        }
        case TensorType::q4_0:
            return half_at(b, 0) * static_cast<float>(bits_of(b, 2 + i % 16, i / 16 * 4, 4) - 8);
        case TensorType::q4_1:
            return half_at(b, 0) * static_cast<float>(bits_of(b, 4 + i % 16, i / 16 * 4, 4)) +
                   half_at(b, 2);
        case TensorType::q4_k:
            return k_weight(b, i, bits_of(b, 16 + byte, high, 4));
        case TensorType::q5_k:
            return k_weight(
                b, i, bits_of(b, 48 + byte, high, 4) + 16 * bits_of(b, 16 + i % 32, i / 32, 1));
        case TensorType::q6_k: {
            int low_byte = i / 128 * 64 + i % 64;
            int code = bits_of(b, low_byte, i % 128 / 64 * 4, 4) +
                       16 * bits_of(b, 128 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
            int scale = b[static_cast<std::size_t>(192 + i / 16)];
            return half_at(b, 208) * static_cast<float>(scale < 128 ? scale : scale - 256) *
                   static_cast<float>(code - 32);
        }
        default:
            return 0.0F;
    }
}

}  // namespace

TEST_CASE("every half turns into a float and back", "[quant]") {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        auto half = static_cast<std::uint16_t>(bits);
        float value = float_from_half(half);
        if (std::isnan(value)) {
            REQUIRE(std::isnan(float_from_half(half_from_float(value))));
        } else {
            REQUIRE(half_from_float(value) == half);
        }
    }
    CHECK(float_from_half(0x3C00) == 1.0F);
    CHECK(float_from_half(0x0001) == std::ldexp(1.0F, -24));
    CHECK(float_from_half(0xFBFF) == -65504.0F);
    CHECK(std::isinf(float_from_half(0x7C00)));
}

TEST_CASE("a float between two halves rounds to the nearer, ties to the even one", "[quant]") {
    for (std::uint32_t bits = 0; bits + 1 < 0x7C00; ++bits) {
        auto half = static_cast<std::uint16_t>(bits);
        double low = static_cast<double>(float_from_half(half));
        double high = static_cast<double>(float_from_half(static_cast<std::uint16_t>(bits + 1)));
        auto at = [&](double share) {
            return half_from_float(static_cast<float>(low + share * (high - low)));
        };
        REQUIRE(at(0.49) == bits);
        REQUIRE(at(0.51) == bits + 1);
        REQUIRE(at(0.5) == bits + bits % 2);
    }
    CHECK(half_from_float(65519.0F) == 0x7BFF);
    CHECK(half_from_float(65520.0F) == 0x7C00);
    CHECK(half_from_float(-1e30F) == 0xFC00);
}

TEST_CASE("a block's weights are what its format says, to the bit", "[quant]") {
    std::mt19937 random(7);
    for (TensorType type : all_tensor_types()) {
        if (block_weights(type) == 1) continue;
        INFO(type_name(type));
        std::int64_t count = 24 * block_weights(type);
        std::string bytes = random_weights(type, count, random);
        std::vector<float> weights = floats_of(type, bytes, count);
        for (std::size_t i = 0; i < weights.size(); ++i) {
            auto in_block = static_cast<int>(i) % block_weights(type);
            auto start = i / static_cast<std::size_t>(block_weights(type)) *
                         static_cast<std::size_t>(block_bytes(type));
            Bytes block;
            for (int b = 0; b < block_bytes(type); ++b)
                block.push_back(
                    static_cast<std::uint8_t>(bytes[start + static_cast<std::size_t>(b)]));
            REQUIRE(weights[i] == weight_of(type, block, in_block));
        }
    }
}

TEST_CASE("unquantised weights are read as they are", "[quant]") {
    const std::uint8_t halves[] = {0x00, 0x3C, 0x00, 0xC0};
    const std::uint8_t bfloats[] = {0x80, 0x3F, 0x00, 0xC0};
    float out[2] = {};
    dequantise(TensorType::f16, halves, 2, out);
    CHECK(out[0] == 1.0F);
    CHECK(out[1] == -2.0F);
    dequantise(TensorType::bf16, bfloats, 2, out);
    CHECK(out[0] == 1.0F);
    CHECK(out[1] == -2.0F);
}
