// The benchmark of learning on a small sample of our own: two sources in which other words tell
// what the local tier cannot do.
#include <catch2/catch.hpp>
#include <cstdio>
#include <random>

#include "policies/learning_bench.h"

namespace sluice {
namespace {

RouterData two_sources() {
    RouterData data;
    std::mt19937 random(2);
    for (int i = 0; i < 1'200; ++i) {
        RouterRow row;
        bool second = i % 2 == 1, hard = random() % 2 == 0;
        row.source = second ? "cooking" : "law";
        row.cluster = static_cast<std::uint64_t>(i + 1) << 32;
        row.prompt = std::string(20 + random() % 200, 'x');
        row.features.structural.fill(0);
        row.features.structural[0] = static_cast<float>(row.prompt.size());
        row.features.buckets = {static_cast<std::uint16_t>((second ? 20 : 10) + (hard ? 1 : 0)),
                                static_cast<std::uint16_t>(100 + random() % 400)};
        row.weak = random() % 10 < (hard ? 2U : 9U) ? 1 : 0;
        row.strong = random() % 10 < 9 ? 1 : 0;
        row.paired = true;
        data.rows.push_back(std::move(row));
    }
    return data;
}

}  // namespace

TEST_CASE("what serves stands by offline training and never falls below the prior",
          "[learning_bench]") {
    LearningBenchOptions options;
    options.requests = 4'000;
    options.pairs_min = 500;
    auto measured = measure_learning(two_sources(), options);
    REQUIRE(measured.size() == 3);
    for (const LearningFigures& one : measured) {
        INFO(one.source);
        CHECK(one.labels == 400);
        CHECK(one.random.low < 0.5);
        CHECK(one.random.high > 0.5);
        CHECK(one.champion.at > 0.68);  // the truth itself reaches 0.72
        CHECK(one.champion_less_offline.at > -0.02);
        CHECK(one.champion_worst_less_prior.at > -0.01);
    }
    CHECK(measured[0].source == "cooking");
    CHECK(measured[0].prior.at < 0.7);  // its words were never seen
    CHECK(measured[2].source == "mixed");
    CHECK(measured[2].prior.at > 0.7);
}

TEST_CASE("labels of what was served alone teach, too", "[learning_bench]") {
    LearningBenchOptions options;
    options.requests = 8'000;
    options.pairs_min = 500;
    options.served_only = true;
    auto measured = measure_learning(two_sources(), options);
    CHECK(measured.at(0).challenger.at > measured.at(0).prior.at + 0.1);
}

}  // namespace sluice
