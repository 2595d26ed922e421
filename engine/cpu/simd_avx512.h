// The vector operations that the kernels are written in, for AVX-512 F, BW, VL, DQ and VNNI.
// Included by kernels_avx512.cc alone: see kernels.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace sluice {
namespace {

struct Avx512 {
    using F = __m512;
    using I = __m512i;
    static constexpr int lanes = 16;
    static constexpr int tile_tokens = 8;     // activations one pass over a weight serves
    static constexpr int attention_rows = 4;  // queries one pass over a key serves
    static constexpr int value_vectors = 4;   // registers of a value row held at once

    static F zero() { return _mm512_setzero_ps(); }
    static F set(float x) { return _mm512_set1_ps(x); }
    static F load(const float* p) { return _mm512_loadu_ps(p); }
    static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
    static F load_half(const std::uint16_t* p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static void store_half(std::uint16_t* p, F x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                            _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    static F load_bfloat(const std::uint16_t* p) {
        __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
    }
    static F load_u8(const std::uint8_t* p) {
        __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
    }
    static F load_i8(const std::uint8_t* p) {
        __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    }
    static F add(F a, F b) { return _mm512_add_ps(a, b); }
    static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
    static F div(F a, F b) { return _mm512_div_ps(a, b); }
    static F max(F a, F b) { return _mm512_max_ps(a, b); }
    static F min(F a, F b) { return _mm512_min_ps(a, b); }
    static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    static F abs(F a) { return _mm512_abs_ps(a); }
    static float sum(F a) { return _mm512_reduce_add_ps(a); }
    static float largest(F a) { return _mm512_reduce_max_ps(a); }

    static I zero_int() { return _mm512_setzero_si512(); }
    static I load_int(const void* p) { return _mm512_loadu_si512(p); }
    static I set_int(std::int32_t x) { return _mm512_set1_epi32(x); }
    static I load_i8_as_i16(const std::uint8_t* p) {
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static I bits_and(I a, I b) { return _mm512_and_si512(a, b); }
    static I bits_or(I a, I b) { return _mm512_or_si512(a, b); }
    template <int count>
    static I shift_right(I a) {
        return _mm512_srli_epi32(a, count);
    }
    template <int count>
    static I shift_left(I a) {
        return _mm512_slli_epi32(a, count);
    }
    static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
    static I sub_i16(I a, I b) { return _mm512_sub_epi16(a, b); }
    // Per lane: sum + a.low * b.low + a.high * b.high, on signed 16-bit halves.
    static I dot(I sum, I a, I b) { return _mm512_dpwssd_epi32(sum, a, b); }
    static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
    static I to_int(F a) { return _mm512_cvtps_epi32(a); }  // nearest even
    static F as_float(I a) { return _mm512_castsi512_ps(a); }
    static std::int32_t sum_int(I a) { return _mm512_reduce_add_epi32(a); }
    // Lanes fit in 16 bits.
    static void store_i16(std::int16_t* p, I a) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a));
    }
};

}  // namespace
}  // namespace sluice
