// Products of activations with packed weights: see kernels.h and packed_matrix.h.
//
// For each group of 16 rows, for each tile of tokens: a block's codes are unpacked once into
// 16 registers of column pairs, then every token of the tile takes 16 dot products with them.
// A token's sums run over the blocks in order, whatever the tile: its result does not depend on
// the tokens beside it. Error against exact arithmetic: the 16-bit activations (2^-16 of a
// block's largest) and the float sums over blocks.
#pragma once

#include "engine/cpu/kernels.h"

namespace sluice {
namespace {

constexpr int pairs_block = block_columns / 2;

template <class S>
struct Scales {
    typename S::F scale[2];  // of columns 0..15 and 16..31
    typename S::F minimum;   // added once a block, times the sum of its activations
};

// The pairs of a block's low nibbles.
template <class S>
inline void load_nibbles(const std::uint8_t* codes, int row, typename S::I (&pair)[pairs_block]) {
    const typename S::I mask = S::set_int(0x000F000F);
#pragma GCC unroll 4
    for (int word = 0; word < 4; ++word) {
        typename S::I bits = S::load_int(codes + (word * group_rows + row) * 4);
        pair[word * 4] = S::bits_and(bits, mask);
        pair[word * 4 + 1] = S::bits_and(S::template shift_right<4>(bits), mask);
        pair[word * 4 + 2] = S::bits_and(S::template shift_right<8>(bits), mask);
        pair[word * 4 + 3] = S::bits_and(S::template shift_right<12>(bits), mask);
    }
}

// Each format: how many blocks of 32 share a header, where things lie, how to read them. `row` is
// the first of the register's rows within the group.
template <class S>
struct Q40 {
    static constexpr int cells = 1, header_bytes = 0, cell_bytes = 288;
    static constexpr bool has_minimum = true, two_scales = false;
    struct Header {};
    static Header header(const std::uint8_t*, int) { return {}; }
    static Scales<S> scales(const Header&, const std::uint8_t* cell, int row) {
        typename S::F d = S::load_half(reinterpret_cast<const std::uint16_t*>(cell) + row);
        return {{d, d}, S::mul(d, S::set(-8.0F))};
    }
    static void codes(const std::uint8_t* cell, int row, typename S::I (&pair)[pairs_block]) {
        load_nibbles<S>(cell + 32, row, pair);
    }
};

template <class S>
struct Q41 {
    static constexpr int cells = 1, header_bytes = 0, cell_bytes = 320;
    static constexpr bool has_minimum = true, two_scales = false;
    struct Header {};
    static Header header(const std::uint8_t*, int) { return {}; }
    static Scales<S> scales(const Header&, const std::uint8_t* cell, int row) {
        const auto* halves = reinterpret_cast<const std::uint16_t*>(cell);
        typename S::F d = S::load_half(halves + row);
        return {{d, d}, S::load_half(halves + group_rows + row)};
    }
    static void codes(const std::uint8_t* cell, int row, typename S::I (&pair)[pairs_block]) {
        load_nibbles<S>(cell + 64, row, pair);
    }
};

template <class S>
struct Q80 {
    static constexpr int cells = 1, header_bytes = 0, cell_bytes = 544;
    static constexpr bool has_minimum = false, two_scales = false;
    struct Header {};
    static Header header(const std::uint8_t*, int) { return {}; }
    static Scales<S> scales(const Header&, const std::uint8_t* cell, int row) {
        typename S::F d = S::load_half(reinterpret_cast<const std::uint16_t*>(cell) + row);
        return {{d, d}, S::zero()};
    }
    static void codes(const std::uint8_t* cell, int row, typename S::I (&pair)[pairs_block]) {
#pragma GCC unroll 16
        for (int p = 0; p < pairs_block; ++p)
            pair[p] = S::load_i8_as_i16(cell + 32 + (p * group_rows + row) * 2);
    }
};

template <class S>
struct Q4K {
    static constexpr int cells = 8, header_bytes = 64, cell_bytes = 288;
    static constexpr bool has_minimum = true, two_scales = false;
    struct Header {
        typename S::F d, dmin;
    };
    static Header header(const std::uint8_t* block, int row) {
        const auto* halves = reinterpret_cast<const std::uint16_t*>(block);
        return {S::load_half(halves + row),
                S::sub(S::zero(), S::load_half(halves + group_rows + row))};
    }
    static Scales<S> scales(const Header& header, const std::uint8_t* cell, int row) {
        typename S::F d = S::mul(header.d, S::load_u8(cell + row));
        return {{d, d}, S::mul(header.dmin, S::load_u8(cell + group_rows + row))};
    }
    static void codes(const std::uint8_t* cell, int row, typename S::I (&pair)[pairs_block]) {
        load_nibbles<S>(cell + 32, row, pair);
    }
};

// Ors the `width` high bits of each pair in `word` (see packed_matrix.h) over the nibbles of
// pair[0 .. 16 / width - 1].
template <class S, int width>
inline void add_high_bits(typename S::I word, typename S::I* pair) {
    const typename S::I mask = S::set_int(width == 1 ? 0x00100010 : 0x00300030);
    typename S::I bits = word;
#pragma GCC unroll 12
    for (int p = 0; p < 12 / width; ++p) {
        pair[p] = S::bits_or(pair[p], S::bits_and(bits, mask));
        bits = S::template shift_right<width>(bits);
    }
    bits = S::template shift_left<4>(word);
#pragma GCC unroll 4
    for (int p = 12 / width; p < 16 / width; ++p) {
        pair[p] = S::bits_or(pair[p], S::bits_and(bits, mask));
        bits = S::template shift_right<width>(bits);
    }
}

template <class S>
struct Q5K : Q4K<S> {
    static constexpr int cell_bytes = 352;
    static void codes(const std::uint8_t* cell, int row, typename S::I (&pair)[pairs_block]) {
        load_nibbles<S>(cell + 32, row, pair);
        add_high_bits<S, 1>(S::load_int(cell + 288 + row * 4), pair);
    }
};

template <class S>
struct Q6K {
    static constexpr int cells = 8, header_bytes = 32, cell_bytes = 416;
    static constexpr bool has_minimum = false, two_scales = true;
    struct Header {
        typename S::F d;
    };
    static Header header(const std::uint8_t* block, int row) {
        return {S::load_half(reinterpret_cast<const std::uint16_t*>(block) + row)};
    }
    static Scales<S> scales(const Header& header, const std::uint8_t* cell, int row) {
        return {{S::mul(header.d, S::load_i8(cell + row)),
                 S::mul(header.d, S::load_i8(cell + group_rows + row))},
                S::zero()};
    }
    static void codes(const std::uint8_t* cell, int row, typename S::I (&pair)[pairs_block]) {
        load_nibbles<S>(cell + 32, row, pair);
        add_high_bits<S, 2>(S::load_int(cell + 288 + row * 4), pair);
        add_high_bits<S, 2>(S::load_int(cell + 352 + row * 4), pair + 8);
#pragma GCC unroll 16
        for (int p = 0; p < pairs_block; ++p) pair[p] = S::sub_i16(pair[p], S::set_int(0x00200020));
    }
};

// Columns 2p, 2p + 1 of a token's block, in every lane.
template <class S>
inline typename S::I pair_at(const std::int16_t* codes, int p) {
    std::int32_t both = 0;
    __builtin_memcpy(&both, codes + 2 * p, sizeof both);
    return S::set_int(both);
}

// Sums of `tokens` consecutive tokens over one part (S::lanes rows) of a group.
template <class S, class Format, int tokens>
inline void multiply_tile(const MatmulArguments& m, const std::uint8_t* group, int row, int token,
                          float* out) {
    using F = typename S::F;
    using I = typename S::I;
    const int blocks = m.x.columns / block_columns;
    const std::int16_t* codes = m.x.codes + static_cast<std::size_t>(token) * m.x.columns;
    const float* scale = m.x.scale + static_cast<std::size_t>(token) * blocks;
    const float* sum = m.x.sum + static_cast<std::size_t>(token) * blocks;
    F total[tokens];
#pragma GCC unroll 8
    for (int t = 0; t < tokens; ++t) total[t] = S::zero();
    for (int block = 0; block < blocks;) {
        auto header = Format::header(group, row);
        group += Format::header_bytes;
        for (int c = 0; c < Format::cells; ++c, ++block, group += Format::cell_bytes) {
            I pair[pairs_block];
            Format::codes(group, row, pair);
            Scales<S> scales = Format::scales(header, group, row);
#pragma GCC unroll 8
            for (int t = 0; t < tokens; ++t) {
                const std::int16_t* x = codes + t * m.x.columns + block * block_columns;
                // Two chains, as one would wait for each product; integers add in any order.
                I low = S::zero_int();
                I high = S::zero_int();
#pragma GCC unroll 8
                for (int p = 0; p < pairs_block / 2; ++p) {
                    low = S::dot(low, pair[p], pair_at<S>(x, p));
                    high = S::dot(high, pair[p + 8], pair_at<S>(x, p + 8));
                }
                F x_scale = S::set(scale[t * blocks + block]);
                if constexpr (Format::two_scales) {
                    total[t] = S::fma(S::to_float(low), S::mul(scales.scale[0], x_scale), total[t]);
                    total[t] =
                        S::fma(S::to_float(high), S::mul(scales.scale[1], x_scale), total[t]);
                } else {
                    F exact = S::to_float(S::add_int(low, high));
                    total[t] = S::fma(exact, S::mul(scales.scale[0], x_scale), total[t]);
                }
                if constexpr (Format::has_minimum)
                    total[t] = S::fma(scales.minimum, S::set(sum[t * blocks + block]), total[t]);
            }
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < tokens; ++t) S::store(out + t * S::lanes, total[t]);
}

// The same for weights that are floats; one sum a token, in column order.
template <class S, class Load, int tokens>
inline void multiply_floats(const MatmulArguments& m, const std::uint8_t* group, int row, int token,
                            float* out) {
    using F = typename S::F;
    const float* x = m.x.floats + static_cast<std::size_t>(token) * m.x.columns;
    F total[tokens];
#pragma GCC unroll 8
    for (int t = 0; t < tokens; ++t) total[t] = S::zero();
    for (int k = 0; k < m.x.columns; ++k, group += Load::bytes * group_rows) {
        F weight = Load::load(group + row * Load::bytes);
#pragma GCC unroll 8
        for (int t = 0; t < tokens; ++t)
            total[t] = S::fma(weight, S::set(x[t * m.x.columns + k]), total[t]);
    }
#pragma GCC unroll 8
    for (int t = 0; t < tokens; ++t) S::store(out + t * S::lanes, total[t]);
}

template <class S>
struct LoadFloat {
    static constexpr int bytes = 4;
    static typename S::F load(const std::uint8_t* p) {
        return S::load(reinterpret_cast<const float*>(p));
    }
};
template <class S>
struct LoadHalf {
    static constexpr int bytes = 2;
    static typename S::F load(const std::uint8_t* p) {
        return S::load_half(reinterpret_cast<const std::uint16_t*>(p));
    }
};
template <class S>
struct LoadBfloat {
    static constexpr int bytes = 2;
    static typename S::F load(const std::uint8_t* p) {
        return S::load_bfloat(reinterpret_cast<const std::uint16_t*>(p));
    }
};

template <class S, class Format>
struct Quantised {
    template <int tokens>
    static void tile(const MatmulArguments& m, const std::uint8_t* group, int row, int token,
                     float* out) {
        multiply_tile<S, Format, tokens>(m, group, row, token, out);
    }
};
template <class S, class Load>
struct Floating {
    template <int tokens>
    static void tile(const MatmulArguments& m, const std::uint8_t* group, int row, int token,
                     float* out) {
        multiply_floats<S, Load, tokens>(m, group, row, token, out);
    }
};

// A tile's sums to their place; the last group of a matrix may be short of rows.
template <class S, int tokens>
inline void store_tile(const MatmulArguments& m, const float* sums, int first_row, int token) {
    int rows = m.matrix->rows - first_row < S::lanes ? m.matrix->rows - first_row : S::lanes;
    for (int t = 0; t < tokens; ++t) {
        float* out = m.out + static_cast<std::size_t>(token + t) * m.stride + first_row;
        const float* from = sums + t * S::lanes;
        if (m.into == Into::add) {
            for (int r = 0; r < rows; ++r) out[r] += from[r];
        } else {
            for (int r = 0; r < rows; ++r) out[r] = from[r];
        }
    }
}

template <class S, class Product, int tokens>
inline int run_tiles(const MatmulArguments& m, const std::uint8_t* group, int first_row, int row,
                     int token) {
    alignas(64) float sums[tokens * S::lanes];
    for (; token + tokens <= m.tokens; token += tokens) {
        Product::template tile<tokens>(m, group, row, token, sums);
        store_tile<S, tokens>(m, sums, first_row + row, token);
    }
    return token;
}

template <class S, class Product>
void multiply(const MatmulArguments& m) {
    const std::size_t group_bytes = m.matrix->group_bytes();
    for (int g = m.group_begin; g < m.group_end; ++g) {
        const std::uint8_t* group = m.matrix->data + static_cast<std::size_t>(g) * group_bytes;
        int first_row = g * group_rows;
        for (int row = 0; row < group_rows && first_row + row < m.matrix->rows; row += S::lanes) {
            int token = 0;
            if constexpr (S::tile_tokens >= 8)
                token = run_tiles<S, Product, 8>(m, group, first_row, row, token);
            if constexpr (S::tile_tokens >= 4)
                token = run_tiles<S, Product, 4>(m, group, first_row, row, token);
            token = run_tiles<S, Product, 2>(m, group, first_row, row, token);
            run_tiles<S, Product, 1>(m, group, first_row, row, token);
        }
    }
}

template <class S>
MatmulKernel matmul_kernel(TensorType type) {
    switch (type) {
        case TensorType::f32:
            return multiply<S, Floating<S, LoadFloat<S>>>;
        case TensorType::f16:
            return multiply<S, Floating<S, LoadHalf<S>>>;
        case TensorType::bf16:
            return multiply<S, Floating<S, LoadBfloat<S>>>;
        case TensorType::q8_0:
            return multiply<S, Quantised<S, Q80<S>>>;
        case TensorType::q4_0:
            return multiply<S, Quantised<S, Q40<S>>>;
        case TensorType::q4_1:
            return multiply<S, Quantised<S, Q41<S>>>;
        case TensorType::q4_k:
            return multiply<S, Quantised<S, Q4K<S>>>;
        case TensorType::q5_k:
            return multiply<S, Quantised<S, Q5K<S>>>;
        case TensorType::q6_k:
            return multiply<S, Quantised<S, Q6K<S>>>;
        case TensorType::fp8_e4m3:
            break;  // refused when the weights are packed
    }
    return nullptr;
}

}  // namespace
}  // namespace sluice
