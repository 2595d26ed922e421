// The estimate that decides who takes over, against worlds whose truth is known.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "policies/off_policy.h"

namespace sluice {
namespace {

double chance(std::mt19937& random) { return static_cast<double>(random() % 10'000) / 10'000; }

}  // namespace

TEST_CASE("a gain is worth most where it is the true one", "[off_policy]") {
    for (double truth : {0.0, 0.2, 0.7})
        for (double guess : {0.0, 0.1, 0.3, 0.6, 0.9})
            CHECK(worth_of_gain(guess, truth) <= worth_of_gain(truth, truth));
    CHECK(worth_of_gain(-0.4, -0.4) == 0);  // nothing is sent up, nothing is lost
    CHECK(worth_of_gain(0.5, 0) < 0);
}

TEST_CASE("the doubly robust estimate is right with a wrong model", "[off_policy]") {
    std::mt19937 random(3);
    double sum = 0;
    constexpr int n = 200'000;
    for (int i = 0; i < n; ++i) {
        bool frontier = chance(random) < 0.1;  // explored
        double ok = chance(random) < (frontier ? 0.8 : 0.5) ? 1 : 0;
        sum += gain_doubly_robust(frontier, ok, frontier ? 0.1 : 0.9, 0.9, 0.2);
    }
    CHECK(sum / n == Approx(0.3).margin(0.02));
}

TEST_CASE("bounds hold at every look together, nearly always", "[off_policy]") {
    int broken = 0;
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::mt19937 random(seed);
        RunningBound bound;
        bool once = false;
        for (int i = 0; i < 2'000; ++i) {
            bound.add(chance(random) < 0.3 ? 0.7 : -0.3);  // of mean zero
            once = once || (bound.count() >= 300 && bound.low(0.95) > 0);
        }
        broken += once ? 1 : 0;
    }
    CHECK(broken <= 300 * 0.05);
}

TEST_CASE("a difference that is there is found", "[off_policy]") {
    std::mt19937 random(5);
    RunningBound bound;
    for (int i = 0; i < 1'000; ++i) bound.add(chance(random) < 0.45 ? 0.6 : -0.4);
    CHECK(bound.mean() == Approx(0.05).margin(0.05));
    CHECK(bound.low(0.95) < bound.mean());
    CHECK(bound.high(0.95) > bound.mean());
    for (int i = 0; i < 9'000; ++i) bound.add(chance(random) < 0.45 ? 0.6 : -0.4);
    CHECK(bound.low(0.95) > 0);
}

TEST_CASE("nothing is known of fewer than two", "[off_policy]") {
    RunningBound bound;
    CHECK(bound.low(0.95) == -INFINITY);
    bound.add(1);
    CHECK(bound.high(0.95) == INFINITY);
}

}  // namespace sluice
