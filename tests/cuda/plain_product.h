// Products of random matrices in plain loops of doubles, and what may differ from them.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "tests/cuda/measured.h"
#include "tests/cuda/weight_planes.h"

namespace sluice::cuda {

// Activations as f16 or bf16 bits, and as the numbers that those are.
struct Activations {
    std::vector<std::uint16_t> bits;
    std::vector<float> numbers;

    Activations(int T, int columns, bool brain, std::mt19937& random) {
        std::normal_distribution<float> normal(0.0F, 1.0F);
        for (int i = 0; i < T * columns; ++i) {
            const float value = normal(random);
            const std::uint16_t one =
                brain ? __bfloat16_as_ushort(__float2bfloat16_rn(value)) : half_from_float(value);
            bits.push_back(one);
            numbers.push_back(brain ? float_from_bfloat(one) : float_from_half(one));
        }
    }
};

// sum_c x[t, c] * weight[r, c] in double, for rows 0, 1, ... and T tokens: [T, rows].
inline std::vector<double> plain_product(const RandomMatrix& matrix, const Activations& x, int T) {
    const auto columns = static_cast<std::size_t>(matrix.columns);
    const auto rows = static_cast<std::size_t>(matrix.rows);
    std::vector<double> out(static_cast<std::size_t>(T) * rows);
    for (std::size_t t = 0; t < static_cast<std::size_t>(T); ++t)
        for (std::size_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (std::size_t c = 0; c < columns; ++c)
                sum += double{x.numbers[t * columns + c]} * matrix.weight(r, c);
            out[t * rows + r] = sum;
        }
    return out;
}

inline double root_mean_square(const std::vector<double>& values) {
    double sum = 0;
    for (double value : values) sum += value * value;
    return std::sqrt(sum / static_cast<double>(values.size()));
}

// Rows of products that begin at column 3 of out: stored on poison, and twice the same sums added
// to 0.5; what is beside them is as it was. Gives the root mean square of the stored ones' error.
inline double require_products(const std::vector<float>& stored, const std::vector<float>& added,
                               const std::vector<double>& want, int T, int rows, int stride,
                               double size, Nearness& near) {
    double error = 0;
    for (int t = 0; t < T; ++t) {
        for (int c = 0; c < stride; ++c) {
            const auto at = static_cast<std::size_t>(t * stride + c);
            if (c < 3 || c >= 3 + rows) {
                REQUIRE((std::isnan(stored[at]) && added[at] == 0.5F));
                continue;
            }
            const double one = want[static_cast<std::size_t>(t * rows + c - 3)];
            near.require(stored[at], one, size);
            REQUIRE(added[at] == 0.5F + 2 * stored[at]);
            error += (stored[at] - one) * (stored[at] - one);
        }
    }
    return std::sqrt(error / (T * rows));
}

inline std::vector<float> poison(std::size_t count) {
    return std::vector<float>(count, std::nanf(""));
}

}  // namespace sluice::cuda
