// Weights of a step, in a warp's shared memory, as f16 or bf16 fragments of mma.m16n8k16. Layout
// and lanes: weight_layout.cuh. Codes become f16 exactly (0x6400 | code is 1024 + code, and less
// 1024 it is the code, and in the lowest bits alone it is a subnormal). A weight is rounded when
// all of its scales are in it: rounding a scale first would bring as large an error again. What
// q4_k and q5_k have to round before is small (KScales).
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

// The integers at bits 4-9 of each half, plus 64.
__device__ inline __half2 more_by_64(std::uint32_t word) {
    std::uint32_t out;
    asm("lop3.b32 %0, %1, %2, %3, 0xEA;"
        : "=r"(out)
        : "r"(word), "n"(0x03F003F0), "r"(0x54005400U));
    return as_half2(out);
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

// The four code pairs of one row's word in the lowest bits of f16s, where a code is a subnormal:
// itself x 2^-24 in pairs 0 and 2, x 2^-20 in 1 and 3. `more` as above.
struct SubnormalPairs {
    __half2 pair[4];
    template <class More>
    __device__ static SubnormalPairs read(std::uint32_t word, More more) {
        const std::uint32_t upper = word >> 8;
        return {{as_half2((word & 0x000F000FU) | more(0)), as_half2((word & 0x00F000F0U) | more(1)),
                 as_half2((upper & 0x000F000FU) | more(2)),
                 as_half2((upper & 0x00F000F0U) | more(3))}};
    }
};

// The scales and minimums of one row of a q4_k or q5_k step. A weight is
//   d s q - dmin m = d (s q - j m) - (dmin - j d) m,   j a whole number of 0 to 32 near dmin / d:
// s q - j m is a whole number of at most 2,016, and the sum is rounded at the end. The second
// product and dmin - j d are rounded before, but they are small: where dmin / d is within [0, 32]
// the product is at most (d / 2 + dmin / 16) m, else it may be all of dmin m. (Too large for this
// are a d of 2 and a dmin of 512: weights.cc refuses them.)
struct KScales {
    uint4 words;
    std::uint32_t last;  // groups 6 and 7
    __half2 d;           // 2^15 d, twice
    // {2^9, 2^-15 j} and {2^5, dmin - j d}, and -64 times these: group p's {s, m} are read as 64
    // more than they are.
    __half2 whole, whole_bias, rest, rest_bias;
    __device__ void open(const std::uint8_t* at) {
        words = *reinterpret_cast<const uint4*>(at);
        last = last_scales(words.y, words.z, words.w);
        const __half2 file = as_half2(words.x);
        // Where d is subnormal 2^10 d is not. Where 2^10 dmin is infinite, j is 32 or, of unlike
        // signs, 0, as it should be.
        const __half2 large = __hmul2(file, both(1024.0F));
        // {0, 2^-10 / d} within a sixteenth: taken from a constant, the bits of a number are nearly
        // those of its inverse.
        const __half2 inverse = as_half2(0x77A90000U - (bits_of(large) << 16));
        // {1,024, 1,024 + dmin / d}: f16s next to 1,024 are whole numbers.
        const __half2 near = __hfma2(large, inverse, both(1024.0F));
        const __half2 j = __hadd2(__hmax2(__hmin2(near, both(1056.0F)), both(1024.0F)),
                                  __floats2half2_rn(-512.0F, -1024.0F));  // {512, j}
        whole = __hmul2(j, __floats2half2_rn(1.0F, 0x1p-15F));
        rest = __lows2half2(
            both(32.0F), __hfma2(__hneg2(__high2half2(j)), __low2half2(file), __high2half2(file)));
        whole_bias = __hmul2(whole, both(-64.0F));
        rest_bias = __hmul2(rest, both(-64.0F));
        d = __hmul2(__low2half2(file), both(32768.0F));
    }
    // Of group p.
    struct Group {
        __half2 whole;  // {2^9 s, 2^-15 j m}
        __half2 rest;   // {2^5 s, (dmin - j d) m}
        __half2 d;
        template <int i>
        __device__ __half2 weights(const SubnormalPairs& code) const {
            const __half2 s = __low2half2(i % 2 == 0 ? whole : rest);
            const __half2 number = __hfma2(code.pair[i], s, __hneg2(__high2half2(whole)));
            return __hfma2(number, d, __hneg2(__high2half2(rest)));
        }
    };
    __device__ Group group(int p) const {
        const std::uint32_t word = p < 6 ? word_of(words, 1 + p / 2) : last;
        const __half2 codes = more_by_64(p % 2 == 0 ? word : word >> 6);
        return {__hfma2(codes, whole, whole_bias), __hfma2(codes, rest, rest_bias), d};
    }
};

__device__ inline void put(Fragments& a, int r, const KScales::Group& of,
                           const SubnormalPairs& code) {
    put(a, r, 0, of.weights<0>(code));
    put(a, r, 1, of.weights<1>(code));
    put(a, r, 2, of.weights<2>(code));
    put(a, r, 3, of.weights<3>(code));
}

template <WeightFormat format>
struct WeightReader;

// What q4_k and q5_k have in common; `more` as above, of row r.
template <WeightFormat format>
struct KReader {
    const std::uint8_t* codes;
    KScales scales[2];
    uint4 words;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(format);
        codes = step + lane * 16;
        for (int r = 0; r < 2; ++r)
            scales[r].open(step + layout.scales + (lane / 4 + 8 * r) * layout.scale_bytes);
        load(0);
    }
    template <class More>
    __device__ void pair(int p, Fragments& a, More more) {
        for (int r = 0; r < 2; ++r)
            put(a, r, scales[r].group(p),
                SubnormalPairs::read(word_of(words, p % 2 * 2 + r), more(r)));
        if (p % 2 == 1 && p < 7) load(p + 1);
    }

private:
    __device__ void load(int p) { words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512); }
};

