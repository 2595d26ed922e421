// What counts say of heads is the same in registers of every width, and one count after the other.
#include "policies/count_heads.h"

#include <catch2/catch.hpp>
#include <random>

namespace sluice {

TEST_CASE("counts add up to the same bits in registers of every width", "[count_heads]") {
    std::mt19937 chance(5);
    auto number = [&] { return static_cast<float>(chance() % 20'001) / 3'000 - 3; };
    Weights weights;
    for (float& one : weights.mean) one = number();
    for (float& one : weights.scale) one = number();
    for (float& one : weights.bias) one = number();
    for (Weights::Lanes& row : weights.structural)
        for (float& one : row) one = number();
    for (int text = 0; text < 50; ++text) {
        std::array<float, structural_count> counts;
        for (float& one : counts) one = number();
        TreeInputs standard{};
        Weights::Lanes expected = weights.bias;
        for (std::size_t i = 0; i < structural_count; ++i) {
            standard[i] = standardised(weights, i, counts[i]);
            for (std::size_t h = 0; h < head_count; ++h)
                expected[h] += standard[i] * weights.structural[i][h];
        }
        for (int bits : {128, 256}) {
            INFO(bits << " bits");
            TreeInputs inputs{};
            Weights::Lanes sums = CountHeads(weights, bits).sum(counts, inputs);
            CHECK(inputs == standard);
            for (std::size_t h = 0; h < head_count; ++h) CHECK(sums[h] == expected[h]);
        }
    }
}

}  // namespace sluice
