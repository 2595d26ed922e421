// Weights of a step, in a warp's shared memory, as f16 or bf16 fragments of mma.m16n8k16. Layout
// and lanes: weight_layout.cuh. Codes become f16 exactly (0x6400 | code is 1024 + code, and less
// 1024 it is the code); the scale is the product of the block's two, rounded to f16, and the
// weight is rounded once more. No scale is lost below f16's range: a block's d is f16 itself, and
// an integer times a subnormal d is exact.
#pragma once

#include <cuda_fp16.h>

#include "engine/cuda/weight_layout.cuh"

namespace sluice::cuda {

__device__ inline __half2 as_half2(std::uint32_t bits) {
    return *reinterpret_cast<const __half2*>(&bits);
}
__device__ inline std::uint32_t bits_of(__half2 value) {
    return *reinterpret_cast<const std::uint32_t*>(&value);
}
__device__ inline __half2 both(float value) { return __float2half2_rn(value); }

// (bits & mask) | 0x64006400: an integer below 1024 in each half becomes 1024 more.
template <std::uint32_t mask>
__device__ inline std::uint32_t biased(std::uint32_t bits) {
    std::uint32_t out;
    asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(out) : "r"(bits), "n"(mask), "r"(0x64006400U));
    return out;
}

// a[0] and a[1]: the fragments of the first and the second k16 step of pair p.
using Fragments = std::uint32_t[2][4];

// The four code pairs of one row's word, as exact f16 integers minus `zero`. `more` adds bits above
// the nibbles: at bit 4 of each half for even i, at bit 8 for odd i.
struct NibblePairs {
    __half2 pair[4];
    template <int zero, class More>
    __device__ static NibblePairs read(std::uint32_t word, More more) {
        const __half2 low = both(-1024.0F - zero);
        const __half2 high = both(-64.0F - zero);
        const std::uint32_t upper = word >> 8;
        NibblePairs out;
        out.pair[0] = __hadd2(as_half2(biased<0x000F000F>(word) | more(0)), low);
        out.pair[1] = __hfma2(as_half2(biased<0x00F000F0>(word) | more(1)), both(0.0625F), high);
        out.pair[2] = __hadd2(as_half2(biased<0x000F000F>(upper) | more(2)), low);
        out.pair[3] = __hfma2(as_half2(biased<0x00F000F0>(upper) | more(3)), both(0.0625F), high);
        return out;
    }
    template <int zero>
    __device__ static NibblePairs read(std::uint32_t word) {
        return read<zero>(word, [](int) { return 0U; });
    }
};

// Pairs 0..3 of row g (r = 0) or g + 8 (r = 1) into the two fragments.
__device__ inline void put(Fragments& a, int r, int i, __half2 value) {
    a[i / 2][i % 2 * 2 + r] = bits_of(value);
}

__device__ inline std::uint32_t word_of(const uint4& words, int i) {
    return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// The scales and minimums of one row of a q4_k or q5_k step.
struct KScales {
    uint4 words;
    std::uint32_t last;  // groups 6 and 7
    __device__ void open(const std::uint8_t* at) {
        words = *reinterpret_cast<const uint4*>(at);
        last = (words.y >> 12 & 0x000F000FU) | (words.z >> 8 & 0x00F000F0U) |
               (words.w >> 4 & 0x0F000F00U);
    }
    // {scale, minimum} of group p
    __device__ __half2 of(int p) const {
        const std::uint32_t word = p < 6 ? word_of(words, 1 + p / 2) : last;
        const __half2 codes = as_half2(biased<0x003F003F>(p % 2 == 0 ? word : word >> 6));
        return __hmul2(__hadd2(codes, both(-1024.0F)), as_half2(words.x));
    }
};

template <WeightFormat format>
struct WeightReader;

template <>
struct WeightReader<WeightFormat::q4_k> {
    const std::uint8_t* codes;
    KScales scales[2];
    uint4 words;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q4_k);
        codes = step + lane * 16;
        for (int r = 0; r < 2; ++r)
            scales[r].open(step + layout.scales + (lane / 4 + 8 * r) * layout.scale_bytes);
    }
    __device__ void pair(int p, Fragments& a) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        for (int r = 0; r < 2; ++r) {
            const NibblePairs code = NibblePairs::read<0>(word_of(words, p % 2 * 2 + r));
            const __half2 scale = scales[r].of(p);
            for (int i = 0; i < 4; ++i)
                put(a, r, i,
                    __hfma2(code.pair[i], __low2half2(scale), __hneg2(__high2half2(scale))));
        }
    }
};

