// Weights of 256 columns of a row tile, in a warp's shared memory, as the bytes that
// mma.m16n8k32 takes, and the scales that its sums are multiplied by. Layout: weight_layout.cuh; a
// lane owns rows g = lane / 4 and g + 8.
//
// A reader gives of each pair p (32 columns) four words of unsigned codes, of row g and g + 8 the
// first four columns in the order of coded.h, then of both the last four; and either
//   integers = true: an integer scale and minimum of each p and row, and two numbers d and dmin of
//     the row: weight = d scale code - dmin minimum
//   integers = false: numbers of each p and row: weight = d (code - zero) + m
// halves: scales are of 16 columns; a lane gives those of the first 16 if it is even, else of the
// others. spread(): scale and minimum of the p that a lane owns among 4 k .. 4 k + 3 (2 k .. 2 k +
// 1 for halves): see SpreadLane.
#pragma once

#include <cuda_fp16.h>

#include "engine/cuda/weight_reader.cuh"

namespace sluice::cuda {

// The words of row g (r = 0) or g + 8 (r = 1): codes[r], codes[2 + r].
using CodeWords = std::uint32_t[4];

template <WeightFormat format>
constexpr int code_step_bytes =
    step_layout(format).bytes*(256 / step_layout(format).columns);  // of 256 columns

// The 4-bit codes of pair p, of `words` that hold it and its neighbour.
__device__ inline void put_nibbles(const uint4& words, int p, CodeWords& out) {
    for (int r = 0; r < 2; ++r) {
        const std::uint32_t word = word_of(words, p % 2 * 2 + r);
        out[r] = word & 0x0F0F0F0FU;
        out[2 + r] = word >> 4 & 0x0F0F0F0FU;
    }
}

template <WeightFormat format>
struct CodeReader;

// The scales of a q4_k or q5_k row as integers.
struct CodeScales {
    uint4 words;
    std::uint32_t last;  // groups 6 and 7
    __device__ void open(const std::uint8_t* at) {
        words = *reinterpret_cast<const uint4*>(at);
        last = last_scales(words.y, words.z, words.w);
    }
    __device__ std::uint32_t word(int p) const { return p < 6 ? word_of(words, 1 + p / 2) : last; }
    __device__ int scale(int p) const { return static_cast<int>(word(p) >> (4 + p % 2 * 6) & 63); }
    __device__ float2 numbers() const { return __half22float2(as_half2(words.x)); }
    // The minimums of p = q and 4 + q twice each as f16, for q that only the lane knows.
    __device__ uint2 minimums(int q) const {
        const int shift = q % 2 * 6;
        const auto twice = [shift](std::uint32_t word) {
            const std::uint32_t bits = __byte_perm(word >> shift, 0, 0x3232);
            return bits_of(__hadd2(more_by_64(bits), both(-64.0F)));
        };
        return {twice(q < 2 ? words.y : words.z), twice(q < 2 ? words.w : last)};
    }
    // Of p = 4 k + q, for q that only the lane knows.
    __device__ int2 spread(int k, int q) const {
        const std::uint32_t early = k == 0 ? words.y : words.w;
        const std::uint32_t late = k == 0 ? words.z : last;
        const std::uint32_t bits = (q < 2 ? early : late) >> (4 + q % 2 * 6);
        return {static_cast<int>(bits & 63), static_cast<int>(bits >> 16 & 63)};
    }
};

template <WeightFormat format>
struct KCodeReader {
    static constexpr bool integers = true;
    static constexpr bool halves = false;
    const std::uint8_t* codes;
    CodeScales rows[2];
    uint4 words;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(format);
        codes = step + lane * 16;
        for (int r = 0; r < 2; ++r)
            rows[r].open(step + layout.scales + (lane / 4 + 8 * r) * layout.scale_bytes);
    }
    __device__ void nibbles(int p, CodeWords& out) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        put_nibbles(words, p, out);
    }
    __device__ int scale(int p, int r) const { return rows[r].scale(p); }
    __device__ uint2 minimums(int q, int r) const { return rows[r].minimums(q); }
    __device__ int2 spread(int k, int q, int r) const { return rows[r].spread(k, q); }
    __device__ float2 numbers(int r) const { return rows[r].numbers(); }
};

template <>
struct CodeReader<WeightFormat::q4_k> : KCodeReader<WeightFormat::q4_k> {
    __device__ void pair(int p, CodeWords& out) { nibbles(p, out); }
};

// Bits of a word, moved from bit `from` of it to bit `to`.
__device__ inline std::uint32_t moved(std::uint32_t bits, int from, int to) {
    return to >= from ? bits << (to - from) : bits >> (from - to);
}

template <>
struct CodeReader<WeightFormat::q5_k> : KCodeReader<WeightFormat::q5_k> {
    uint4 high;
    __device__ void open(const std::uint8_t* step, int lane) {
        KCodeReader::open(step, lane);
        high = *reinterpret_cast<const uint4*>(step + step_layout(WeightFormat::q5_k).high +
                                               lane * 16);
    }
    __device__ void pair(int p, CodeWords& out) {
        nibbles(p, out);
        for (int r = 0; r < 2; ++r) {
            const std::uint32_t bits = word_of(high, p / 4 * 2 + r);
            for (int i = 0; i < 2; ++i)
                out[2 * i + r] |= (moved(bits, p % 4 * 4 + i, 4) & 0x00100010U) |
                                  (moved(bits, p % 4 * 4 + i + 2, 12) & 0x10001000U);
        }
    }
};

