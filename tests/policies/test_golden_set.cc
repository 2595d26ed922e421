#include <catch2/catch.hpp>

#include "policies/golden/gate.h"
#include "policies/policy.h"

using namespace sluice;

namespace {

std::vector<std::string> faults_of(const std::string& yaml) {
    std::vector<Fault> faults;
    read_golden(yaml, "g.yaml", faults);
    std::vector<std::string> out;
    for (const Fault& fault : faults) out.push_back(fault.text());
    return out;
}

std::string case_with(const std::string& members) {
    return "version: 1\ncases:\n  - {id: a, prompt: p, " + members + "}\n";
}

GoldenSet good_set(const std::string& yaml) {
    std::vector<Fault> faults;
    GoldenSet set = read_golden(yaml, "g.yaml", faults);
    INFO(faults_error(faults).message);
    REQUIRE(faults.empty());
    return set;
}

// Forty cases of which a tier has the first `right` right.
GoldenResult result_with(const GoldenSet& set, int right, const std::string& identity = "m1") {
    GoldenResult out;
    out.made = "2026-11-22T09:00:00Z";
    out.golden_sha256 = set.sha256;
    MeasuredTier tier;
    tier.tier = "local";
    tier.identity = identity;
    for (const GoldenCase& one : set.cases) {
        out.cases.push_back({one.id, one.digest, "exact", "local"});
        tier.scores.emplace_back(static_cast<int>(tier.scores.size()) < right ? 1.0 : 0.0);
    }
    out.tiers.push_back(tier);
    return out;
}

GoldenSet forty_cases() {
    std::string yaml = "version: 1\ncases:\n";
    for (int i = 0; i < 40; ++i)
        yaml += "  - {id: c" + std::to_string(i) + ", prompt: p, score: {exact: x}}\n";
    return good_set(yaml);
}

GateCandidate candidate_of(const GoldenSet& set, const std::string& identity = "m1") {
    return {set, {{"local", identity}}, std::vector<std::string>(set.cases.size(), "local"), 0.02};
}

}  // namespace

TEST_CASE("a golden file is read with its defaults", "[golden]") {
    GoldenSet set = good_set(
        "version: 1\n"
        "defaults: {max_tokens: 50, repeats: 3, team: support}\n"
        "judge: {tier: frontier}\n"
        "cases:\n"
        "  - {id: a, prompt: hi, score: {exact: [x, y]}}\n"
        "  - id: b\n"
        "    messages: [{role: system, content: be short}, {role: user, content: hi}]\n"
        "    max_tokens: 9\n"
        "    data_class: restricted\n"
        "    tags: {app: crm}\n"
        "    score: {numeric: {is: 4, tolerance: 0.1}}\n"
        "  - {id: c, prompt: hi, score: {judge: {rubric: polite}}}\n");
    REQUIRE(set.cases.size() == 3);
    CHECK(set.cases[0].max_tokens == 50);
    CHECK(set.cases[0].repeats == 3);
    CHECK(set.cases[0].team == "support");
    CHECK(set.cases[1].max_tokens == 9);
    CHECK(set.cases[1].messages.size() == 2);
    CHECK(set.cases[1].restricted());
    CHECK(set.cases[1].labels.tags.at("app") == "crm");
    CHECK(set.asks_judge());
    CHECK_FALSE(set.runs_code());
    CHECK(scorer_name(set.cases[2].scorer) == "judge_rubric");
}

TEST_CASE("the example of a golden set is good", "[golden]") {
    auto text =
        load_policy_file(std::string(SLUICE_SOURCE_DIR) + "/policies/examples/support.golden.yaml");
    REQUIRE(text);
    CHECK(good_set(*text).cases.size() == 5);
}

TEST_CASE("each fault of a golden file has its place", "[golden]") {
    using List = std::vector<std::string>;
    CHECK(faults_of(case_with("score: {exact: x}, max_tokns: 5")) ==
          List{"g.yaml:3:43: cases[0]: unknown key 'max_tokns', did you mean 'max_tokens'?"});
    CHECK(faults_of(case_with("score: {exact: x, numeric: 3}")).at(0).find("exactly one of") !=
          std::string::npos);
    CHECK(faults_of(case_with("score: {regex: '(a'}")).at(0) ==
          "g.yaml:3:39: cases[0].score.regex: '(' without ')' (at sign 3)");
    CHECK(faults_of(case_with("score: {json_schema: {oneOf: []}}"))
              .at(0)
              .find("cases[0].score.json_schema: unknown key 'oneOf'") != std::string::npos);
    CHECK(faults_of(case_with("score: {judge: {rubric: r}}")).at(0).find("section 'judge'") !=
          std::string::npos);
    CHECK(faults_of(case_with("data_class: restricted, score: {judge: {rubric: r}}"))
              .at(0)
              .find("shown to no judge") != std::string::npos);
    CHECK(faults_of(case_with("score: {code_run: {command: [sh], file: ../x}}"))
              .at(0)
              .find("plain file name") != std::string::npos);
    CHECK(faults_of("version: 1\ncases:\n  - {id: a, score: {exact: x}}\n").at(0) ==
          "g.yaml:3:5: cases[0]: expected one of 'prompt' and 'messages'");
    CHECK(faults_of("version: 1\ncases:\n  - {id: a, prompt: p, score: {exact: x}}\n"
                    "  - {id: a, prompt: p, score: {exact: x}}\n") ==
          List{"g.yaml:4:10: cases[1].id: duplicate case id 'a'"});
    CHECK(faults_of("version: 1\ncases: []\n").at(0) ==
          "g.yaml:2:8: cases: expected at least one case");
    CHECK(faults_of("cases: [").size() == 1);
}

