// A described day through the real routes: exact sums, refusals, where self-hosting breaks even.
#include <fstream>
#include <sstream>

#include "policies/simulate.h"
#include "tests/policies/fakes.h"

namespace sluice {
namespace {

const std::string two_tiers =
    "version: 1\ntiers: {local: [here, spare], frontier: [far]}\n"
    "default: {bands: [{below: 0.5, tier: local}, {tier: frontier}]}\n";
const std::string prices =
    "version: 1\nupstreams:\n  here: {input: '1', output: '2', cached_input: '0.5'}\n"
    "  far: {input: '10', output: '20'}\n";

std::string example(const std::string& name) {
    std::ifstream in(SLUICE_SOURCE_DIR "/policies/examples/" + name);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Simulation run(const std::string& policy_yaml, const std::string& workload_yaml) {
    Policy policy = policy_of(policy_yaml, {});
    std::vector<Fault> faults;
    Workload workload = read_workload(workload_yaml, "day.yaml", policy, "2026-11-22", faults);
    for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    REQUIRE(faults.empty());
    return simulate(policy, workload, *Classifier::builtin());
}

std::string faults_of(const std::string& workload_yaml) {
    Policy policy = policy_of(two_tiers, {});
    std::vector<Fault> faults;
    read_workload(workload_yaml, "day.yaml", policy, "2026-11-22", faults);
    std::string out;
    for (const Fault& fault : faults) out += fault.text() + "\n";
    return out;
}

}  // namespace

TEST_CASE("the mixed day costs 9.44 and all on the frontier 100.00 to the cent", "[simulate]") {
    Simulation day = run(example("mixed_day.policy.yaml"), example("mixed_day.yaml"));
    CHECK(sum_text(day.total.cost) == "9.44");
    CHECK(sum_text(day.total.baseline) == "100.0");
    CHECK(day.tiers.at("local").requests == 700);
    CHECK(sum_text(day.tiers.at("local").cost) == "2.24");
    CHECK(sum_text(day.tiers.at("open").cost) == "2.2");
    CHECK(sum_text(day.tiers.at("frontier").cost) == "5.0");
    REQUIRE(day.self_hosting.size() == 1);
    const BreakEven& own = day.self_hosting[0];
    CHECK(sum_text(own.host_day) == "60.0");
    CHECK(sum_text(own.rented_day) == "2.24");
    CHECK(own.break_even_tokens == 75'000'000);  // $60 a day over $0.80 per million
    CHECK(own.break_even_requests == 18'750);
    CHECK(own.break_even_use == Approx(75e6 / (2'436.0 * 86'400)));
}

TEST_CASE("a described day is held to its pace after a day like it", "[simulate]") {
    std::string groups = "groups:\n";
    for (int i = 0; i < 20; ++i)  // difficulties from 0.025 to 0.975
        groups += "  - {name: g" + std::to_string(i) +
                  ", count: 300, difficulty: " + std::to_string((i + 0.5) / 20) +
                  ", input_tokens: 100, output_tokens: 100}\n";
    Simulation free = run(two_tiers, prices + groups);
    CHECK_FALSE(free.paced.has_value());
    CHECK(free.tiers.at("frontier").requests == 3'000);
    Simulation day = run(two_tiers + "pace: {tier_share: {frontier: 0.2}}\n", prices + groups);
    REQUIRE(day.paced.has_value());
    CHECK(day.total.requests == 6'000);
    CHECK(day.paced->wanted == 0.2);
    auto share = static_cast<double>(day.tiers.at("frontier").requests) / 6'000;
    CHECK(share == Approx(0.2).epsilon(0.05));
    CHECK(day.paced->units == Approx(share).epsilon(0.001));
    CHECK(day.groups[19].tiers.at("frontier").requests == 300);
    CHECK(day.groups[10].tiers.contains("local"));
    CHECK(day.paced->shift_high < 0.9);
    CHECK(day.paced->shift_low > 0.3);
    Simulation spend = run(two_tiers + "pace: {spend_usd_per_day: \"5\"}\n", prices + groups);
    CHECK(static_cast<double>(spend.total.cost) * 1e-12 == Approx(5).epsilon(0.05));
}

TEST_CASE("cached input is priced as cached, and the parts add up", "[simulate]") {
    Simulation day = run(two_tiers, prices + R"(
groups:
  - {name: a, count: 3, team: x, difficulty: 0.1, input_tokens: 1000, cached_share: 0.25, output_tokens: 100}
  - {name: b, count: 2, team: y, difficulty: 0.9, input_tokens: 1000, output_tokens: 100}
)");
    // 3 x (750 x 1 + 250 x 0.5 + 100 x 2) + 2 x (1,000 x 10 + 100 x 20) millionths of a dollar
    CHECK(sum_text(day.total.cost) == "0.027225");
    CHECK(sum_text(day.total.baseline) == "0.06");
    CHECK(sum_text(day.teams.at("x").cost) == "0.003225");
    CHECK(day.tiers.at("local").cached_tokens == 750);
    CHECK(day.unpriced == std::vector<std::string>{"spare"});
    CHECK(day.self_hosting.empty());
}

TEST_CASE("a prompt in a workload is classified and counted", "[simulate]") {
    Simulation day = run(two_tiers, prices + R"(
groups:
  - {name: chat, count: 1, prompt: "hello, how are you today?", output_tokens: 10}
  - {name: tools, count: 2, model: far, tools: true, difficulty: 0.1, input_tokens: 5, output_tokens: 1}
)");
    CHECK(day.tiers.at("local").requests == 1);
    CHECK(day.tiers.at("local").input_tokens > 4);
    CHECK(day.tiers.at("frontier").requests == 2);
}

TEST_CASE("refused requests are counted with the reason and cost nothing", "[simulate]") {
    Simulation day = run(
        two_tiers + "rules: [{name: no, when: {data_class: secret}, refuse: 'not to a model'}]\n",
        prices +
            "groups: [{name: s, count: 4, data_class: secret, difficulty: 0.1, "
            "input_tokens: 1, output_tokens: 1}]\n");
    CHECK(day.refused == 4);
    CHECK(day.groups[0].refusal == "not to a model (rule 'no')");
    CHECK(day.total.requests == 0);
    CHECK(day.total.cost == 0);
}

TEST_CASE("self-hosting breaks even nowhere when a busy machine is dearer", "[simulate]") {
    auto own = [](const std::string& hosting) {
        return run(two_tiers, prices +
                                  "groups: [{name: a, count: 10, difficulty: 0.1, "
                                  "input_tokens: 0, output_tokens: 1000}]\nself_hosting: " +
                                  hosting)
            .self_hosting.at(0);
    };
    BreakEven dear = own("{upstream: here, gpu_hour_usd: '10', output_tokens_per_second: 100}");
    CHECK(dear.break_even_use > 1);
    CHECK(sum_text(dear.per_mtok) == "24000.0");
    BreakEven far =
        own("{upstream: here, instead_of: far, gpu_hour_usd: '0.5', other_usd_per_day: '3', "
            "hours_per_day: 8, output_tokens_per_second: 100}");
    CHECK(sum_text(far.host_day) == "7.0");
    CHECK(far.break_even_tokens == 350'000);  // $7 a day over $20 per million
    CHECK(far.capacity == 2'880'000);
    std::string cheap = prices;
    cheap.replace(cheap.find("output: '2'"), 11, "output: '0.000001'");
    BreakEven never = run(two_tiers, cheap +
                                         "groups: [{name: a, count: 1, difficulty: 0.1, "
                                         "input_tokens: 0, output_tokens: 1000000}]\n"
                                         "self_hosting: {upstream: here, gpu_hour_usd: '9000000', "
                                         "output_tokens_per_second: 1}")
                          .self_hosting.at(0);
    CHECK(never.break_even_tokens == INT64_MAX);
    CHECK(never.break_even_use > 1);
}

TEST_CASE("the faults of a workload name line, column and what would be right", "[simulate]") {
    CHECK(faults_of(prices + R"(
groups:
  - {name: a, count: 0, difficulty: 2, input_tokens: 1, output_tokens: 1}
  - {name: b, count: 1, output_tokens: 1}
  - {name: c, count: 1, difficulty: 0.5, input_tokens: 1, output_tokens: 1, teem: x}
)") == "day.yaml:7:22: groups[0].count: expected 1 to 10000000, got '0'\n"
       "day.yaml:7:37: groups[0].difficulty: expected 0 to 1, got '2'\n"
       "day.yaml:8:5: groups[1]: expected 'difficulty', or 'prompt' for the classifier to read\n"
       "day.yaml:8:5: groups[1]: expected 'input_tokens', or 'prompt' to estimate them from\n"
       "day.yaml:9:77: groups[2]: unknown key 'teem', did you mean 'team'?\n");
    const std::string group =
        "groups: [{name: a, count: 1, difficulty: 0.1, input_tokens: 1, output_tokens: 1}]\n";
    CHECK(faults_of("version: 1\nupstreams:\n  heer: {input: '1', output: cheap}\n" + group) ==
          "day.yaml:3:9: upstreams.heer: no upstream 'heer' in the policy, did you mean 'here'?\n"
          "day.yaml:3:30: upstreams.heer.output: expected dollars per million tokens such as "
          "\"2.20\", got 'cheap': only digits and one decimal point may be there\n"
          "day.yaml:3:3: upstreams: tier 'local' of the policy has no upstream with a price here: "
          "add one of here, spare\n"
          "day.yaml:3:3: upstreams: tier 'frontier' of the policy has no upstream with a price "
          "here: add one of far\n");
    CHECK(faults_of(prices + "groups: [{name: a, count: 1, difficulty: 0, input_tokens: 1, "
                             "output_tokens: 1, at: 2026-02-30T10:00Z}]\n") ==
          "day.yaml:5:84: groups[0].at: expected a time in UTC such as 2026-11-23T21:30Z, got "
          "'2026-02-30T10:00Z'\n");
    CHECK(faults_of(prices +
                    "groups: [{name: a, count: 9000000, difficulty: 0, input_tokens: 1, "
                    "output_tokens: 1}, {name: b, count: 9000000, difficulty: 0, input_tokens: 1, "
                    "output_tokens: 1}]\n") ==
          "day.yaml:5:9: groups: expected at most 10000000 requests in all, got 18000000\n");
}

TEST_CASE("dollars for people keep the digits that say something", "[simulate]") {
    CHECK(short_usd(PicoSum{9'440'000'000'000}) == "9.44");
    CHECK(short_usd(PicoSum{285'075'716'110}) == "0.285");
    CHECK(short_usd(PicoSum{-3'100'000'000}) == "-0.00310");
    CHECK(short_usd(0) == "0.00");
    CHECK(sum_text(PicoSum{1'000'000'000'000} * 20'000'000 + 1) == "20000000.000000000001");
}

}  // namespace sluice
