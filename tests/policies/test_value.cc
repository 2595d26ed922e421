// Tiers compared by value: the arithmetic, sessions, constraints.
#include "policies/value.h"
#include "tests/policies/route_world.h"

namespace sluice {
namespace {

// local costs nothing, open 2 and 4, frontier 25 and 50 dollars per million in and out.
const std::string by_value =
    "scoring: {mode: value, value_usd: '0.01', second_usd: '0', tiers: {local: {token_s: 0.01, "
    "first_token_s: 0}, open: {strength: 0.6}}}\n";

struct ValueWorld : World {
    explicit ValueWorld(const std::string& yaml = by_value) : World(yaml) {
        difficulty.score = 0.5;
        difficulty.ok_frontier = 0.9;
        difficulty.expected_output_tokens = 500;
        input_tokens = 1'000;
    }
};

}  // namespace

TEST_CASE("the odds go straight from the weakest to the strongest tier", "[value]") {
    Difficulty difficulty;
    difficulty.score = 0.5;
    difficulty.ok_frontier = 0.9;
    CHECK(p_ok(difficulty, 0) == Approx(0.5));
    CHECK(p_ok(difficulty, 0.5) == Approx(0.7));
    CHECK(p_ok(difficulty, 1) == Approx(0.9));
    difficulty.expected_output_tokens = 100;
    CHECK(output_tokens(difficulty, 1) == 100);
    difficulty.expected_output_tokens_frontier = 300;
    CHECK(output_tokens(difficulty, 0) == 100);
    CHECK(output_tokens(difficulty, 0.5) == 200);
}

TEST_CASE("the tier that is worth most comes first, the others follow by worth", "[value]") {
    ValueWorld world;
    // local 0.01 x 0.5 = 0.005; open 0.01 x 0.74 - 0.004 = 0.0034; frontier 0.009 - 0.05
    CHECK(world.order() == "here open-a open-b far");
    auto route = world.route();
    REQUIRE(route->considered.size() == 3);
    CHECK(usd_text(route->considered[0].worth) == "0.005");
    CHECK(usd_text(route->considered[1].worth) == "0.0034");
    CHECK(usd_text(route->considered[1].cost) == "0.004");
    CHECK(usd_text(route->considered[2].worth) == "-0.041");
    CHECK(route->reason ==
          "a right answer is worth $0.0100: local is worth $0.00500 (p 0.50, $0.00, 5.0 s)");
    world.policy.scoring.value = Money{pico_per_usd / 50};  // $0.02: open 0.0108, local 0.01
    CHECK(world.order() == "open-a open-b here far");
    world.policy.scoring.value = Money{pico_per_usd};  // $1
    CHECK(world.order() == "far open-a open-b here");
}

TEST_CASE("waiting has a price, as configured or as measured", "[value]") {
    ValueWorld world;
    world.policy.scoring.per_second = Money{pico_per_usd / 1'000};  // local takes 5 s: -0.005
    world.policy.scoring.tiers[1].first_token_s = 0.1;
    world.policy.scoring.tiers[1].token_s = 0.001;
    CHECK(world.order() == "open-a open-b here far");
    world.views[0].first_token_s = 0.01;
    world.views[0].token_s = 0.0001;
    CHECK(world.order() == "here open-a open-b far");
}

TEST_CASE("a prompt's own tokens take time where that is foretold, but for those in a cache",
          "[value]") {
    ValueWorld world;
    world.policy.scoring.per_second = Money{pico_per_usd / 1'000};
    auto seconds = [&world](std::int64_t cached) {
        RouteInput ask{world.caller, world.labels, world.request, world.difficulty, 1'000};
        if (cached > 0) ask.session = {upstream_mark("here"), cached};
        auto route = choose_route(world.policy, ask, world.views);
        for (const TierWorth& one : route->considered)
            if (one.upstream->name == "here") return one.seconds;
        return -1.0;
    };
    world.views[0].first_token_s = 0.5;
    world.views[0].token_s = 0.01;
    CHECK(seconds(0) == Approx(0.5 + 5.0));
    world.views[0].prompt_token_s = 0.001;
    CHECK(seconds(0) == Approx(0.5 + 5.0 + 1.0));
    CHECK(seconds(800) == Approx(0.5 + 5.0 + 0.2));
    world.views[0].first_token_s = 30;  // a queue before it sends the request elsewhere
    CHECK(world.order() == "open-a open-b here far");
    world.views[0].first_token_s = 0;
    world.views[0].prompt_token_s = 0;
    world.views[0].token_s = 0.0001;
    CHECK(world.order() == "here open-a open-b far");
}

TEST_CASE("a session stays where its prompt is cached until another is worth the change",
          "[value]") {
    ValueWorld world;
    world.policy.scoring.value = Money{pico_per_usd / 55};  // open 0.00945, local 0.00909
    CHECK(world.order() == "open-a open-b here far");
    auto input = [&world](const std::string& upstream) {
        RouteInput ask{world.caller, world.labels, world.request, world.difficulty, 1'000};
        ask.session = {upstream_mark(upstream), 800};
        return ask;
    };
    auto first = [&](const std::string& upstream) {
        return choose_route(world.policy, input(upstream), world.views)->attempts[0].upstream->name;
    };
    CHECK(first("here") == "open-a");
    world.policy.scoring.switch_cost = Money{pico_per_usd / 1'000};
    CHECK(first("here") == "here");
    CHECK_THAT(choose_route(world.policy, input("here"), world.views)->reason,
               Catch::Contains("its session stays there"));
    // What open has cached is cheaper there: 800 of 1,000 tokens at a tenth.
    world.policy.scoring.switch_cost = Money{};
    world.policy.scoring.value = Money{pico_per_usd / 80};  // open 0.00525, local 0.00625
    world.upstreams[1].price.cache_read = 200'000;
    CHECK(first("") == "here");
    CHECK(first("open-a") == "open-a");
}

TEST_CASE("a value of its own is that of the first that matches", "[value]") {
    ValueWorld world(
        "scoring:\n  mode: value\n  value_usd: '0.001'\n  values:\n"
        "    - {when: {app: legal}, usd: '1'}\n    - {when: {team: search}, usd: '0.03'}\n");
    CHECK(world.order() == "open-a open-b here far");
    world.labels.tags["app"] = "legal";
    CHECK(world.order() == "far open-a open-b here");
    world.labels.tags.clear();
    world.caller.team = "other";
    CHECK(world.order() == "here open-a open-b far");
}

TEST_CASE("value chooses within what rules and confinement allow", "[value]") {
    ValueWorld world(by_value +
                     "confine: [{name: home, when: {data_class: r}, to: [local, open]}]\n"
                     "rules:\n  - {name: capped, when: {team: search}, use: auto, max_tokens: 10}\n"
                     "  - {name: there, when: {team: x}, use: frontier}\n");
    world.policy.scoring.value = Money{pico_per_usd};
    CHECK(world.order() == "far open-a open-b here");
    CHECK(world.route()->rule == "capped");
    CHECK(usd_text(world.route()->considered[0].cost) == "0.0255");  // 10 tokens out, not 500
    world.labels.data_class = "r";
    CHECK(world.order() == "open-a open-b here");
    world.request.tools.emplace_back();
    world.upstreams[1].tools = world.upstreams[2].tools = false;
    CHECK(world.order() == "here");
    world.labels.data_class = "";
    world.caller.team = "x";
    CHECK(world.order() == "far here");
}

TEST_CASE("tiers without figures are spread evenly by their order", "[value]") {
    World world("scoring: {mode: value, value_usd: '1'}\n");
    REQUIRE(world.policy.scoring.tiers.size() == 3);
    CHECK(world.policy.scoring.tiers[1].strength == 0.5);
    CHECK(world.policy.scoring.tiers[2].strength == 1);
    world.difficulty.ok_frontier = 0.9;
    CHECK(world.order() == "here open-a open-b far");  // the cheapest of equals
}

TEST_CASE("a scoring's faults name their place", "[value]") {
    std::vector<Fault> faults;
    read_policy(world_tiers +
                    "scoring:\n  mode: valeu\n  value_usd: cheap\n  tiers: {opne: {strength: 2}}\n",
                "s.yaml", {}, faults);
    std::string all;
    for (const Fault& fault : faults) all += fault.text() + "\n";
    CHECK(all ==
          "s.yaml:1:1: missing key 'default'\n"
          "s.yaml:4:9: scoring.mode: expected one of bands, value, got 'valeu'\n"
          "s.yaml:5:14: scoring.value_usd: expected a dollar amount such as \"12.50\", got "
          "'cheap': only "
          "digits and one decimal point may be there\n"
          "s.yaml:6:17: scoring.tiers.opne: unknown tier 'opne', did you mean 'open'?\n");
}

TEST_CASE("the reasoning fits a header and is printable", "[value]") {
    ValueWorld world;
    auto route = world.route();
    std::string line = reasoning_line(*route, 1'024);
    CHECK_THAT(line, Catch::Contains("open is worth $0.00340 (p 0.74"));
    CHECK(reasoning_line(*route, 40).size() == 40);
    route->reason = "\r\nx-evil: 1\xFF";
    CHECK(reasoning_line(*route, 1'024).substr(0, 12) == "??x-evil: 1?");
}

}  // namespace sluice
