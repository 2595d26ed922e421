// Trying the other side near a threshold: when, how often, and never against what must hold.
#include <catch2/catch.hpp>

#include "policies/correction.h"
#include "tests/policies/route_world.h"

namespace sluice {
namespace {

const std::string exploring = world_bands + "learning: {explore: {percent: 2, band: 0.05}}\n";

}  // namespace

TEST_CASE("near a threshold a share takes the other side, and its propensity is on record",
          "[explore]") {
    World world(exploring);
    world.difficulty.score = 0.43;
    world.exploring = 0.5;
    auto usual = world.route();
    REQUIRE(usual);
    CHECK(usual->tier == "local");
    CHECK(usual->record.propensity == Approx(0.98));
    world.exploring = 0.019;
    auto tried = world.route();
    REQUIRE(tried);
    CHECK(tried->tier == "open");
    CHECK(tried->attempts.front().tier == "open");
    CHECK(tried->rule == "default");
    CHECK(tried->record.propensity == Approx(0.02));
    CHECK(tried->reason.find("tried on tier open") != std::string::npos);
    world.difficulty.score = 0.82;
    CHECK(world.route()->tier == "open");
}

TEST_CASE("away from thresholds, or where nothing is to be tried, nothing is", "[explore]") {
    World world(exploring);
    world.exploring = 0;
    world.difficulty.score = 0.2;
    CHECK(world.route()->tier == "local");
    CHECK(world.route()->record.propensity == 1);
    World quiet(world_bands);
    quiet.exploring = 0;
    quiet.difficulty.score = 0.44;
    CHECK(quiet.route()->tier == "local");
    CHECK(quiet.route()->record.propensity == 1);
}

TEST_CASE("nothing is tried against rules, confinement, models asked for, sessions, or what cannot",
          "[explore]") {
    World ruled(exploring + "rules: [{name: r, use: local, on_unavailable: refuse, locked: true}]");
    World confined(exploring + "confine: [{name: c, when: {team: search}, to: [local]}]");
    World asked(exploring), session(exploring), down(exploring), poor(exploring);
    asked.request.model = "local";
    session.session.upstream = upstream_mark("here");
    down.disable("open-a");
    down.disable("open-b");
    poor.labels.max_cost = Money{1};
    for (World* world : {&ruled, &confined, &asked, &session, &down, &poor}) {
        world->exploring = 0;
        world->difficulty.score = 0.44;
        auto route = world->route();
        REQUIRE(route);
        CHECK(route->attempts.front().tier == "local");
        CHECK(route->record.propensity == 1);
    }
    CHECK(confined.route()->confined);
    CHECK_FALSE(asked.route()->confined);
}

TEST_CASE("by value the second best is tried where it is worth nearly as much", "[explore]") {
    World world(
        "scoring: {mode: value, value_usd: \"1\"}\nlearning: {explore: {percent: 5, band: 0.1}}\n");
    world.difficulty.score = 0.5;
    world.difficulty.ok_frontier = 0.6;
    world.exploring = 0.01;
    auto near = world.route();
    REQUIRE(near);
    CHECK(near->record.propensity == Approx(0.05));
    world.difficulty.ok_frontier = 0.99;
    world.difficulty.score = 0.99;
    CHECK(world.route()->record.propensity == 1);
}

TEST_CASE("a share for the shadow is the rule's, or the default's", "[explore]") {
    World world(
        "learning: {shadow: {judge: far, usd_per_day: 1}}\n"
        "default: {bands: [{tier: local}], shadow: 1}\n"
        "rules: [{name: r, when: {team: legal}, use: auto, shadow: 10}]\n");
    CHECK(world.route()->shadow_percent == 1);
    world.caller.team = "legal";
    CHECK(world.route()->shadow_percent == 10);
    world.request.model = "far";
    world.caller.team = "search";
    CHECK(world.route()->shadow_percent == 0);
}

TEST_CASE("a correction moves the odds of both sides and, by as much, the gain", "[explore]") {
    Difficulty difficulty;
    difficulty.score = 0.4;
    difficulty.ok_frontier = 0.9;
    difficulty.gain = 0.2;  // of its own making: not the difference
    OnlineFeatures kept;
    keep_prior(difficulty, kept);
    Difficulty same = difficulty;
    correct(same, nullptr, kept);
    CHECK(same.score == 0.4);
    OnlineFit fit;
    correct(same, &fit.weights(), kept);
    CHECK(same.score == Approx(0.4).epsilon(1e-6));
    CHECK(same.gain == Approx(0.2).epsilon(1e-6));
    for (int i = 0; i < 100; ++i) fit.learn(Side::local, kept, 0);
    correct(difficulty, &fit.weights(), kept);
    CHECK(difficulty.score > 0.6);
    CHECK(difficulty.gain ==
          Approx(0.2 + (difficulty.ok_frontier - 0.9) - (0.4 - difficulty.score)));
}

}  // namespace sluice
