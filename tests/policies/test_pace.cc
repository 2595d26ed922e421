// Simulated days: traffic that follows office hours, grows, gets harder and stops at weekends.
#include "policies/pace.h"

#include <cmath>
#include <functional>
#include <random>

#include "policies/value.h"
#include "tests/policies/fakes.h"

namespace sluice {
namespace {

constexpr std::int64_t monday = 1'795'392'000;  // 2026-11-23T00:00:00Z
const std::vector<std::string> upstreams = {"here", "open-a", "far"};

std::string policy_text(const std::string& pace, const std::string& more = "") {
    return "version: 1\ntiers: {local: [here], open: [open-a], frontier: [far]}\n"
           "default:\n  bands:\n    - {below: 0.4, tier: local}\n    - {below: 0.7, tier: open}\n"
           "    - {tier: frontier}\n" +
           pace + more;
}

// What a day brings.
struct Traffic {
    double requests = 8'000;
    double hardness = 0;  // added to the mean difficulty
    double length = 1;    // of answers
    bool office_hours = true;
};

struct DayResult {
    double usd = 0, requests = 0, frontier = 0, dear = 0, shift_max = -1, hardest_kept = 1;
    std::array<double, 24> frontier_by_hour{};
};

class World {
public:
    explicit World(const std::string& pace) : policy(policy_of(policy_text(pace), upstreams)) {}

    DayResult day(const Traffic& traffic) {
        DayResult out;
        double hardest = 0, kept = 0;
        for (int minute = 0; minute < 1'440; ++minute) {
            std::int64_t now = monday + days * 86'400 + minute * 60;
            PaceSeen seen;
            std::poisson_distribution<int> arrivals(traffic.requests * rate(minute, traffic));
            for (int i = arrivals(random); i > 0; --i) {
                double score = difficulty(traffic);
                std::string tier = policy.band(shifted_difficulty(score, state.shift))->tier;
                double usd = price(tier) * traffic.length *
                             std::exp(std::normal_distribution<double>(0, 0.8)(random));
                out.usd += usd;
                out.requests += 1;
                out.frontier += tier == "frontier";
                out.dear += tier != "local";
                out.frontier_by_hour[static_cast<std::size_t>(minute / 60)] += tier == "frontier";
                if (score > 0.985) ++hardest, kept += tier == "frontier";
                ++seen.requests;
                seen.units +=
                    pace_units(policy, tier, Money{static_cast<std::int64_t>(usd * 1e12)});
            }
            step(state, policy.pace, now, seen);
            out.shift_max = std::max(out.shift_max, state.shift);
        }
        if (hardest > 0) out.hardest_kept = kept / hardest;
        ++days;
        return out;
    }

