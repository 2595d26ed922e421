// What a rule does besides naming a tier: orders, caps, efforts, canaries.
#include <cmath>

#include "tests/policies/route_world.h"

namespace sluice {
namespace {

std::string rules(const std::string& one) { return world_bands + "rules: [" + one + "]\n"; }

}  // namespace

TEST_CASE("an order of tiers is the whole route", "[route]") {
    World world(rules("{name: a, order: [frontier, local]}"));
    CHECK(world.order() == "far here");
    CHECK(world.route()->reason == "rule 'a' (line 4) sends it to frontier, then local");
    world.disable("far");
    world.disable("here");
    CHECK_THAT(world.order(), Catch::Contains("allowed by rule 'a'"));
}

TEST_CASE("the reason names the rule's owner: whom to ask", "[route]") {
    World world(rules("{name: a, owner: ann@example.com, use: open}"));
    CHECK(world.route()->reason ==
          "rule 'a' (line 4, owner ann@example.com) sends it to tier open");
}

TEST_CASE("use auto leaves the choice to names and bands", "[route]") {
    World world(rules("{name: cap, when: {team: search}, use: auto, max_tokens: 500}"));
    auto route = world.route();
    REQUIRE(route);
    CHECK(route->tier == "local");
    CHECK(route->rule == "cap");
    CHECK(route->max_tokens == 500);
    CHECK(route->reason == "rule 'cap' (line 4); difficulty 0.10 is below 0.45: tier local");
    world.request.model = "open-b";
    CHECK(world.order() == "open-b");
    CHECK(world.route()->max_tokens == 500);
    world.caller.team = "other";
    CHECK_FALSE(world.route()->max_tokens);
}

TEST_CASE("a capped answer needs less of a window and of a budget", "[route]") {
    World world(rules("{name: cap, use: auto, max_tokens: 500}"));
    for (Upstream& one : world.upstreams) one.context_tokens = 601;
    world.request.max_tokens = 30'000;
    CHECK(world.order() == "here open-a open-b far");
    world.input_tokens = 102;
    CHECK_THAT(world.order(), Catch::Contains("needs 602 tokens"));
}

TEST_CASE("a reasoning effort is the tier's, else everyone's", "[route]") {
    World world(rules("{name: a, use: local, reasoning_effort: {local: high, frontier: low}}"));
    auto route = world.route();
    REQUIRE(route);
    REQUIRE(route->attempts.size() == 4);
    CHECK(route->attempts[0].reasoning_effort == "high");
    CHECK(route->attempts[1].reasoning_effort.empty());
    CHECK(route->attempts[3].reasoning_effort == "low");
    World all(rules("{name: a, use: local, reasoning_effort: minimal}"));
    CHECK(all.route()->attempts[2].reasoning_effort == "minimal");
}

TEST_CASE("a canary takes its share and falls back to the rule's own way", "[route]") {
    World world(rules("{name: a, use: local, canary: {percent: 5, use: frontier}}"));
    CHECK(world.route()->rule == "a");
    world.chance = 0.05;
    CHECK(world.route()->rule == "a");
    world.chance = 0.0499;
    CHECK(world.route()->rule == "a (canary)");
    CHECK(world.order() == "far here open-a open-b");
    CHECK(world.route()->tier == "frontier");
    CHECK_THAT(world.route()->reason, Catch::Contains("5 % go to tier frontier, this one too"));
}

TEST_CASE("a canary of a rule for one upstream leaves the others of its tier out", "[route]") {
    World world(
        rules("{name: a, upstream: open-b, on_unavailable: refuse, "
              "canary: {percent: 50, use: local}}"));
    CHECK(world.order() == "open-b");
    world.chance = 0.1;
    CHECK(world.order() == "here open-b");
    World own(
        rules("{name: a, upstream: open-b, on_unavailable: refuse, "
              "canary: {percent: 50, use: open}}"));
    own.chance = 0.1;
    CHECK(own.order() == "open-a open-b");
}

TEST_CASE("the default's canary does not touch a model asked for by name", "[route]") {
    World world("default: {bands: [{tier: local}], canary: {percent: 100, use: open}}\n");
    world.chance = 0.5;
    CHECK(world.route()->rule == "default (canary)");
    world.request.model = "local";
    CHECK(world.order() == "here");
}

}  // namespace sluice