TEST_CASE("a case's digest changes with what it says and with the defaults", "[golden]") {
    auto digest = [](const std::string& yaml) { return good_set(yaml).cases[0].digest; };
    std::string plain = digest(case_with("score: {exact: x}"));
    CHECK(plain == digest("version: 1\ncases: [{id: a, prompt: p, score: {exact: x}}]"));
    CHECK(plain != digest(case_with("score: {exact: y}")));
    CHECK(plain != digest("defaults: {max_tokens: 5}\n" + case_with("score: {exact: x}")));
}

TEST_CASE("intervals and tests give the figures of the books", "[golden]") {
    // Wilson 81 of 263 (Newcombe 1998, table I): 0.2553 to 0.3662.
    CHECK(wilson_interval(81, 263).low == Approx(0.2553).margin(0.0001));
    CHECK(wilson_interval(81, 263).high == Approx(0.3662).margin(0.0001));
    CHECK(wilson_interval(0, 20).low == 0);
    CHECK(wilson_interval(0, 20).high == Approx(0.1611).margin(0.0001));
    CHECK(mcnemar_exact(1, 5) == Approx(0.21875));  // 2 * (1 + 6) / 64
    CHECK(mcnemar_exact(0, 6) == Approx(0.03125));
    CHECK(mcnemar_exact(3, 3) == 1);
    CHECK(mcnemar_exact(0, 0) == 1);
    Bootstrap drawn = paired_bootstrap({-0.25, -0.25, -0.5, 0, -0.25, -0.25, -0.75, -0.25});
    CHECK(drawn.mean.high < 0);
    CHECK(drawn.p < 0.01);
    CHECK(paired_bootstrap({0.25, -0.25}).p == 1);
}

TEST_CASE("a loss above the tolerance is told from too few cases and from none", "[golden]") {
    Scores all(40, 1.0), worse = all, few(5, 1.0);
    worse[0] = worse[1] = 0.0;
    Comparison lost = compare_scores(all, worse, 0.02);
    CHECK(lost.verdict == Verdict::loses);
    CHECK(lost.difference == Approx(-0.05));
    CHECK(lost.lost == 2);
    CHECK(lost.p == Approx(0.5));
    CHECK(compare_scores(worse, all, 0.02).verdict == Verdict::unsure);  // 40 are few
    CHECK(compare_scores(few, few, 0.02).verdict == Verdict::unsure);
    CHECK(compare_scores(Scores(400, 1.0), Scores(400, 1.0), 0.02).verdict == Verdict::holds);
    worse[0].reset();  // a pair that is not whole is none
    worse[1].reset();
    CHECK(compare_scores(all, worse, 0.02).pairs == 38);
    CHECK_FALSE(compare_scores({0.25, 0.5}, {0.5, 0.5}, 0.02).exact);
}

TEST_CASE("a result is the same after its file", "[golden]") {
    GoldenSet set = forty_cases();
    GoldenResult result = result_with(set, 30);
    result.tiers[0].scores[3].reset();
    result.tiers[0].scores[4] = 0.25;
    result.tiers[0].errors["timed_out"] = 1;
    result.tiers[0].cost.pico_usd = 123'456'789'012'345;
    result.before = std::make_shared<GoldenResult>(result_with(set, 31));
    auto again = read_result(write_result(result));
    REQUIRE(again);
    CHECK(write_result(*again) == write_result(result));
    CHECK(again->before->tiers[0].right() == 31);
    CHECK(write_result(result).find("prompt") == std::string::npos);
}

TEST_CASE("a file that is no result is named as such", "[golden]") {
    CHECK(read_result("{}").error().message.find("'sluice_golden_result' is missing") !=
          std::string::npos);
    CHECK(read_result("nonsense").error().message.find("not JSON") != std::string::npos);
    std::string text = write_result(result_with(forty_cases(), 1));
    std::string newer = text;
    newer.replace(newer.find(":1"), 2, ":9");
    CHECK(read_result(newer).error().message.find("another version") != std::string::npos);
    std::string high = text;
    high.replace(high.find("[1,"), 3, "[7,");
    CHECK(read_result(high).error().message.find("not within 0 to 1") != std::string::npos);
    CHECK_FALSE(read_result(text.substr(0, text.size() / 2)));
}