    Policy policy;
    PaceState state;
    int days = 0;

private:
    static double rate(int minute, const Traffic& traffic) {
        if (!traffic.office_hours) return 1.0 / 1'440;
        double hour = minute / 60.0;
        double shape = 0.15 + 4 * std::exp(-(hour - 10.5) * (hour - 10.5) / 4) +
                       3 * std::exp(-(hour - 15) * (hour - 15) / 5);
        return shape / 1'600;
    }
    double difficulty(const Traffic& traffic) {
        double a = std::gamma_distribution<double>(1.6, 1)(random);
        double b = std::gamma_distribution<double>(2.4, 1)(random);
        return std::clamp(a / (a + b) + traffic.hardness, 0.0, 0.999);
    }
    static double price(const std::string& tier) {
        return tier == "local" ? 0.0001 : tier == "open" ? 0.002 : 0.03;
    }
    std::mt19937 random{7};
};

}  // namespace

TEST_CASE("a shift keeps the order, and the hardest requests on the dear side", "[pace]") {
    for (double shift : {-0.95, -0.3, 0.0, 0.2, 0.9, 0.95}) {
        double before = -1e9;
        for (double d = 0; d <= 1; d += 0.01) {
            double now = shifted_difficulty(d, shift);
            CHECK(now >= before);
            CHECK(now <= 1);
            before = now;
        }
        CHECK(shifted_difficulty(1, shift) == 1);
        for (double d : {0.1, 0.5, 0.9})
            CHECK(shifted_difficulty(d, shift) >= shifted_difficulty(d, shift + 0.01));
    }
    CHECK(shifted_difficulty(0.5, 0) == 0.5);
    CHECK(shifted_difficulty(0.7, 0.5) == Approx(0.4));  // the threshold 0.4 stands at 0.7
    CHECK(value_factor(0.25) == 0.75);
    CHECK(value_factor(-0.5) == 2);
}

TEST_CASE("a spend target is held within a few percent while traffic drifts", "[pace]") {
    World free(""), world("pace: {spend_usd_per_day: \"20\"}\n");
    double unheld = free.day(Traffic{}).usd;
    INFO("unheld $" << unheld);
    REQUIRE(unheld > 25);
    world.day(Traffic{});  // knows no hours yet
    Traffic traffic;
    for (int day = 1; day <= 14; ++day) {
        bool jump = day == 4 || day == 8 || day == 11;
        if (day == 4) traffic.requests *= 1.5;
        if (day == 8) traffic.hardness += 0.05;
        if (day == 11) traffic.length = 0.7;
        traffic.hardness += 0.003;
        DayResult seen = world.day(traffic);
        INFO("day " << day << ": $" << seen.usd << " shift " << world.state.shift);
        CHECK(seen.usd == Approx(20).epsilon(jump ? 0.08 : 0.04));
        CHECK(seen.hardest_kept == 1);
        CHECK(seen.shift_max <= 0.9);
    }
}

TEST_CASE("a share of the dear tiers is held, and every hour has its part", "[pace]") {
    World world("pace: {tier_share: {frontier: 0.05}}\n");
    world.day(Traffic{});
    for (int day = 1; day <= 6; ++day) {
        Traffic traffic;
        traffic.hardness = 0.02 * day;
        DayResult seen = world.day(traffic);
        INFO("day " << day << ": " << seen.frontier / seen.requests << " of " << seen.requests);
        CHECK(seen.frontier / seen.requests == Approx(0.05).epsilon(0.06));
        for (std::size_t hour = 8; hour < 18; ++hour) CHECK(seen.frontier_by_hour[hour] > 0);
    }
}

TEST_CASE("nothing is held back where less than the target is spent", "[pace]") {
    World world("pace: {spend_usd_per_day: \"1000\"}\n");
    for (int day = 0; day < 3; ++day) CHECK(world.day(Traffic{}).shift_max == 0);
    World lowered("pace: {spend_usd_per_day: \"80\", lower_max: 0.6}\n");
    lowered.day(Traffic{});
    double usd = 0;
    for (int day = 0; day < 3; ++day) usd = lowered.day(Traffic{}).usd;
    CHECK(lowered.state.shift < 0);
    CHECK(usd == Approx(80).epsilon(0.05));
}

TEST_CASE("a target out of reach ends at the bound, and the hardest requests go on", "[pace]") {
    World world("pace: {spend_usd_per_day: \"0.5\", raise_max: 0.8}\n");
    for (int day = 0; day < 3; ++day) {
        DayResult seen = world.day(Traffic{});
        CHECK(seen.hardest_kept == 1);
        CHECK(seen.shift_max == Approx(0.8));
    }
}

TEST_CASE("a small team's hundred requests a day are held, too", "[pace]") {
    World world("pace: {tier_share: {open: 0.3}}\n");
    double dear = 0, all = 0;
    for (int day = 0; day < 30; ++day) {
        Traffic traffic;
        traffic.requests = 120;
        traffic.office_hours = false;
        DayResult seen = world.day(traffic);
        if (day < 3) continue;
        all += seen.requests;
        dear += seen.dear;
    }
    CHECK(dear / all == Approx(0.3).epsilon(0.1));
    CHECK(world.state.shift > 0);
}

TEST_CASE("a day without requests, or a clock that goes back, moves nothing", "[pace]") {
    Policy policy = policy_of(policy_text("pace: {spend_usd_per_day: \"1\"}\n"), upstreams);
    PaceState state;
    for (int i = 0; i < 50; ++i)
        step(state, policy.pace, monday + 36'000 + i * 60, {20, 200'000'000'000});
    double shift = state.shift;
    CHECK(shift > 0);
    step(state, policy.pace, monday + 86'400 * 3, {0, 0});
    CHECK(state.shift == shift);
    step(state, policy.pace, monday, {0, 0});
    CHECK(state.shift == shift);
    CHECK(std::isfinite(state.forecast));
}

TEST_CASE("what was spent on calls that nobody was answered by counts, too", "[pace]") {
    World world("pace: {spend_usd_per_day: '10'}\n");
    PaceState state;
    step(state, world.policy.pace, monday, {1, 0});
    step(state, world.policy.pace, monday + 1, {0, 20 * pico_per_usd});
    step(state, world.policy.pace, monday + 2, {1, 0});
    CHECK(state.units == 20.0 * pico_per_usd);
    CHECK(state.forecast >= 2);
}

TEST_CASE("the pace moves bands and values, and says so", "[pace]") {
    Policy policy =
        policy_of(policy_text("pace: {spend_usd_per_day: \"1\", raise_max: 0.5}\n"), upstreams);
    std::vector<Upstream> all = {fake_upstream("here", 0), fake_upstream("open-a", 2),
                                 fake_upstream("far", 25)};
    std::vector<UpstreamView> views;
    for (const Upstream& one : all) views.push_back({&one, true, ""});
    Caller caller{"acme", "search", "key-1", ""};
    Labels labels;
    ChatRequest request = fake_request("hello");
    Difficulty difficulty;
    difficulty.score = 0.75;
    RouteInput input{caller, labels, request, difficulty, 100};
    auto tier = [&] {
        auto route = choose_route(policy, input, views);
        REQUIRE(route);
        return route->tier;
    };
    CHECK(tier() == "frontier");
    input.shift = 0.3;  // the threshold 0.7 stands at 0.79
    CHECK(tier() == "open");
    auto route = choose_route(policy, input, views);
    CHECK(route->reason.find("(of 0.75, shifted by 0.300 for the day's pace)") !=
          std::string::npos);
    CHECK(route->record.shift == 0.3);
    input.shift = 0.94;  // the policy allows 0.5: the thresholds stand at 0.7 and 0.85
    difficulty.score = 0.9;
    CHECK(tier() == "frontier");
    difficulty.score = 0.75;
    SECTION("a policy without a pace is not moved") {
        policy.pace = Pace();
        CHECK(tier() == "frontier");
    }
    SECTION("a model asked for by name is not moved") {
        request.model = "frontier";
        CHECK(tier() == "frontier");
    }
    SECTION("by value a right answer is worth less") {
        policy = policy_of(policy_text("scoring: {mode: value, value_usd: \"0.0025\"}\npace: "
                                       "{spend_usd_per_day: \"1\"}\n"),
                           upstreams);
        difficulty.ok_frontier = 0.99;
        difficulty.expected_output_tokens = difficulty.expected_output_tokens_frontier = 20;
        input.shift = 0;
        std::string before = tier();
        input.shift = 0.9;
        CHECK(before != tier());
        CHECK(tier() == "local");
    }
}

TEST_CASE("what is confined, or decided by a locked rule, is never moved", "[pace]") {
    std::vector<Upstream> all = {fake_upstream("here", 0), fake_upstream("open-a", 2),
                                 fake_upstream("far", 25)};
    std::vector<UpstreamView> views;
    for (const Upstream& one : all) views.push_back({&one, true, ""});
    Policy policy = policy_of(
        policy_text(
            "pace: {tier_share: {frontier: 0.1}, lower_max: 0.9}\n",
            "confine:\n  - {name: inside, when: {data_class: restricted}, to: [local, open]}\n"
            "rules:\n  - {name: fixed, locked: true, when: {team: legal}, use: auto, max_tokens: "
            "4000}\n"
            "  - {name: free, when: {team: sales}, use: auto, max_tokens: 4000}\n"),
        upstreams);
    std::mt19937 random(3);
    std::uniform_real_distribution<double> uniform(0, 1);
    int moved = 0;
    for (int i = 0; i < 3'000; ++i) {
        Caller caller{"acme", i % 3 == 0 ? "legal" : "sales", "key-1", ""};
        Labels labels;
        if (i % 3 == 1) labels.data_class = "restricted";
        ChatRequest request = fake_request("hello");
        Difficulty difficulty;
        difficulty.score = uniform(random);
        RouteInput input{caller, labels, request, difficulty, 100};
        auto still = choose_route(policy, input, views);
        input.shift = uniform(random) * 1.8 - 0.9;
        auto paced = choose_route(policy, input, views);
        REQUIRE(still.has_value() == paced.has_value());
        if (!still) continue;
        if (i % 3 == 2) {
            moved += still->tier != paced->tier;
            continue;
        }
        CHECK(still->tier == paced->tier);
        CHECK(still->attempts[0].upstream == paced->attempts[0].upstream);
    }
    CHECK(moved > 100);
}

TEST_CASE("a pace says what it holds, and for which tier", "[pace]") {
    for (auto [text, fault] :
         {std::pair("{}", "expected either spend_usd_per_day or tier_share"),
          std::pair("{spend_usd_per_day: \"1\", tier_share: {open: 0.1}}", "expected either"),
          std::pair("{spend_usd_per_day: \"0\"}", "expected more than 0"),
          std::pair("{tier_share: {opne: 0.1}}", "did you mean 'open'?"),
          std::pair("{tier_share: {local: 0.1}}", "'local' is the cheapest tier"),
          std::pair("{tier_share: {open: 0.1, frontier: 0.1}}", "expected one tier"),
          std::pair("{tier_share: {open: 1.5}}", "pace.tier_share.open"),
          std::pair("{spend_usd_per_day: \"1\", raise_max: 1}", "pace.raise_max"),
          std::pair("{spend_usd_per_dya: \"1\"}", "did you mean 'spend_usd_per_day'?")}) {
        std::vector<Fault> faults;
        read_policy(policy_text("pace: " + std::string(text) + "\n"), "p.yaml", upstreams, faults);
        INFO(text);
        REQUIRE(!faults.empty());
        std::string said;
        for (const Fault& one : faults) said += one.text() + "\n";
        INFO(said);
        CHECK(said.find(fault) != std::string::npos);
        CHECK(said.find("p.yaml:8:") != std::string::npos);
    }
}

}  // namespace sluice