template <>
struct WeightReader<WeightFormat::q5_k> {
    const std::uint8_t* codes;
    KScales scales[2];
    uint4 words;
    uint4 high;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q5_k);
        codes = step + lane * 16;
        high = *reinterpret_cast<const uint4*>(step + layout.high + lane * 16);
        for (int r = 0; r < 2; ++r)
            scales[r].open(step + layout.scales + (lane / 4 + 8 * r) * layout.scale_bytes);
    }
    __device__ void pair(int p, Fragments& a) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        for (int r = 0; r < 2; ++r) {
            const std::uint32_t bits = word_of(high, p / 4 * 2 + r) >> p % 4 * 4;
            const NibblePairs code =
                NibblePairs::read<0>(word_of(words, p % 2 * 2 + r), [bits](int i) {
                    const std::uint32_t one = bits >> i & 0x00010001U;
                    return one << (i % 2 == 0 ? 4 : 8);
                });
            const __half2 scale = scales[r].of(p);
            for (int i = 0; i < 4; ++i)
                put(a, r, i,
                    __hfma2(code.pair[i], __low2half2(scale), __hneg2(__high2half2(scale))));
        }
    }
};

template <>
struct WeightReader<WeightFormat::q6_k> {
    const std::uint8_t* codes;
    const std::uint8_t* high_codes;
    uint2 scales[2];
    __half2 d[2];
    uint4 words;
    uint4 high;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q6_k);
        codes = step + lane * 16;
        high_codes = codes + layout.high;
        for (int r = 0; r < 2; ++r) {
            const int row = lane / 4 + 8 * r;
            scales[r] =
                *reinterpret_cast<const uint2*>(step + layout.scales + row * 16 + lane % 4 / 2 * 8);
            scales[r].x ^= 0x80808080U;
            scales[r].y ^= 0x80808080U;
            const std::uint8_t* at = step + layout.scales + tile_rows * layout.scale_bytes;
            d[r] = __half2half2(reinterpret_cast<const __half*>(at)[row]);
        }
    }
    __device__ void pair(int p, Fragments& a) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        if (p % 4 == 0) high = *reinterpret_cast<const uint4*>(high_codes + p / 4 * 512);
        for (int r = 0; r < 2; ++r) {
            const std::uint32_t bits = word_of(high, p % 4 / 2 * 2 + r);
            const NibblePairs code =
                NibblePairs::read<32>(word_of(words, p % 2 * 2 + r), [bits, p](int i) {
                    const int right = q6_high_place(p, i) - (i % 2 == 0 ? 4 : 8);
                    const std::uint32_t moved = right >= 0 ? bits >> right : bits << -right;
                    return moved & (i % 2 == 0 ? 0x00300030U : 0x03000300U);
                });
            // Bytes {scale + 128, 0x64} twice: 1024 + 128 + scale.
            const std::uint32_t word = p < 4 ? scales[r].x : scales[r].y;
            const __half2 biased_scale =
                as_half2(__byte_perm(word, 0x64646464U, 0x4040U + p % 4 * 0x0101U));
            const __half2 scale = __hmul2(__hadd2(biased_scale, both(-1152.0F)), d[r]);
            for (int i = 0; i < 4; ++i) put(a, r, i, __hmul2(code.pair[i], scale));
        }
    }
};

template <>
struct WeightReader<WeightFormat::q4_0> {
    const std::uint8_t* codes;
    uint4 scales[2];
    uint4 words;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q4_0);
        codes = step + lane * 16;
        for (int r = 0; r < 2; ++r)
            scales[r] = *reinterpret_cast<const uint4*>(step + layout.scales +
                                                        (lane / 4 + 8 * r) * layout.scale_bytes);
    }
    __device__ void pair(int p, Fragments& a) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        for (int r = 0; r < 2; ++r) {
            const NibblePairs code = NibblePairs::read<8>(word_of(words, p % 2 * 2 + r));
            const std::uint32_t d = word_of(scales[r], p / 2);
            const __half2 scale = as_half2(__byte_perm(d, 0, p % 2 == 0 ? 0x1010 : 0x3232));
            for (int i = 0; i < 4; ++i) put(a, r, i, __hmul2(code.pair[i], scale));
        }
    }
};