template <>
struct CodeReader<WeightFormat::q6_k> {
    static constexpr bool integers = true;
    static constexpr bool halves = true;
    const std::uint8_t* codes;
    uint2 scales[2];
    float d[2];
    uint4 words;
    uint4 high;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q6_k);
        codes = step + lane * 16;
        const std::uint8_t* numbers = step + layout.scales + tile_rows * layout.scale_bytes;
        for (int r = 0; r < 2; ++r) {
            const int row = lane / 4 + 8 * r;
            scales[r] =
                *reinterpret_cast<const uint2*>(step + layout.scales + row * 16 + lane % 2 * 8);
            d[r] = __half2float(reinterpret_cast<const __half*>(numbers)[row]);
        }
    }
    __device__ void pair(int p, CodeWords& out) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        if (p % 4 == 0)
            high = *reinterpret_cast<const uint4*>(codes + step_layout(WeightFormat::q6_k).high +
                                                   p / 4 * 512);
        for (int r = 0; r < 2; ++r) {
            const std::uint32_t word = word_of(words, p % 2 * 2 + r);
            const std::uint32_t bits = word_of(high, p % 4 / 2 * 2 + r);
            for (int i = 0; i < 2; ++i)
                out[2 * i + r] = (word >> 4 * i & 0x0F0F0F0FU) |
                                 (moved(bits, q6_high_place(p, i), 4) & 0x00300030U) |
                                 (moved(bits, q6_high_place(p, i + 2), 12) & 0x30003000U);
        }
    }
    // Stored as signed bytes; codes are 32 too high.
    __device__ int scale(int p, int r) const { return signed_byte(p / 4, p % 4, r); }
    __device__ int2 spread(int k, int q, int r) const {
        const int both = signed_byte(k / 2, k % 2 * 2 + q / 2, r);
        return {both, both};
    }
    __device__ int signed_byte(int word, int byte, int r) const {
        int out;  // __byte_perm does not extend signs
        asm("prmt.b32 %0, %1, 0, %2;"
            : "=r"(out)
            : "r"(word == 0 ? scales[r].x : scales[r].y), "r"(0x8880U + byte * 0x1111U));
        return out;
    }
    __device__ float2 numbers(int r) const { return {d[r], 32.0F * d[r]}; }
};

// Nibbles with f16 scales of 32 columns.
template <WeightFormat format>
struct BlockCodeReader {
    static constexpr bool integers = false;
    static constexpr bool halves = false;
    static constexpr int zero = format == WeightFormat::q4_0 ? 8 : 0;
    const std::uint8_t* codes;
    const std::uint8_t* scales;
    uint4 words;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(format);
        codes = step + lane * 16;
        scales = step + layout.scales + lane / 4 * layout.scale_bytes;
    }
    __device__ void pair(int p, CodeWords& out) {
        if (p % 2 == 0) words = *reinterpret_cast<const uint4*>(codes + p / 2 * 512);
        put_nibbles(words, p, out);
    }
    // m, as CodeScales::minimums
    __device__ uint2 minimums(int q, int r) const {
        const auto* row =
            reinterpret_cast<const __half2*>(scales + 8 * r * step_layout(format).scale_bytes);
        return {bits_of(__high2half2(row[q])), bits_of(__high2half2(row[4 + q]))};
    }
    // {d, m}
    __device__ float2 numbers(int p, int r) const {
        const std::uint8_t* row = scales + 8 * r * step_layout(format).scale_bytes;
        if constexpr (format == WeightFormat::q4_1)
            return __half22float2(reinterpret_cast<const __half2*>(row)[p]);
        return {__half2float(reinterpret_cast<const __half*>(row)[p]), 0.0F};
    }
};
template <>
struct CodeReader<WeightFormat::q4_0> : BlockCodeReader<WeightFormat::q4_0> {};
template <>
struct CodeReader<WeightFormat::q4_1> : BlockCodeReader<WeightFormat::q4_1> {};

// Two steps of 128 columns behind one another.
template <>
struct CodeReader<WeightFormat::q8_0> {
    static constexpr bool integers = false;
    static constexpr bool halves = false;
    static constexpr int zero = 128;
    const std::uint8_t* codes;
    const std::uint8_t* scales;
    __device__ void open(const std::uint8_t* step, int lane) {
        constexpr StepLayout layout = step_layout(WeightFormat::q8_0);
        codes = step + lane * 16;
        scales = step + layout.scales + lane / 4 * layout.scale_bytes;
    }
    __device__ void pair(int p, CodeWords& out) {
        const uint4 words = *reinterpret_cast<const uint4*>(
            codes + p / 4 * step_layout(WeightFormat::q8_0).bytes + p % 4 * 512);
        for (int r = 0; r < 2; ++r) {
            const std::uint32_t low = word_of(words, 2 * r);
            const std::uint32_t high = word_of(words, 2 * r + 1);
            out[r] = __byte_perm(low, high, 0x5140);
            out[2 + r] = __byte_perm(low, high, 0x7362);
        }
    }
    __device__ float2 numbers(int p, int r) const {
        constexpr StepLayout layout = step_layout(WeightFormat::q8_0);
        const std::uint8_t* row = scales + p / 4 * layout.bytes + 8 * r * layout.scale_bytes;
        return {__half2float(reinterpret_cast<const __half*>(row)[p % 4]), 0.0F};
    }
};

}  // namespace sluice::cuda
