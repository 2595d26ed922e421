// Planes of a quantised matrix back into the file's blocks, bit by bit on the host, by what
// engine/cuda/weight_layout.cuh says of where each stands.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/cuda/weight_layout.cuh"
#include "engine/model/quant.h"
#include "tests/cuda/weight_planes.h"

namespace sluice::cuda {

class UndonePlanes {
public:
    UndonePlanes(WeightFormat format, int rows, int columns, std::vector<std::uint8_t> planes)
        : format_(format),
          layout_(step_layout(format)),
          rows_(rows),
          columns_(columns),
          planes_(std::move(planes)) {}

    // All rows' blocks, in the file's order.
    std::string blocks() const {
        std::string out;
        const int weights = block_weights(tensor_type(format_));
        for (int row = 0; row < rows_; ++row)
            for (int column = 0; column < columns_; column += weights) out += block(row, column);
        return out;
    }

private:
    const std::uint8_t* step(int row, int column) const {
        const int at = row / tile_rows * steps_of(format_, columns_) + column / layout_.columns;
        return planes_.data() + static_cast<std::ptrdiff_t>(at) * layout_.bytes;
    }
    static std::uint32_t word(const std::uint8_t* at, int offset) {
        std::uint32_t out = 0;
        std::memcpy(&out, at + offset, sizeof out);
        return out;
    }
    // As the file has it: of all bits of the code.
    unsigned code(int row, int column) const {
        const std::uint8_t* at = step(row, column);
        const int within = column % layout_.columns;
        const int p = within / 32, i = within % 8 / 2, odd = within % 2;
        const int lane = row % 8 * 4 + within % 32 / 8, upper = row / 8 % 2;
        if (!has_nibbles(format_)) return at[p * 512 + lane * 16 + upper * 8 + within % 8] ^ 0x80U;
        const std::uint32_t nibbles = word(at, p / 2 * 512 + lane * 16 + p % 2 * 8 + upper * 4);
        const unsigned nibble = nibbles >> 4 * (i + 4 * odd) & 15U;
        const int high = layout_.high + lane * 16 + upper * 4;
        if (format_ == WeightFormat::q5_k)
            return nibble | (word(at, high + p / 4 * 8) >> (4 * (p % 4) + i + 16 * odd) & 1U) << 4;
        if (format_ == WeightFormat::q6_k) {
            const std::uint32_t bits = word(at, high + p / 4 * 512 + p % 4 / 2 * 8);
            return nibble | (bits >> (q6_high_place(p, i) + 16 * odd) & 3U) << 4;
        }
        return nibble;
    }
    const std::uint8_t* scales(int row, int column) const {
        return step(row, column) + layout_.scales + row % tile_rows * layout_.scale_bytes;
    }

    std::string block(int row, int column) const {
        std::string out(static_cast<std::size_t>(block_bytes(tensor_type(format_))), '\0');
        auto* to = reinterpret_cast<std::uint8_t*>(out.data());
        const int group = column % layout_.columns / 32;
        switch (format_) {
            case WeightFormat::q8_0:
                std::memcpy(to, scales(row, column) + 2 * group, 2);
                for (int i = 0; i < 32; ++i)
                    to[2 + i] = static_cast<std::uint8_t>(code(row, column + i));
                return out;
            case WeightFormat::q4_0:
                std::memcpy(to, scales(row, column) + 2 * group, 2);
                put_small_nibbles(to + 2, row, column);
                return out;
            case WeightFormat::q4_1:
                std::memcpy(to, scales(row, column) + 4 * group, 4);
                put_small_nibbles(to + 4, row, column);
                return out;
            case WeightFormat::q4_k:
                put_k_scales(to, scales(row, column));
                put_k_nibbles(to + 16, row, column);
                return out;
            case WeightFormat::q5_k:
                put_k_scales(to, scales(row, column));
                for (int i = 0; i < 256; ++i)
                    put(to[16 + i % 32], code(row, column + i) >> 4 << i / 32);
                put_k_nibbles(to + 48, row, column);
                return out;
            case WeightFormat::q6_k:
                put_q6_k(to, row, column);
                return out;
            case WeightFormat::bf16:
            case WeightFormat::f16:
            case WeightFormat::fp8_e4m3:
                break;  // plain rows, no blocks
        }
        return out;
    }
    static void put(std::uint8_t& to, unsigned bits) { to = static_cast<std::uint8_t>(to | bits); }
    void put_small_nibbles(std::uint8_t* to, int row, int column) const {
        for (int i = 0; i < 32; ++i) put(to[i % 16], code(row, column + i) << i / 16 * 4);
    }
    void put_k_nibbles(std::uint8_t* to, int row, int column) const {
        for (int i = 0; i < 256; ++i)
            put(to[i / 64 * 32 + i % 32], (code(row, column + i) & 15U) << i / 32 % 2 * 4);
    }
    // d, dmin and the twelve bytes of 6-bit scales and minimums (see read_k_scale).
    static void put_k_scales(std::uint8_t* to, const std::uint8_t* from) {
        std::memcpy(to, from, 4);
        unsigned scale[8] = {}, minimum[8] = {};
        for (int w = 0; w < 3; ++w) {
            const std::uint32_t bits = word(from, 4 + 4 * w);
            for (int odd = 0; odd < 2; ++odd) {
                scale[2 * w + odd] = bits >> (4 + 6 * odd) & 63U;
                minimum[2 * w + odd] = bits >> (20 + 6 * odd) & 63U;
            }
            for (int bit = 0; bit < 4; ++bit) {  // of groups 6 and 7, six bits each
                const int at = 4 * w + bit;
                scale[6 + at / 6] |= (bits >> bit & 1U) << at % 6;
                minimum[6 + at / 6] |= (bits >> (16 + bit) & 1U) << at % 6;
            }
        }
        for (int g = 0; g < 4; ++g) {
            put(to[4 + g], scale[g] | scale[g + 4] >> 4 << 6);
            put(to[8 + g], minimum[g] | minimum[g + 4] >> 4 << 6);
            put(to[12 + g], (scale[g + 4] & 15U) | (minimum[g + 4] & 15U) << 4);
        }
    }
    void put_q6_k(std::uint8_t* to, int row, int column) const {
        for (int i = 0; i < 256; ++i) {
            const unsigned one = code(row, column + i);
            const int half = i / 128, part = i / 32 % 4;
            put(to[half * 64 + part % 2 * 32 + i % 32], (one & 15U) << part / 2 * 4);
            put(to[128 + half * 32 + i % 32], one >> 4 << part * 2);
        }
        const std::uint8_t* from = scales(row, column);
        for (int i = 0; i < 16; ++i) to[192 + i] = from[i % 2 * 8 + i / 2];
        std::memcpy(to + 208,
                    step(row, column) + layout_.scales + tile_rows * layout_.scale_bytes +
                        row % tile_rows * 2,
                    2);
    }

    WeightFormat format_;
    StepLayout layout_;
    int rows_, columns_;
    std::vector<std::uint8_t> planes_;
};

}  // namespace sluice::cuda
