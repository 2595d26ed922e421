// `sluice test`: cases that pass, cases that fail and say why, faults of their file.
#include <catch2/catch.hpp>
#include <filesystem>

#include "policies/policy_cases.h"

namespace sluice {
namespace {

const std::string policy =
    "version: 1\ntiers: {local: [here], frontier: [far]}\n"
    "default: {bands: [{below: 0.5, tier: local}, {tier: frontier}]}\n"
    "rules:\n  - {name: legal, when: {team: legal}, use: local, on_unavailable: refuse}\n"
    "  - {name: no, when: {data_class: secret}, refuse: 'not to a model'}\n";

std::vector<CaseResult> run(const std::string& cases, std::vector<Fault>& faults) {
    auto load = [](const std::string& path) -> std::optional<std::string> {
        if (path == "folder/own.policy.yaml") return policy;
        return {};
    };
    return run_policy_cases("policy: own.policy.yaml\ncases:\n" + cases, "folder/own.test.yaml",
                            *Classifier::builtin(), "2026-11-22", faults, load);
}

}  // namespace

TEST_CASE("the examples' cases pass", "[cases]") {
    int files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(SLUICE_SOURCE_DIR "/policies/examples")) {
        if (!entry.path().string().ends_with(".test.yaml")) continue;
        ++files;
        std::vector<Fault> faults;
        auto results = run_policy_cases(*load_policy_file(entry.path()), entry.path(),
                                        *Classifier::builtin(), "2026-11-22", faults);
        for (const Fault& fault : faults) FAIL_CHECK(fault.text());
        CHECK(results.size() >= 4);
        for (const CaseResult& result : results)
            for (const std::string& failure : result.failures)
                FAIL_CHECK(result.name << ": " << failure << " (" << result.why << ")");
    }
    CHECK(files >= 2);
}

TEST_CASE("a case that fails says what was expected, what came and why", "[cases]") {
    std::vector<Fault> faults;
    auto results = run(
        "  - {name: a, request: {team: legal, difficulty: 0.9}, expect: {tier: frontier, rule: "
        "default}}\n"
        "  - {name: b, request: {data_class: secret}, expect: {tier: local}}\n"
        "  - {name: c, request: {data_class: secret}, expect: {refused: 'wiki'}}\n"
        "  - {name: d, request: {}, expect: {refused: 'no'}}\n"
        "  - {name: e, request: {difficulty: 0.9}, expect: {never: [local], route: [far]}}\n"
        "  - {name: f, request: {team: legal, disabled: here}, expect: {refused: 'no upstream'}}\n"
        "  - {name: g, request: {difficulty: 0.9, down: [far]}, expect: {tier: local}}\n",
        faults);
    for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    REQUIRE(results.size() == 7);
    CHECK(results[0].failures == std::vector<std::string>{"tier: expected frontier, got local",
                                                          "rule: expected default, got legal"});
    CHECK(results[0].why == "rule 'legal' (line 5) sends it to tier local");
    CHECK(results[0].line == 3);
    CHECK(results[1].failures == std::vector<std::string>{"expected an answer, got a refusal"});
    CHECK(results[1].why == "refused: not to a model (rule 'no')");
    CHECK_THAT(results[2].failures.at(0), Catch::StartsWith("refused: expected words with 'wiki'"));
    CHECK_THAT(results[3].failures.at(0),
               Catch::StartsWith("refused: expected a refusal, got tier local by rule default"));
    CHECK(results[4].failures ==
          std::vector<std::string>{"route: expected far, got far, here",
                                   "never: expected no attempt on local, got here"});
    CHECK(results[5].failures.empty());
    CHECK(results[6].failures.empty());
}

TEST_CASE("the faults of a case file name their place", "[cases]") {
    std::vector<Fault> faults;
    run("  - {name: a, request: {temas: x}, expect: {tier: lokal}}\n"
        "  - {name: b, request: {at: noon}, expect: {}}\n"
        "  - {name: c, request: {down: [heer]}, expect: {rule: leagl}}\n",
        faults);
    std::string all;
    for (const Fault& fault : faults) all += fault.text() + "\n";
    CHECK(all ==
          "folder/own.test.yaml:3:25: cases[0].request: unknown key 'temas'\n"
          "folder/own.test.yaml:3:51: cases[0].expect.tier: no tier 'lokal' in the policy, did you "
          "mean 'local'?\n"
          "folder/own.test.yaml:4:29: cases[1].request.at: expected a time in UTC such as "
          "2026-11-23T21:30Z, got 'noon'\n"
          "folder/own.test.yaml:4:44: cases[1].expect: expected some of tier, upstream, rule, "
          "refused, max_tokens, reasoning_effort, route, never\n"
          "folder/own.test.yaml:5:31: cases[2].request.down: no upstream 'heer' in the policy, did "
          "you mean 'here'?\n"
          "folder/own.test.yaml:5:55: cases[2].expect.rule: no rule 'leagl' in the policy, did you "
          "mean 'legal'?\n");
}

TEST_CASE("a policy that is not there, or has faults, is said so", "[cases]") {
    std::vector<Fault> faults;
    auto none = [](const std::string&) { return std::optional<std::string>(); };
    run_policy_cases("policy: x.yaml\ncases: []\n", "t.yaml", *Classifier::builtin(), "2026-11-22",
                     faults, none);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].text() == "t.yaml:1:9: policy: cannot read x.yaml (of at most 1 MiB)");
    faults.clear();
    auto bad = [](const std::string&) { return std::optional<std::string>("version: 2\n"); };
    run_policy_cases("policy: x.yaml\ncases: []\n", "t.yaml", *Classifier::builtin(), "2026-11-22",
                     faults, bad);
    REQUIRE_FALSE(faults.empty());
    CHECK(faults[0].file == "x.yaml");
}

}  // namespace sluice
