#include "policies/topics.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace sluice {
namespace {

constexpr int iterations = 6;
constexpr double clipped = 0.002;  // of the weights: those of the commonest words

using Row = std::array<float, topic_count>;
using Matrix = std::vector<Row>;  // [bucket_count]

float value_of(const FitRow& row) {
    return 1 / std::sqrt(static_cast<float>(std::max<std::size_t>(row.buckets.size(), 1)));
}

Row product(const FitRow& row, const Matrix& directions) {
    Row out{};
    for (std::uint16_t bucket : row.buckets)
        for (std::size_t k = 0; k < topic_count; ++k) out[k] += directions[bucket][k];
    for (float& one : out) one *= value_of(row);
    return out;
}

// Makes the columns orthonormal (modified Gram-Schmidt).
void orthonormalise(Matrix& matrix) {
    for (std::size_t k = 0; k < topic_count; ++k) {
        for (std::size_t before = 0; before < k; ++before) {
            double along = 0;
            for (const Row& row : matrix) along += double{row[k]} * double{row[before]};
            for (Row& row : matrix) row[k] -= static_cast<float>(along) * row[before];
        }
        double square = 0;
        for (const Row& row : matrix) square += double{row[k]} * double{row[k]};
        auto scale = static_cast<float>(square > 1e-20 ? 1 / std::sqrt(square) : 0);
        for (Row& row : matrix) row[k] *= scale;
    }
}

// The columns' standard deviations over the rows.
Row deviations(const std::vector<const FitRow*>& rows, const Matrix& directions) {
    std::array<double, topic_count> sum{}, square{};
    for (const FitRow* row : rows) {
        Row at = product(*row, directions);
        for (std::size_t k = 0; k < topic_count; ++k) {
            sum[k] += double{at[k]};
            square[k] += double{at[k]} * double{at[k]};
        }
    }
    Row out{};
    auto count = static_cast<double>(rows.size());
    for (std::size_t k = 0; k < topic_count; ++k) {
        double mean = sum[k] / count;
        out[k] = static_cast<float>(std::sqrt(std::max(square[k] / count - mean * mean, 0.0)));
    }
    return out;
}

Topics quantised(const Matrix& directions, const Row& deviation) {
    Topics topics;
    topics.hashed.resize(std::size_t{bucket_count} * topic_count);
    std::vector<float> sizes(bucket_count);
    auto most = sizes.end() - static_cast<std::ptrdiff_t>(clipped * bucket_count) - 1;
    for (std::size_t k = 0; k < topic_count; ++k) {
        for (std::size_t i = 0; i < bucket_count; ++i) sizes[i] = std::abs(directions[i][k]);
        std::nth_element(sizes.begin(), most, sizes.end());
        float step = std::max(*most, 1e-9F) / 127;
        topics.step[k] = deviation[k] > 1e-9F ? step / deviation[k] : 0;
        for (std::size_t i = 0; i < bucket_count; ++i)
            topics.hashed[i * topic_count + k] = static_cast<std::int8_t>(
                std::lround(std::clamp(directions[i][k] / step, -127.0F, 127.0F)));
    }
    return topics;
}

}  // namespace

Topics find_topics(const std::vector<const FitRow*>& rows) {
    Matrix directions(bucket_count);
    std::minstd_rand chance(1);
    for (Row& row : directions)
        for (float& one : row) one = static_cast<float>(chance() % 2001) / 1000 - 1;
    orthonormalise(directions);
    for (int i = 0; i < iterations; ++i) {
        Matrix next(bucket_count);
        for (const FitRow* row : rows) {
            Row at = product(*row, directions);
            for (float& one : at) one *= value_of(*row);
            for (std::uint16_t bucket : row->buckets)
                for (std::size_t k = 0; k < topic_count; ++k) next[bucket][k] += at[k];
        }
        orthonormalise(next);
        directions.swap(next);
    }
    return quantised(directions, deviations(rows, directions));
}

std::array<float, topic_count> Topics::of(const FitRow& row) const {
    std::array<std::int32_t, topic_count> sums{};
    for (std::uint16_t bucket : row.buckets) {
        const std::int8_t* one = &hashed[std::size_t{bucket} * topic_count];
        for (std::size_t k = 0; k < topic_count; ++k) sums[k] += one[k];
    }
    std::array<float, topic_count> out{};
    for (std::size_t k = 0; k < topic_count; ++k)
        out[k] = static_cast<float>(sums[k]) * step[k] * value_of(row);
    return out;
}

}  // namespace sluice
