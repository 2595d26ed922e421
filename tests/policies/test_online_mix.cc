// Several ways to learn at once: which of them is believed, and how far one label moves that.
#include <catch2/catch.hpp>
#include <cmath>

#include "learned_world.h"
#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr std::size_t prior = 0, fresh = 3;

// Where the prior does not know, it is sure all the same, of anything.
OnlineFeatures about(bool hard, bool knows, std::uint16_t noise = 0) {
    OnlineFeatures out = LearnedWorld::about(hard, noise);
    bool said = knows ? hard : noise % 2 == 0;
    out.prior = {said ? -2.2F : 2.2F, 2.2F};
    return out;
}

void teach(OnlineMix& mix, LearnedWorld& world, bool knows, int labels) {
    for (int i = 0; i < labels; ++i) {
        OutcomeLabel label = world.next();
        bool hard = label.features.words[0] == 7;
        OnlineFeatures features = about(hard, knows, label.features.words[1]);
        mix.learn(Side::local, features, *label.local);
        mix.learn(Side::frontier, features, *label.frontier);
    }
}

OnlineMix taught(bool knows, int labels) {
    OnlineMix mix;
    LearnedWorld world;
    teach(mix, world, knows, labels);
    return mix;
}

}  // namespace

TEST_CASE("a prior that foretells well is kept", "[online_mix]") {
    OnlineMix mix = taught(true, 500);
    CHECK(mix.shares()[fresh] < 0.02);
    CHECK(mix.shares()[prior] > 0.2);
    CHECK(mix.weights().prior_kept > 0.98);
    CHECK(mix.gain(about(true, true)) > mix.gain(about(false, true)) + 0.5);
}

TEST_CASE("where the prior misleads, what was learned from nothing is believed", "[online_mix]") {
    OnlineMix mix = taught(false, 500);
    CHECK(mix.shares()[fresh] > 0.9);
    CHECK(mix.weights().prior_kept < 0.1);
    CHECK(mix.gain(about(true, false)) > mix.gain(about(false, false)) + 0.4);
}

TEST_CASE("the sum of the ways is one set of weights", "[online_mix]") {
    OnlineMix mix = taught(false, 60);
    OnlineMix back(mix.state());
    for (bool hard : {true, false}) {
        OnlineFeatures features = about(hard, false, 500);
        CHECK(mix.weights().gain(features) == Approx(mix.gain(features)).epsilon(1e-4));
        CHECK(back.gain(features) == mix.gain(features));
    }
}

TEST_CASE("one label says no more than the surest odds allow", "[online_mix]") {
    OnlineMix mix;
    OnlineFeatures features = about(true, true);
    features.prior[0] = -220;
    mix.learn(Side::local, features, 1);
    CHECK(mix.shares()[prior] > 0.25 * 0.01);
    CHECK(mix.shares()[fresh] < 0.98);
    double sum = 0;
    for (double share : mix.shares()) sum += share;
    CHECK(sum == Approx(1));
}

TEST_CASE("a way that fell behind comes back when the world changes", "[online_mix]") {
    OnlineMix mix;
    LearnedWorld world;
    teach(mix, world, true, 300);
    double before = mix.shares()[fresh];
    REQUIRE(before < 0.05);
    teach(mix, world, false, 1'500);
    CHECK(mix.shares()[prior] < 0.01);
    CHECK(mix.shares()[fresh] > 0.5);
}

}  // namespace sluice