template <>
struct WeightReader<WeightFormat::q4_k> : KReader<WeightFormat::q4_k> {
    __device__ void pair(int p, Fragments& a) {
        KReader::pair(p, a, [](int) { return [](int) { return 0U; }; });
    }
};

template <>
struct WeightReader<WeightFormat::q5_k> : KReader<WeightFormat::q5_k> {
    uint4 high;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q5_k);
        high = *reinterpret_cast<const uint4*>(step + layout.high + lane * 16);
        KReader::open(step, lane);
    }
    __device__ void pair(int p, Fragments& a) {
        KReader::pair(p, a, [&](int r) {
            const std::uint32_t bits = word_of(high, p / 4 * 2 + r) >> p % 4 * 4;
            return [bits](int i) {
                const std::uint32_t one = bits >> i & 0x00010001U;
                return one << (i % 2 == 0 ? 4 : 8);
            };
        });
    }
};

template <>
struct WeightReader<WeightFormat::q6_k> {
    const std::uint8_t* codes;
    const std::uint8_t* high_codes;
    uint2 scales[2];
    __half2 d[2];
    __half2 scale[2];  // of p and p + 1, p even, and what rounding took from it
    __half2 rest[2];
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
        load(0);
    }
    __device__ void pair(int p, Fragments& a) {
        for (int r = 0; r < 2; ++r) {
            if (p % 2 == 0) open_scales(p, r);
            std::uint32_t bits = word_of(high, p % 4 / 2 * 2 + r);
            if (p % 2 == 1) bits = __byte_perm(bits, 0, 0x2301);
            static_assert(q6_high_place(0, 0) == 4 && q6_high_place(0, 1) == 8 &&
                          q6_high_place(0, 2) == 4 + 2 && q6_high_place(0, 3) == 8 + 2);
            static_assert(q6_high_place(1, 0) == 12 && q6_high_place(1, 1) == 0 &&
                          q6_high_place(1, 2) == 12 + 2 && q6_high_place(1, 3) == 0 + 2);
            const NibblePairs code =
                NibblePairs::read<32>(word_of(words, p % 2 * 2 + r), [bits](int i) {
                    return (i < 2 ? bits : bits >> 2) & (i % 2 == 0 ? 0x00300030U : 0x03000300U);
                });
            const __half2 s = p % 2 == 0 ? __low2half2(scale[r]) : __high2half2(scale[r]);
            const __half2 more = p % 2 == 0 ? __low2half2(rest[r]) : __high2half2(rest[r]);
            for (int i = 0; i < 4; ++i)
                put(a, r, i, __hfma2(code.pair[i], s, __hmul2(code.pair[i], more)));
        }
        if (p % 2 == 1 && p < 7) load(p + 1);
    }

private:
    __device__ void load(int p) {
        words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        if (p % 4 == 0) high = *reinterpret_cast<const uint4*>(high_codes + p / 4 * 512);
    }
    __device__ void open_scales(int p, int r) {
        // Bytes {scale + 128, 0x64}, of p and of p + 1: 1024 + 128 + scale.
        const std::uint32_t word = p < 4 ? scales[r].x : scales[r].y;
        const __half2 biased_scales =
            as_half2(__byte_perm(word, 0x64646464U, 0x4140U + p % 4 * 0x0101U));
        const __half2 whole = __hadd2(biased_scales, both(-1152.0F));
        scale[r] = __hmul2(whole, d[r]);
        rest[r] = __hfma2(whole, d[r], __hneg2(scale[r]));
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
