#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/cpu/kernels.h"
#include "engine/model/quant.h"

using namespace sluice;

namespace {

std::vector<const Kernels*> all_kernels() {
    std::vector<const Kernels*> out;
    for (const char* name : {"portable", "avx2", "avx512"})
        if (auto kernels = choose_kernels(name)) out.push_back(*kernels);
    return out;
}

// One kv head's pages of one sequence, at shuffled places in a pool that is otherwise NaN.
struct Pages {
    int head_dim;
    std::vector<std::int32_t> ids;
    std::vector<std::uint16_t> memory;
    std::size_t stride;
    std::vector<float> key;    // [positions, D] as stored
    std::vector<float> value;  // [positions, D]

    Pages(const Kernels& kernels, int dim, int positions, std::mt19937& random) : head_dim(dim) {
        int count = (positions + page_positions - 1) / page_positions;
        for (int i = 0; i < count; ++i) ids.push_back(3 * (count - i));
        stride = static_cast<std::size_t>(page_positions * (dim + padded_head_dim(dim)));
        memory.assign(stride * static_cast<std::size_t>(3 * count + 1), 0x7E00);
        std::normal_distribution<float> normal(0.0F, 1.0F);
        std::vector<float> row(static_cast<std::size_t>(dim));
        for (int position = 0; position < positions; ++position) {
            auto id =
                static_cast<std::size_t>(ids[static_cast<std::size_t>(position / page_positions)]);
            std::uint16_t* page = memory.data() + id * stride;
            for (float& x : row)
                key.push_back(float_from_half(half_from_float(x = normal(random))));
            kernels.store_key(page, position % page_positions, row.data(), dim);
            for (float& x : row)
                value.push_back(float_from_half(half_from_float(x = normal(random))));
            kernels.store_value(page + dim * page_positions, position % page_positions, row.data(),
                                dim);
        }
    }

    AttentionArguments arguments() const {
        AttentionArguments a;
        a.head_dim = head_dim;
        a.pages = ids.data();
        a.keys = memory.data();
        a.values = memory.data() + head_dim * page_positions;
        a.page_stride = stride;
        return a;
    }
};

std::vector<double> plain_attention(const Pages& pages, const float* query, int limit) {
    auto dim = static_cast<std::size_t>(pages.head_dim);
    std::vector<double> out(dim, 0.0);
    std::vector<double> score;
    for (std::size_t p = 0; p < static_cast<std::size_t>(limit); ++p) {
        double sum = 0.0;
        for (std::size_t d = 0; d < dim; ++d)
            sum += static_cast<double>(query[d]) * static_cast<double>(pages.key[p * dim + d]);
        score.push_back(sum);
    }
    double top = *std::max_element(score.begin(), score.end());
    double mass = 0.0;
    for (double s : score) mass += std::exp(s - top);
    for (std::size_t p = 0; p < score.size(); ++p)
        for (std::size_t d = 0; d < dim; ++d)
            out[d] +=
                std::exp(score[p] - top) / mass * static_cast<double>(pages.value[p * dim + d]);
    return out;
}

struct Case {
    int head_dim, heads, position, tokens;
};

}  // namespace

TEST_CASE("paged attention agrees with plain loops at any position on every path", "[cpu]") {
    std::mt19937 random(11);
    const Case cases[] = {{64, 3, 0, 1},   {64, 3, 0, 40},  {64, 3, 300, 1}, {64, 1, 127, 2},
                          {128, 5, 31, 3}, {128, 8, 95, 1}, {80, 2, 60, 7},  {12, 4, 33, 5},
                          {8, 1, 1000, 1}, {256, 1, 3, 2}};
    for (const Kernels* kernels : all_kernels()) {
        for (const Case& c : cases) {
            INFO(kernels->name << " D " << c.head_dim << " heads " << c.heads << " at "
                               << c.position << " tokens " << c.tokens);
            Pages pages(*kernels, c.head_dim, c.position + c.tokens, random);
            auto width = static_cast<std::size_t>(c.heads * c.head_dim);
            auto tokens = static_cast<std::size_t>(c.tokens);
            std::normal_distribution<float> normal(
                0.0F, 2.0F / std::sqrt(static_cast<float>(c.head_dim)));
            std::vector<float> query((width + 5) * tokens);
            for (float& x : query) x = normal(random);
            std::vector<float> out((width + 7) * tokens, -9.0F);
            AttentionArguments a = pages.arguments();
            a.query = query.data();
            a.query_stride = width + 5;
            a.out = out.data();
            a.out_stride = width + 7;
            a.tokens = c.tokens;
            a.heads = c.heads;
            a.position = c.position;
            kernels->attend(a);
            auto dim = static_cast<std::size_t>(c.head_dim);
            for (std::size_t t = 0; t < tokens; ++t) {
                for (std::size_t h = 0; h < static_cast<std::size_t>(c.heads); ++h) {
                    std::vector<double> expected =
                        plain_attention(pages, &query[t * (width + 5) + h * dim],
                                        c.position + static_cast<int>(t) + 1);
                    double off = 0.0;
                    double size = 0.0;
                    for (std::size_t d = 0; d < dim; ++d) {
                        const float found = out[t * (width + 7) + h * dim + d];
                        REQUIRE(found == Approx(expected[d]).margin(3e-6));
                        off += std::pow(static_cast<double>(found) - expected[d], 2);
                        size += std::pow(expected[d], 2);
                    }
                    REQUIRE(std::sqrt(off / size) <= 1e-5);
                }
                REQUIRE(out[t * (width + 7) + width] == -9.0F);
            }
            // Alone, the last token's bits are the same.
            std::vector<float> alone(width);
            a.query += (tokens - 1) * a.query_stride;
            a.position += c.tokens - 1;
            a.tokens = 1;
            a.out = alone.data();
            kernels->attend(a);
            for (std::size_t i = 0; i < width; ++i)
                REQUIRE(alone[i] == out[(tokens - 1) * (width + 7) + i]);
        }
    }
}

TEST_CASE("attention takes scores far apart without overflow", "[cpu]") {
    std::mt19937 random(12);
    for (const Kernels* kernels : all_kernels()) {
        Pages pages(*kernels, 64, 200, random);
        std::vector<float> query(64, 0.0F);
        for (std::size_t d = 0; d < 64; ++d) query[d] = 100.0F * pages.key[150 * 64 + d];
        std::vector<float> out(64);
        AttentionArguments a = pages.arguments();
        a.query = query.data();
        a.out = out.data();
        a.tokens = 1;
        a.heads = 1;
        a.position = 199;
        kernels->attend(a);
        for (std::size_t d = 0; d < 64; ++d) CHECK(out[d] == Approx(pages.value[150 * 64 + d]));
    }
}
