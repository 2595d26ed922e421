// The vector operations that the kernels are written in, in plain C++ for any processor: four
// lanes, which the compiler may turn into whatever the machine has.
// Included by kernels_portable.cc alone: see kernels.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/model/quant.h"

namespace sluice {
namespace {

struct Portable {
    static constexpr int lanes = 4;
    static constexpr int tile_tokens = 2;
    static constexpr int attention_rows = 1;
    static constexpr int value_vectors = 2;
    struct F {
        float v[lanes];
    };
    struct I {
        std::int32_t v[lanes];
    };

    template <class Make>
    static F floats(Make make) {
        F out;
        for (int i = 0; i < lanes; ++i) out.v[i] = make(i);
        return out;
    }
    template <class Make>
    static I ints(Make make) {
        I out;
        for (int i = 0; i < lanes; ++i) out.v[i] = static_cast<std::int32_t>(make(i));
        return out;
    }

    static F zero() { return set(0.0F); }
    static F set(float x) {
        return floats([&](int) { return x; });
    }
    static F load(const float* p) {
        return floats([&](int i) { return p[i]; });
    }
    static void store(float* p, F x) { std::memcpy(p, x.v, sizeof x.v); }
    static F load_half(const std::uint16_t* p) {
        return floats([&](int i) { return float_from_half(p[i]); });
    }
    static void store_half(std::uint16_t* p, F x) {
        for (int i = 0; i < lanes; ++i) p[i] = half_from_float(x.v[i]);
    }
    static F load_bfloat(const std::uint16_t* p) {
        return floats([&](int i) { return float_from_bfloat(p[i]); });
    }
    static F load_u8(const std::uint8_t* p) {
        return floats([&](int i) { return static_cast<float>(p[i]); });
    }
    static F load_i8(const std::uint8_t* p) {
        return floats([&](int i) { return static_cast<float>(static_cast<std::int8_t>(p[i])); });
    }
    static F add(F a, F b) {
        return floats([&](int i) { return a.v[i] + b.v[i]; });
    }
    static F sub(F a, F b) {
        return floats([&](int i) { return a.v[i] - b.v[i]; });
    }
    static F mul(F a, F b) {
        return floats([&](int i) { return a.v[i] * b.v[i]; });
    }
    static F div(F a, F b) {
        return floats([&](int i) { return a.v[i] / b.v[i]; });
    }
    static F max(F a, F b) {
        return floats([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
    }
    static F min(F a, F b) {
        return floats([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
    }
    static F fma(F a, F b, F c) {
        return floats([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
    }
    static F abs(F a) {
        return floats([&](int i) { return std::fabs(a.v[i]); });
    }
    static float sum(F a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
    static float largest(F a) {
        float top = a.v[0];
        for (int i = 1; i < lanes; ++i) top = a.v[i] > top ? a.v[i] : top;
        return top;
    }

    static I zero_int() { return set_int(0); }
    static I load_int(const void* p) {
        I out;
        std::memcpy(out.v, p, sizeof out.v);
        return out;
    }
    static I set_int(std::int32_t x) {
        return ints([&](int) { return x; });
    }
    static I load_i8_as_i16(const std::uint8_t* p) {
        return ints([&](int i) {
            auto low = static_cast<std::int8_t>(p[2 * i]);
            auto high = static_cast<std::int8_t>(p[2 * i + 1]);
            return static_cast<std::uint32_t>(high) << 16 |
                   (static_cast<std::uint32_t>(low) & 0xFFFF);
        });
    }
    static I bits_and(I a, I b) {
        return ints([&](int i) { return a.v[i] & b.v[i]; });
    }
    static I bits_or(I a, I b) {
        return ints([&](int i) { return a.v[i] | b.v[i]; });
    }
    template <int count>
    static I shift_right(I a) {
        return ints([&](int i) { return static_cast<std::uint32_t>(a.v[i]) >> count; });
    }
    template <int count>
    static I shift_left(I a) {
        return ints([&](int i) { return static_cast<std::uint32_t>(a.v[i]) << count; });
    }
    static I add_int(I a, I b) {
        return ints([&](int i) { return a.v[i] + b.v[i]; });
    }
    static std::int32_t low(std::int32_t x) { return static_cast<std::int16_t>(x & 0xFFFF); }
    static std::int32_t high(std::int32_t x) { return x >> 16; }
    static I sub_i16(I a, I b) {
        return ints([&](int i) {
            auto top = static_cast<std::uint32_t>(high(a.v[i]) - high(b.v[i])) << 16;
            return top | (static_cast<std::uint32_t>(low(a.v[i]) - low(b.v[i])) & 0xFFFF);
        });
    }
    static I dot(I sum, I a, I b) {
        return ints([&](int i) {
            return sum.v[i] + low(a.v[i]) * low(b.v[i]) + high(a.v[i]) * high(b.v[i]);
        });
    }
    static F to_float(I a) {
        return floats([&](int i) { return static_cast<float>(a.v[i]); });
    }
    static I to_int(F a) {
        return ints([&](int i) { return std::nearbyint(a.v[i]); });
    }
    static F as_float(I a) {
        F out;
        std::memcpy(out.v, a.v, sizeof out.v);
        return out;
    }
    static std::int32_t sum_int(I a) { return a.v[0] + a.v[1] + a.v[2] + a.v[3]; }
    static void store_i16(std::int16_t* p, I a) {
        for (int i = 0; i < lanes; ++i) p[i] = static_cast<std::int16_t>(a.v[i]);
    }
};

}  // namespace
}  // namespace sluice
