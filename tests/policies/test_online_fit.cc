// Learning online from outcomes: what it finds, what it does not move, and how far labels press.
#include <catch2/catch.hpp>
#include <cmath>

#include "learned_world.h"
#include "policies/linear_fit.h"

namespace sluice {

TEST_CASE("nothing learned is the shipped prior", "[online_fit]") {
    OnlineFeatures features = LearnedWorld::about(true);
    OnlineWeights none;
    CHECK(none.p_ok(Side::local, features) == Approx(0.5));
    CHECK(none.gain(features) == Approx(sigmoid(0.5) - 0.5));
    OnlineFit fit;
    CHECK(fit.weights().gain(features) == Approx(none.gain(features)));
}

TEST_CASE("what fails is found, and what does not keeps its place", "[online_fit]") {
    LearnedWorld world;
    OnlineFit fit;
    for (int i = 0; i < 400; ++i) {
        OutcomeLabel label = world.next();
        fit.learn(Side::local, label.features, *label.local);
        fit.learn(Side::frontier, label.features, *label.frontier);
    }
    CHECK(fit.weights().p_ok(Side::local, LearnedWorld::about(false)) > 0.75);
    CHECK(fit.weights().p_ok(Side::local, LearnedWorld::about(true)) < 0.3);
    CHECK(fit.weights().gain(LearnedWorld::about(true)) > 0.4);
    CHECK(std::abs(fit.weights().gain(LearnedWorld::about(false))) < 0.2);
}

TEST_CASE("a label moves no score further than its weight allows", "[online_fit]") {
    const OnlineScales scales;
    for (double weight : {1.0, 10.0, 1e9}) {
        OnlineFit fit;
        OnlineFeatures features = LearnedWorld::about(true);
        fit.learn(Side::local, features, 0, weight);
        double norm =
            scales.bias * scales.bias + scales.app * scales.app + scales.word * scales.word;
        double moved = -fit.weights().log_odds(Side::local, features);
        CHECK(moved > 0);
        CHECK(moved <= std::min(weight, label_weight_max) * norm);
    }
}

TEST_CASE("the same label again and again approaches its target and stays finite", "[online_fit]") {
    OnlineFit fit;
    OnlineFeatures features = LearnedWorld::about(true);
    for (int i = 0; i < 6'000; ++i) fit.learn(Side::local, features, 0);  // beyond the window
    double p = fit.weights().p_ok(Side::local, features);
    CHECK(p < 0.02);
    CHECK(p > 0);
}

TEST_CASE("the frontier learns half of what the local tier's outcomes teach", "[online_fit]") {
    OnlineFit fit;
    OnlineFeatures features = LearnedWorld::about(true);
    features.prior = {0.0F, 0.0F};
    for (int i = 0; i < 50; ++i) fit.learn(Side::local, features, 0);
    CHECK(fit.weights().log_odds(Side::frontier, features) ==
          Approx(0.5 * fit.weights().log_odds(Side::local, features)).epsilon(1e-3));
}

TEST_CASE("the words kept of a long text are spread over it", "[online_fit]") {
    std::vector<std::uint16_t> words(2'000);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
    OnlineFeatures features;
    keep_words(words, features);
    CHECK(features.word_count == words_kept_max);
    CHECK(features.words[0] == 0);
    CHECK(features.words[words_kept_max - 1] > 1'900);
    keep_words({}, features);
    CHECK(features.word_count == 0);
    CHECK(OnlineFit().weights().p_ok(Side::local, features) == Approx(0.5));
}

}  // namespace sluice