template <>
struct WeightReader<WeightFormat::q4_1> {
    const std::uint8_t* codes;
    const std::uint8_t* row_scales[2];
    uint4 scales[2];
    uint4 words;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q4_1);
        codes = step + lane * 16;
        for (int r = 0; r < 2; ++r)
            row_scales[r] = step + layout.scales + (lane / 4 + 8 * r) * layout.scale_bytes;
    }
    __device__ void pair(int p, Fragments& a) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        for (int r = 0; r < 2; ++r) {
            if (p % 4 == 0) scales[r] = *reinterpret_cast<const uint4*>(row_scales[r] + p / 4 * 16);
            const NibblePairs code = NibblePairs::read<0>(word_of(words, p % 2 * 2 + r));
            const __half2 scale = as_half2(word_of(scales[r], p % 4));
            for (int i = 0; i < 4; ++i)
                put(a, r, i, __hfma2(code.pair[i], __low2half2(scale), __high2half2(scale)));
        }
    }
};

template <>
struct WeightReader<WeightFormat::q8_0> {
    const std::uint8_t* codes;
    uint2 scales[2];
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q8_0);
        codes = step + lane * 16;
        for (int r = 0; r < 2; ++r)
            scales[r] = *reinterpret_cast<const uint2*>(step + layout.scales +
                                                        (lane / 4 + 8 * r) * layout.scale_bytes);
    }
    __device__ void pair(int p, Fragments& a) {
        const uint4 words = *reinterpret_cast<const uint4*>(codes + p * 512);
        for (int r = 0; r < 2; ++r) {
            const std::uint32_t d = p < 2 ? scales[r].x : scales[r].y;
            const __half2 scale = as_half2(__byte_perm(d, 0, p % 2 == 0 ? 0x1010 : 0x3232));
            for (int i = 0; i < 4; ++i) {
                const std::uint32_t word = word_of(words, 2 * r + i / 2);
                // The code is stored plus 128.
                const __half2 code =
                    as_half2(__byte_perm(word, 0x64646464U, i % 2 == 0 ? 0x4140U : 0x4342U));
                put(a, r, i, __hmul2(__hadd2(code, both(-1152.0F)), scale));
            }
        }
    }
};

// The codes in the two lower bytes (high = false) or the two upper ones, as f16. Before compute
// capability 8.9 there is no instruction for it: e4m3's bits, moved into f16's places, are the
// value / 256, and times 256 it is exact.
template <bool high>
__device__ inline __half2 halves_of_fp8(std::uint32_t codes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    std::uint32_t out;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;"
        : "=r"(out)
        : "h"(static_cast<std::uint16_t>(high ? codes >> 16 : codes)));
    return as_half2(out);
#else
    const std::uint32_t two = __byte_perm(codes, 0, high ? 0x3424 : 0x1404);
    return __hmul2(as_half2((two >> 1 & 0x3F803F80U) | (two & 0x80008000U)), both(256.0F));
#endif
}

template <>
struct WeightReader<WeightFormat::fp8_e4m3> {
    const std::uint8_t* codes;
    __device__ void open(const std::uint8_t* step, int lane) {
        codes = step + lane / 4 * fp8_row_pitch + lane % 4 * 8;
    }
    __device__ void pair(int p, Fragments& a) {
        for (int r = 0; r < 2; ++r) {
            const uint2 words =
                *reinterpret_cast<const uint2*>(codes + 8 * r * fp8_row_pitch + p * 32);
            put(a, r, 0, halves_of_fp8<false>(words.x));
            put(a, r, 1, halves_of_fp8<true>(words.x));
            put(a, r, 2, halves_of_fp8<false>(words.y));
            put(a, r, 3, halves_of_fp8<true>(words.y));
        }
    }
};

// The 16 bits of f16 and bf16 are the fragment.
struct PlainReader {
    const std::uint8_t* codes;
    __device__ void open(const std::uint8_t* step, int lane) { codes = step + lane * 16; }
    __device__ void pair(int p, Fragments& a) {
        for (int r = 0; r < 2; ++r) {
            const uint4 words = *reinterpret_cast<const uint4*>(codes + (2 * p + r) * 512);
            for (int i = 0; i < 4; ++i) put(a, r, i, as_half2(word_of(words, i)));
        }
    }
};
template <>
struct WeightReader<WeightFormat::f16> : PlainReader {};
template <>
struct WeightReader<WeightFormat::bf16> : PlainReader {};

}  // namespace sluice::cuda
