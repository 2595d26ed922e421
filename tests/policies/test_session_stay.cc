// Where a conversation stays: the arithmetic in dollars, and what goes before the session.
#include <catch2/catch.hpp>

#include "policies/policy_cases.h"
#include "policies/session_stay.h"
#include "policies/simulate.h"
#include "tests/policies/route_world.h"

namespace sluice {
namespace {

// local costs nothing, open 2 and 4, frontier 25 and 50 dollars per million in and out; the
// frontier reads from its cache at a tenth.
struct StayWorld : World {
    explicit StayWorld(const std::string& yaml = "") : World(world_bands + yaml) {
        difficulty.score = 0.5;
        difficulty.expected_output_tokens = 500;
        input_tokens = 10'000;
        for (Upstream& one : upstreams) one.price.cache_read = one.price.input / 10;
        at("far", 9'000);
    }
    void at(std::string_view upstream, std::int64_t cached) {
        session = {upstream_mark(upstream), cached};
    }
    std::string first() { return route()->attempts.front().upstream->name; }
};

}  // namespace

TEST_CASE("a session stays on its tier while moving down loses more than it saves", "[session]") {
    StayWorld world;
    // Here: 9,000 x 2.5 + 1,000 x 25 + 500 x 50 = $0.0725; there, without the prefix: 1,000 x 2 +
    // 500 x 4 = $0.004. Lost: 9,000 x 2 there, 9,000 x 22.5 on coming back.
    CHECK(world.order() == "far open-a open-b here");
    auto route = world.route();
    CHECK(route->stayed);
    CHECK(route->tier == "frontier");
    CHECK(route->rule == "default");
    CHECK_THAT(route->reason,
               Catch::Contains("its session stays with far (frontier): moving to open-a (open) "
                               "would save $0.0685 and lose $0.221"));
    // With little in the cache it goes where its difficulty says, and that is told, too.
    world.at("far", 1'000);
    CHECK(world.first() == "open-a");
    CHECK_FALSE(world.route()->stayed);
    CHECK_THAT(world.route()->reason,
               Catch::Contains("its session leaves far (frontier): moving to open-a (open) would "
                               "save $") &&
                   Catch::Contains("and lose $0.0245"));
    world.at("far", 0);  // the cache has been forgotten
    CHECK(world.first() == "open-a");
}

TEST_CASE("a session goes to a dearer tier at once", "[session]") {
    StayWorld world;
    world.difficulty.score = 0.9;
    for (const char* upstream : {"here", "open-a", "open-b"}) {
        world.at(upstream, 9'000);
        CHECK(world.first() == "far");
        CHECK_FALSE(world.route()->stayed);
    }
}

TEST_CASE("a conversation of turns near a threshold does not flap", "[session]") {
    StayWorld world;
    world.session = {};
    std::string went;
    for (double score : {0.5, 0.85, 0.5, 0.79, 0.3, 0.1}) {
        world.difficulty.score = score;
        std::string name = world.first();
        went += name + " ";
        world.at(name, world.input_tokens);
        world.input_tokens += 600;
    }
    CHECK(went == "open-a far far far far far ");
}

TEST_CASE("switch_usd is a price of every change", "[session]") {
    StayWorld world("scoring: {mode: bands, switch_usd: '1'}\n");
    world.at("far", 0);  // saves $0.25
    CHECK(world.first() == "far");
    StayWorld less("scoring: {mode: bands, switch_usd: '0.01'}\n");
    less.at("far", 0);
    CHECK(less.first() == "open-a");
}

TEST_CASE("within a tier a session stays where its prompt is cached", "[session]") {
    StayWorld world;
    world.at("open-b", 9'000);
    CHECK(world.order() == "open-b open-a far here");
    world.at("open-b", 0);
    CHECK(world.first() == "open-b");  // the same price: nothing saved by a change
    world.upstreams[2].price.input = 3'000'000;
    CHECK(world.first() == "open-a");
}

TEST_CASE("rules, confinement, models asked for, budgets and health go before the session",
          "[session]") {
    StayWorld down, ruled("rules: [{name: r, when: {team: search}, use: open}]\n"),
        confined("confine: [{name: home, when: {data_class: r}, to: [local, open]}]\n"), asked,
        dear, spent,
        decide("rules: [{name: r, when: {team: search}, use: auto, max_tokens: 4000}]\n");
    down.set_up("far", false);
    confined.labels.data_class = "r";
    asked.request.model = "open";
    dear.labels.max_cost = Money{pico_per_usd / 10};
    spent.budget_left = Money{pico_per_usd / 10};
    for (StayWorld* world : {&down, &ruled, &confined, &asked, &dear, &spent})
        CHECK(world->first() == "open-a");
    CHECK(decide.first() == "far");  // a rule that leaves the choice to the policy
    CHECK(decide.route()->rule == "r");
    StayWorld canary("");
    canary.policy.effects.canary = Canary{100, "open"};
    canary.chance = 0;
    CHECK(canary.first() == "open-a");
}

TEST_CASE("the engine's cache is worth the machine's time that working it out takes", "[session]") {
    StayWorld world;
    world.difficulty.score = 0.1;
    world.at("open-a", 9'000);  // saves 9,000 x 0.2 + 1,000 x 2 + 500 x 4; loses 9,000 x 1.8
    world.input_tokens = 14'000;
    world.difficulty.expected_output_tokens = 2'000;  // now saves $0.0198, loses $0.0162
    CHECK(world.first() == "here");
    world.upstreams[0].machine_hour = Money{36 * pico_per_usd / 10};  // a tenth of a cent a second
    CHECK(world.first() == "here");                                   // its speed is not known
    world.views[0].prompt_token_s = 0.0005;                           // 4.5 s: $0.0045 more
    CHECK(world.first() == "open-a");
    UpstreamView view = world.views[0];
    CHECK(compute_cost(view, 9'000).pico_usd == 9 * pico_per_usd / 2'000);
    CHECK(cache_loss(view, 9'000, 10'000) == compute_cost(view, 9'000));
    view.prompt_token_s = 0;
    CHECK(compute_cost(view, 9'000) == Money{});
}

TEST_CASE("by value, too, a session stays where its cache is worth more than the gain",
          "[session]") {
    World world("scoring: {mode: value, value_usd: '0.01', tiers: {open: {strength: 0.6}}}\n");
    world.difficulty.score = 0.5;
    world.difficulty.ok_frontier = 0.9;
    world.difficulty.expected_output_tokens = 500;
    world.input_tokens = 1'000;
    world.policy.scoring.value = Money{pico_per_usd / 55};  // open is worth $0.00036 more
    world.session = {upstream_mark("here"), 900};
    CHECK(world.route()->attempts[0].upstream->name == "open-a");
    world.upstreams[0].machine_hour = Money{36 * pico_per_usd / 10};
    world.views[0].prompt_token_s = 0.0005;  // 0.45 s: $0.00045
    CHECK(world.route()->attempts[0].upstream->name == "here");
}

TEST_CASE("cases and simulated days tell where a session has been", "[session]") {
    const std::string policy =
        "version: 1\ntiers: {local: [here], frontier: [far]}\n"
        "default: {bands: [{below: 0.5, tier: local}, {tier: frontier}]}\n";
    const std::string upstreams =
        "upstreams:\n  here: {input: '1', output: '2'}\n"
        "  far: {input: '10', output: '20', cached_input: '1'}\n";
    auto load = [&](const std::string&) -> std::optional<std::string> { return policy; };
    std::vector<Fault> faults;
    auto results = run_policy_cases(
        "policy: own.policy.yaml\n" + upstreams +
            "cases:\n  - {name: a, request: {difficulty: 0.1, input_tokens: 10000, session_at: "
            "far, session_cached: 9000}, expect: {tier: frontier}}\n"
            "  - {name: b, request: {difficulty: 0.1, input_tokens: 10000, session_at: far}, "
            "expect: {tier: local}}\n",
        "own.test.yaml", *Classifier::builtin(), "2026-11-22", faults, load);
    REQUIRE(faults.empty());
    REQUIRE(results.size() == 2);
    CHECK(results[0].failures.empty());
    CHECK(results[1].failures.empty());
    CHECK_THAT(results[0].why, Catch::Contains("stays with far (frontier)"));
    run_policy_cases(
        "policy: own.policy.yaml\ncases:\n  - {name: a, request: {session_at: fra}, expect: "
        "{tier: local}}\n",
        "own.test.yaml", *Classifier::builtin(), "2026-11-22", faults, load);
    REQUIRE(faults.size() == 1);
    CHECK_THAT(faults[0].text(), Catch::Contains("did you mean 'far'?"));

    faults.clear();
    Policy read = policy_of(policy, {});
    Workload day =
        read_workload("version: 1\n" + upstreams +
                          "groups: [{name: talks, count: 10, difficulty: 0.1, input_tokens: 10000, "
                          "output_tokens: 100, session_at: far, session_cached: 9000}]\n",
                      "day.yaml", read, "2026-11-22", faults);
    for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    Simulation simulated = simulate(read, day, *Classifier::builtin());
    REQUIRE(simulated.groups.size() == 1);
    CHECK(simulated.groups[0].stayed == 10);
    CHECK(simulated.groups[0].tiers.at("frontier").requests == 10);
    CHECK_THAT(simulated.groups[0].stay, Catch::Contains("stays with far (frontier)"));
}

}  // namespace sluice
