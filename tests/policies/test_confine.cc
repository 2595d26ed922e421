// Data that must stay somewhere stays there, whatever else the policy says.
#include <algorithm>
#include <array>
#include <random>

#include "tests/policies/route_world.h"

namespace sluice {
namespace {

const std::string home = "confine: [{name: home, when: {data_class: restricted}, to: [local]}]\n";

// A rule that may well send restricted data outside, if nothing held it.
std::string random_rule(std::mt19937& random, int number) {
    auto pick = [&random](std::initializer_list<const char*> words) {
        return std::string(*(words.begin() + random() % words.size()));
    };
    std::string when =
        pick({"{}", "{team: search}", "{data_class: restricted}", "{model: [auto, far]}",
              "{not: {data_class: public}}", "{any: [{tools: true}, {turns: {min: 1}}]}",
              "{difficulty: {min: 0.05}}", "{pii: false}", "{time: {days: [thu]}}"});
    std::string to =
        pick({"use: frontier", "use: open", "use: local", "use: auto, max_tokens: 9",
              "order: [frontier, open, local]", "order: [open]", "upstream: far",
              "upstream: open-b, on_unavailable: refuse", "use: frontier, on_unavailable: refuse",
              "use: local, canary: {percent: 60, use: frontier}", "use: frontier, shadow: 100"});
    return "{name: r" + std::to_string(number) + (when == "{}" ? "" : ", when: " + when) + ", " +
           to + "}";
}

// Rules that would never be reached are faults: such a draw is left out.
bool readable(const std::string& yaml) {
    std::vector<Fault> faults;
    read_policy(world_tiers + yaml, "x", {}, faults);
    return faults.empty();
}

}  // namespace

// What holds the request, each way once in four.
const std::string kept_home =
    "headers: [x-dossier]\n"
    "confine:\n"
    "  - {name: home, when: {data_class: restricted}, to: [local]}\n"
    "  - {name: persons, when: {pii: [iban, card]}, to: [local]}\n"
    "  - {name: dossier, when: {headers: {x-dossier: '7'}}, to: [local]}\n"
    "  - {name: legal, when: {team: legal}, to: [local]}\n";

void hold(World& world, unsigned long way) {
    if (way == 0) world.labels.data_class = "restricted";
    if (way == 1) world.request = fake_request("pay it from DE89 3704 0044 0532 0130 00 today");
    if (way == 2) world.labels.headers = {{"x-dossier", "7"}};
    if (way == 3) world.caller.team = "legal";
}

TEST_CASE("a request that is kept home never leaves, under every rule order, local up or down",
          "[confine]") {
    std::mt19937 random(4);
    int tried = 0, refused = 0;
    std::array<int, 4> stayed{};
    while (tried < 400) {
        std::vector<std::string> rules;
        for (unsigned long i = 0, count = 1 + random() % 4; i < count; ++i)
            rules.push_back(random_rule(random, static_cast<int>(i)));
        std::sort(rules.begin(), rules.end());
        do {
            std::string scoring = "scoring: {mode: value, value_usd: '1', switch_usd: '9'}\n";
            std::string yaml = (random() % 2 == 0 ? world_bands : scoring) + kept_home +
                               "pace: {tier_share: {open: 0.1}, lower_max: 0.9}\nrules:\n";
            for (const std::string& rule : rules) yaml += "  - " + rule + "\n";
            if (!readable(yaml)) continue;
            ++tried;
            World world(yaml);
            const unsigned long way = random() % 4;
            hold(world, way);
            world.difficulty.score = static_cast<double>(random() % 100) / 100;
            world.difficulty.ok_frontier = 0.9;
            world.chance = static_cast<double>(random() % 100) / 100;
            world.shift = static_cast<double>(random() % 180) / 100 - 0.9;
            world.exploring = static_cast<double>(random() % 100) / 100;
            const char* before[] = {"here", "open-a", "open-b", "far"};
            if (random() % 2 == 0)
                world.session = {upstream_mark(before[random() % 4]),
                                 static_cast<std::int64_t>(random() % 100'000)};
            if (random() % 4 == 0)
                world.budget_left = Money{static_cast<int>(random() % 1'000'000)};
            const char* asked[] = {"auto", "local", "frontier", "far", "open-a"};
            world.request.model = asked[random() % 5];
            if (random() % 3 == 0) world.disable("here");
            for (const char* name : {"here", "open-a", "open-b", "far"})
                world.set_up(name, random() % 2 == 0);
            INFO(yaml << world.request.model << " held by " << way);
            auto route = world.route();
            if (!route) {
                ++refused;
                continue;
            }
            ++stayed[way];
            CHECK(route->confined);
            for (const Attempt& attempt : route->attempts) REQUIRE(attempt.tier == "local");
        } while (std::next_permutation(rules.begin(), rules.end()));
    }
    CHECK(refused > 50);
    for (int of_way : stayed) CHECK(of_way > 20);
}

TEST_CASE("a confined request is refused when its tier is gone, not sent elsewhere", "[confine]") {
    World world(world_bands + home);
    CHECK(world.order() == "here open-a open-b far");
    world.labels.data_class = "restricted";
    world.difficulty.score = 0.99;
    CHECK(world.order() == "here");
    CHECK_THAT(world.route()->reason, Catch::Contains("confined by 'home'"));
    world.set_up("here", false);
    CHECK(world.order() == "here");  // tried all the same: nothing else may
    world.disable("here");
    auto route = world.route();
    REQUIRE(!route);
    CHECK(route.error().code == Errc::no_upstream);
    CHECK_THAT(route.error().message, Catch::Contains("tier frontier: confined by 'home'"));
}

TEST_CASE("asking by name for what is outside is forbidden", "[confine]") {
    World world(world_bands + home);
    world.labels.data_class = "restricted";
    world.request.model = "frontier";
    auto route = world.route();
    REQUIRE(!route);
    CHECK(route.error().code == Errc::forbidden);
    CHECK(route.error().message ==
          "this request may not go where it is sent: tier frontier: confined by 'home'");
}

TEST_CASE("several confinements all hold, and what they leave may be nothing", "[confine]") {
    World world(world_bands +
                "confine:\n"
                "  - {name: in the house, when: {data_class: restricted}, to: [local, open]}\n"
                "  - {name: numbers, when: {pii: [card, iban]}, to: [open, frontier]}\n"
                "  - {name: legal, when: {team: legal}, to: [local]}\n");
    world.labels.data_class = "restricted";
    CHECK(world.order() == "here open-a open-b");
    world.request = fake_request("my card is 4111-1111-1111-1111");
    CHECK(world.order() == "open-a open-b");
    world.caller.team = "legal";
    auto route = world.route();
    REQUIRE(!route);
    CHECK(route.error().code == Errc::forbidden);
    CHECK_THAT(route.error().message,
               Catch::Contains("confined by 'in the house' and 'numbers' and 'legal'"));
}

TEST_CASE("a class is the same in any case, and a slip is refused where classes are listed",
          "[confine]") {
    World world(world_bands + "data_classes: [Public, restricted]\n" +
                "confine: [{name: home, when: {data_class: RESTRICTED}, to: [local]}]\n");
    world.difficulty.score = 0.9;
    world.labels.data_class = "public";
    CHECK(world.order() == "far open-a open-b here");
    world.labels.data_class = "restricted";
    CHECK(world.order() == "here");
    world.labels.data_class = "restriced";
    Result<Route> slip = world.route();
    REQUIRE_FALSE(slip);
    CHECK(slip.error().code == Errc::invalid_request);
    CHECK(slip.error().message ==
          "x-sluice-data-class: no class 'restriced'; there is public, restricted");
    world.labels.data_class = "";
    CHECK(world.order() == "far open-a open-b here");
}

TEST_CASE("conditions name listed classes only", "[confine]") {
    std::vector<Fault> faults;
    read_policy(world_tiers + world_bands + "data_classes: [public, restricted]\n" +
                    "rules: [{name: a, when: {data_class: restricetd}, use: local}]\n",
                "x", {}, faults);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].message == "unknown data class 'restricetd', did you mean 'restricted'?");
}

}  // namespace sluice
