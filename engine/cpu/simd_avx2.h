// The vector operations that the kernels are written in, for AVX2, FMA and F16C.
// Included by kernels_avx2.cc alone: see kernels.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace sluice {
namespace {

struct Avx2 {
    using F = __m256;
    using I = __m256i;
    static constexpr int lanes = 8;
    static constexpr int tile_tokens = 4;
    static constexpr int attention_rows = 2;
    static constexpr int value_vectors = 4;

    static F zero() { return _mm256_setzero_ps(); }
    static F set(float x) { return _mm256_set1_ps(x); }
    static F load(const float* p) { return _mm256_loadu_ps(p); }
    static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
    static __m128i load_128(const void* p) {
        return _mm_loadu_si128(static_cast<const __m128i*>(p));
    }
    static __m128i load_64(const void* p) {
        return _mm_loadl_epi64(static_cast<const __m128i*>(p));
    }
    static F load_half(const std::uint16_t* p) { return _mm256_cvtph_ps(load_128(p)); }
    static void store_half(std::uint16_t* p, F x) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                         _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    static F load_bfloat(const std::uint16_t* p) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16));
    }
    static F load_u8(const std::uint8_t* p) {
        return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_64(p)));
    }
    static F load_i8(const std::uint8_t* p) {
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_64(p)));
    }
    static F add(F a, F b) { return _mm256_add_ps(a, b); }
    static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
    static F div(F a, F b) { return _mm256_div_ps(a, b); }
    static F max(F a, F b) { return _mm256_max_ps(a, b); }
    static F min(F a, F b) { return _mm256_min_ps(a, b); }
    static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
    static float sum(F a) {
        __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
    }
    static float largest(F a) {
        __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
    }

    static I zero_int() { return _mm256_setzero_si256(); }
    static I load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
    static I set_int(std::int32_t x) { return _mm256_set1_epi32(x); }
    static I load_i8_as_i16(const std::uint8_t* p) { return _mm256_cvtepi8_epi16(load_128(p)); }
    static I bits_and(I a, I b) { return _mm256_and_si256(a, b); }
    static I bits_or(I a, I b) { return _mm256_or_si256(a, b); }
    template <int count>
    static I shift_right(I a) {
        return _mm256_srli_epi32(a, count);
    }
    template <int count>
    static I shift_left(I a) {
        return _mm256_slli_epi32(a, count);
    }
    static I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
    static I sub_i16(I a, I b) { return _mm256_sub_epi16(a, b); }
    static I dot(I sum, I a, I b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
    static F to_float(I a) { return _mm256_cvtepi32_ps(a); }
    static I to_int(F a) { return _mm256_cvtps_epi32(a); }
    static F as_float(I a) { return _mm256_castsi256_ps(a); }
    static std::int32_t sum_int(I a) {
        __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
        return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1)));
    }
    static void store_i16(std::int16_t* p, I a) {
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, a), 0x08);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
    }
};

}  // namespace
}  // namespace sluice
