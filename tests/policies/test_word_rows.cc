// Rows of small integers added up by every width of register are what plain sums are.
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "policies/word_rows.h"

namespace sluice {

TEST_CASE("rows add up exactly, in registers of every width", "[word_rows]") {
    std::mt19937 chance(1);
    std::vector<std::int8_t> hashed(std::size_t{bucket_count} * lane_count);
    for (std::int8_t& one : hashed) one = static_cast<std::int8_t>(chance() % 256 - 128);
    for (int bits : {128, 256, 512}) {
        WordRows rows(hashed, bits);
        for (std::size_t count : {0, 1, 15, 16, 17, 256, 257, 258, 5'000}) {
            std::vector<std::uint16_t> buckets(count);
            WordRows::Sums plain{};
            for (std::uint16_t& bucket : buckets) {
                bucket = static_cast<std::uint16_t>(chance() % bucket_count);
                for (std::size_t lane = 0; lane < lane_count; ++lane)
                    plain[lane] += hashed[bucket * lane_count + lane];
            }
            INFO(bits << " bits, " << count << " buckets");
            CHECK(rows.sum(buckets) == plain);
        }
    }
}

TEST_CASE("the largest and the smallest weights do not run over", "[word_rows]") {
    for (int weight : {-128, 127}) {
        std::vector<std::int8_t> hashed(std::size_t{bucket_count} * lane_count,
                                        static_cast<std::int8_t>(weight));
        std::vector<std::uint16_t> buckets(3'000, 7);
        WordRows::Sums all;
        all.fill(3'000 * weight);
        for (int bits : {128, 256, 512}) CHECK(WordRows(hashed, bits).sum(buckets) == all);
    }
}

}  // namespace sluice
