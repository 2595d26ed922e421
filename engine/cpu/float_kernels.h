// The element-wise steps of the network: see kernels.h.
#pragma once

#include "engine/cpu/kernels.h"

namespace sluice {
namespace {

// e^x within 2 units in the last place for x in [-87, 88], and flat outside.
// 2^n * e^r with n = round(x / ln 2); e^r by its Taylor polynomial, |r| <= ln(2) / 2.
template <class S>
inline typename S::F exponential(typename S::F x) {
    using F = typename S::F;
    x = S::min(S::set(88.0F), S::max(S::set(-87.0F), x));  // in this order a NaN stays one
    typename S::I n = S::to_int(S::mul(x, S::set(1.44269504F)));
    F whole = S::to_float(n);
    F r = S::fma(whole, S::set(-0.693359375F), x);  // ln 2 in two parts: the first is exact
    r = S::fma(whole, S::set(2.12194440e-4F), r);
    F sum = S::set(1.0F / 5040);
    sum = S::fma(sum, r, S::set(1.0F / 720));
    sum = S::fma(sum, r, S::set(1.0F / 120));
    sum = S::fma(sum, r, S::set(1.0F / 24));
    sum = S::fma(sum, r, S::set(1.0F / 6));
    sum = S::fma(sum, r, S::set(0.5F));
    sum = S::fma(sum, r, S::set(1.0F));
    sum = S::fma(sum, r, S::set(1.0F));
    F power = S::as_float(S::template shift_left<23>(S::add_int(n, S::set_int(127))));
    return S::mul(sum, power);
}

// Rounds to 1/32767 of the block's largest, to nearest even. A block with an infinity or a NaN
// gets the scale NaN, which reaches the logits, where the sampler refuses the sequence.
template <class S>
void quantise_row(const float* x, int columns, std::int16_t* codes, float* scale, float* sum) {
    for (int block = 0; block < columns / block_columns; ++block) {
        typename S::F top = S::zero();
        typename S::F bad = S::zero();
        for (int i = 0; i < block_columns; i += S::lanes) {
            top = S::max(top, S::abs(S::load(x + i)));
            bad = S::fma(S::load(x + i), S::zero(), bad);
        }
        float largest = S::largest(top);
        float inverse = largest > 0.0F ? 32767.0F / largest : 0.0F;
        if (!(inverse < 3.0e38F)) inverse = 0.0F;  // so small that it is zero
        typename S::I total = S::zero_int();
        for (int i = 0; i < block_columns; i += S::lanes) {
            typename S::I code = S::to_int(S::mul(S::load(x + i), S::set(inverse)));
            total = S::add_int(total, code);
            S::store_i16(codes + i, code);
        }
        scale[block] = largest / 32767.0F + S::sum(bad);
        sum[block] = scale[block] * static_cast<float>(S::sum_int(total));
        x += block_columns;
        codes += block_columns;
    }
}

template <class S>
void normalise(float* out, const float* x, const float* weight, int count, float eps) {
    typename S::F squares = S::zero();
    int i = 0;
    for (; i + S::lanes <= count; i += S::lanes) {
        typename S::F v = S::load(x + i);
        squares = S::fma(v, v, squares);
    }
    float sum = S::sum(squares);
    for (; i < count; ++i) sum += x[i] * x[i];
    float factor = 1.0F / __builtin_sqrtf(sum / static_cast<float>(count) + eps);
    for (i = 0; i + S::lanes <= count; i += S::lanes) {
        typename S::F v = S::mul(S::load(x + i), S::set(factor));
        S::store(out + i, S::mul(v, S::load(weight + i)));
    }
    for (; i < count; ++i) out[i] = x[i] * factor * weight[i];
}

template <class S>
inline typename S::F silu(typename S::F gate, typename S::F up) {
    typename S::F bottom = S::add(S::set(1.0F), exponential<S>(S::sub(S::zero(), gate)));
    return S::mul(S::div(gate, bottom), up);
}

template <class S>
void multiply_silu(float* gate, const float* up, int count) {
    int i = 0;
    for (; i + S::lanes <= count; i += S::lanes)
        S::store(gate + i, silu<S>(S::load(gate + i), S::load(up + i)));
    for (; i < count; ++i) {
        float lane[S::lanes];
        S::store(lane, silu<S>(S::set(gate[i]), S::set(up[i])));
        gate[i] = lane[0];
    }
}

template <class S>
void rotate_pairs(float* head, const float* cosine, const float* sine, int pairs) {
    int i = 0;
    for (; i + S::lanes <= pairs; i += S::lanes) {
        typename S::F a = S::load(head + i);
        typename S::F b = S::load(head + pairs + i);
        typename S::F c = S::load(cosine + i);
        typename S::F s = S::load(sine + i);
        S::store(head + i, S::sub(S::mul(a, c), S::mul(b, s)));
        S::store(head + pairs + i, S::fma(a, s, S::mul(b, c)));
    }
    for (; i < pairs; ++i) {
        float a = head[i];
        float b = head[pairs + i];
        head[i] = a * cosine[i] - b * sine[i];
        head[pairs + i] = a * sine[i] + b * cosine[i];
    }
}

// `count` floats, padded with zeros to a multiple of 16, as halves.
template <class S>
inline void to_halves(const float* x, int count, std::uint16_t* out) {
    alignas(64) float padded[16];
    int i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 16; k += S::lanes) S::store_half(out + i + k, S::load(x + i + k));
    if (i == count) return;
    for (int k = 0; k < 16; ++k) padded[k] = i + k < count ? x[i + k] : 0.0F;
    for (int k = 0; k < 16; k += S::lanes) S::store_half(out + i + k, S::load(padded + k));
}

template <class S>
void write_key(std::uint16_t* page, int slot, const float* key, int head_dim) {
    std::uint16_t halves[head_dim_max];
    to_halves<S>(key, head_dim, halves);
    for (int d = 0; d < head_dim; ++d) page[d * page_positions + slot] = halves[d];
}

template <class S>
void write_value(std::uint16_t* page, int slot, const float* value, int head_dim) {
    to_halves<S>(value, head_dim, page + slot * padded_head_dim(head_dim));
}

}  // namespace
}  // namespace sluice