TEST_CASE("the gate refuses a result that is not of what is configured", "[golden]") {
    GoldenSet set = forty_cases();
    GateCandidate candidate = candidate_of(set);
    GoldenResult result = result_with(set, 30);
    CHECK(fresh_enough(candidate, result));
    CHECK(fresh_enough(candidate_of(set, "m2"), result)
              .error()
              .message.find("is stale: measured was m1, configured is m2") != std::string::npos);
    GateCandidate more = candidate;
    more.tiers.push_back({"open", "x"});
    CHECK(fresh_enough(more, result).error().message.find("nothing of tier 'open'") !=
          std::string::npos);
    GoldenResult failed = result;
    failed.tiers[0].errors["timed_out"] = 1;
    CHECK(fresh_enough(candidate, failed).error().message.find("not whole") != std::string::npos);
    GoldenResult other = result;
    other.golden_sha256 = "0";
    CHECK(fresh_enough(candidate, other).error().message.find("another version of g.yaml") !=
          std::string::npos);
}

TEST_CASE("the gate refuses a result that measured too little", "[golden]") {
    GoldenSet set = forty_cases();
    GateCandidate candidate = candidate_of(set);
    GoldenResult none = result_with(set, 30), fewer = none;
    none.tiers[0].scores.assign(40, std::nullopt);
    CHECK(fresh_enough(candidate, none).error().message.find("a score for only 0 of 40 cases") !=
          std::string::npos);
    fewer.cases.clear();
    fewer.tiers[0].scores.clear();
    CHECK(fresh_enough(candidate, fewer).error().message.find("not of all cases") !=
          std::string::npos);
}

TEST_CASE("the gate refuses where too few cases can be compared", "[golden]") {
    GoldenSet set = forty_cases();
    GoldenResult before = result_with(set, 40), now = result_with(set, 0, "m2");
    for (std::size_t i = 0; i < 21; ++i) before.cases[i].id += " renamed";
    Status refused = good_enough(candidate_of(set, "m2"), now, before);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("loses cannot be told: of 40 cases") != std::string::npos);
}

TEST_CASE("the gate refuses a tier that got worse and lets one in that did not", "[golden]") {
    GoldenSet set = forty_cases();
    GateCandidate candidate = candidate_of(set, "m2");
    GoldenResult before = result_with(set, 38), equal = result_with(set, 38, "m2");
    GoldenResult worse = result_with(set, 36, "m2");
    CHECK(good_enough(candidate, equal, before));
    CHECK(good_enough(candidate, result_with(set, 40, "m2"), before));
    Status refused = good_enough(candidate, worse, before);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("tier 'local' loses 5.0 %") != std::string::npos);
    CHECK(refused.error().message.find("2 cases worse, 0 better, of 40") != std::string::npos);
    candidate.tolerance = 0.06;
    CHECK(good_enough(candidate, worse, before));
}

TEST_CASE("the gate refuses a policy that sends cases to a tier that has them wrong", "[golden]") {
    GoldenSet set = forty_cases();
    GoldenResult result = result_with(set, 20);
    MeasuredTier frontier = result.tiers[0];
    frontier.tier = "frontier";
    frontier.scores.assign(40, 1.0);
    result.tiers.push_back(frontier);
    GoldenResult before = result;
    for (std::size_t i = 20; i < 40; ++i) before.cases[i].routed = "frontier";
    GateCandidate candidate{set, {{"local", "m1"}, {"frontier", "m1"}}, {}, 0.02};
    for (const MeasuredCase& one : before.cases) candidate.routed.push_back(one.routed);
    CHECK(good_enough(candidate, result, before));
    candidate.routed[39] = "local";
    Status refused = good_enough(candidate, result, before);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("the policy as a whole loses 2.5 %") != std::string::npos);
    candidate.routed[39] = "";  // refused by a rule: wrong, too
    CHECK_FALSE(good_enough(candidate, result, before));
}

TEST_CASE("cases that changed between two results are not compared", "[golden]") {
    GoldenSet set = forty_cases();
    GoldenResult before = result_with(set, 40), now = result_with(set, 30, "m2");
    for (std::size_t i = 30; i < 40; ++i) before.cases[i].digest = "another";
    CHECK(good_enough(candidate_of(set, "m2"), now, before));
    for (MeasuredCase& one : before.cases) one.scorer = "judge_compare";
    CHECK(good_enough(candidate_of(set, "m2"), result_with(set, 0, "m2"), before));
}
