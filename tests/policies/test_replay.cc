// A candidate policy over recorded requests: what stays, what moves, what is said to be missing.
#include "policies/replay.h"

#include "policies/correction.h"
#include "policies/replay_figures.h"

#include "tests/policies/fakes.h"

namespace sluice {
namespace {

const std::string tiers = "version: 1\ntiers: {local: [here], frontier: [far]}\n";
const std::string split = "default: {bands: [{below: 0.5, tier: local}, {tier: frontier}]}\n";

// Requests of two teams, half of them easy, recorded under a policy that splits at 0.5.
struct Record {
    std::vector<Upstream> upstreams = {fake_upstream("here", 1), fake_upstream("far", 10)};
    Caller search{"acme", "search", "k1", ""}, legal{"acme", "legal", "k2", ""};

    ReplayReport run(const std::string& yaml, int count = 400, bool with_record = true,
                     const Labels& labels = {}, bool rated = true) {
        return run(yaml, count, with_record, labels, rated, {}, 0);
    }

    // Every third has no features on record; the others were scored by `classifier`.
    ReplayReport run(const std::string& yaml, int count, bool with_record, const Labels& labels,
                     bool rated, ReplayScoring scoring, std::uint32_t classifier) {
        Policy policy = policy_of(tiers + yaml, {"here", "far"});
        Replay replay(policy, upstreams, {}, scoring);
        for (int i = 0; i < count; ++i) {
            bool hard = i % 2 == 1;
            DecisionRecord decision;
            decision.input_tokens = 1'000;
            decision.expected_output_tokens = 100;
            decision.gain = hard ? 0.5F : 0.1F;
            if (rated) decision.ok_frontier = hard ? 0.7F : 0.9F;
            if (hard) decision.domain = Domain::maths;
            OnlineFeatures features;
            features.app = 3;
            features.prior = {hard ? -1.38629F : 1.38629F, 1.0F};  // 0.2 and 0.8
            bool kept = classifier != 0 && i % 3 != 0;
            RecordBytes bytes =
                write_record(decision, labels, kept ? &features : nullptr, classifier);
            std::string cluster = "s" + std::to_string(i);
            RecordedRequest one;
            one.caller = i % 4 < 2 ? &search : &legal;
            one.model_asked = "auto";
            one.cluster = cluster;
            one.tier = hard ? "frontier" : "local";
            one.upstream = hard ? "far" : "here";
            if (with_record) one.decision = bytes.view();
            one.answered = true;
            one.difficulty = hard ? 0.8 : 0.2;
            one.usage.in_uncached = 1'000;
            one.usage.out_text = hard ? 300 : 150;  // frontier writes twice as much as local
            one.cost = cost_of(one.usage, upstreams[hard ? 1 : 0].price);
            one.first_token_us = hard ? 1'000'000 : 100'000;
            one.duration_us = one.first_token_us + (one.usage.out_text - 1) * 10'000;
            replay.add(one);
        }
        return replay.finish();
    }
};

const ReplayLine& line(const std::vector<ReplayLine>& lines, const std::string& name) {
    for (const ReplayLine& one : lines)
        if (one.name == name) return one;
    FAIL("no line " << name);
    throw std::logic_error("unreachable");
}

}  // namespace

TEST_CASE("requests are scored anew by what was learned, where their features are on record",
          "[replay]") {
    Record record;
    OnlineWeights learned;  // that app's requests fail on the local tier
    learned.of[0].assign(learned_count, 0);
    learned.of[0][2 + 3] = -5;
    ReplayReport report = record.run(split, 300, true, {}, true, {7, &learned}, 7);
    CHECK(report.requests == 300);
    CHECK(report.rescored == 200);
    CHECK(report.moved == 100);  // the easy two thirds of a half
    REQUIRE(report.notes.size() == 1);
    CHECK_THAT(report.notes[0], Catch::StartsWith("100 requests have no features on record"));

    ReplayReport prior = record.run(split, 300, true, {}, true, {7, nullptr}, 7);
    CHECK(prior.rescored == 200);
    CHECK(prior.moved == 0);
    ReplayReport other = record.run(split, 300, true, {}, true, {7, &learned}, 8);
    CHECK(other.rescored == 0);
    CHECK(other.moved == 0);
    REQUIRE(other.notes.size() == 2);
    CHECK_THAT(other.notes[1], Catch::StartsWith("200 requests were scored by another classifier"));
    ReplayReport as_recorded = record.run(split, 300, true, {}, true, {}, 7);
    CHECK(as_recorded.rescored == 0);
    CHECK(as_recorded.notes.empty());
}

TEST_CASE("a correction of its time is taken off before what is learned now is put on",
          "[replay]") {
    OnlineFeatures kept;
    Difficulty shipped;
    shipped.score = 0.4;
    shipped.ok_frontier = 0.9;
    shipped.gain = 0.35;
    keep_prior(shipped, kept);
    OnlineWeights then, now;
    then.of[0].assign(learned_count, 0);
    then.of[0][0] = 1;
    now.of[0].assign(learned_count, 0);
    now.of[0][0] = -1;
    Difficulty recorded = shipped, direct = shipped;
    correct(recorded, &then, kept);
    correct(direct, &now, kept);
    REQUIRE(recorded.score < 0.3);
    correct_anew(recorded, &now, kept);
    CHECK(recorded.score == Approx(direct.score).margin(1e-6));
    CHECK(recorded.gain == Approx(direct.gain).margin(1e-6));
    CHECK(recorded.ok_frontier == Approx(direct.ok_frontier).margin(1e-6));
    correct_anew(recorded, nullptr, kept);
    CHECK(recorded.score == Approx(0.4).margin(1e-6));
    CHECK(recorded.gain == Approx(0.35).margin(1e-6));
}

TEST_CASE("the policy that was recorded costs what was recorded", "[replay]") {
    Record record;
    ReplayReport report = record.run(split);
    CHECK(report.requests == 400);
    CHECK(report.moved == 0);
    CHECK(report.total.recorded == report.total.would);
    CHECK(report.total.change.low == 0);
    CHECK(report.total.change.high == 0);
    CHECK(report.recorded_seconds == Approx(report.new_seconds));
    CHECK(report.notes.empty());
    // local 200 x (1,000 x 1 + 150 x 2), frontier 200 x (1,000 x 10 + 300 x 20) millionths
    CHECK(sum_text(line(report.tiers, "local").recorded) == "0.26");
    CHECK(sum_text(line(report.tiers, "frontier").recorded) == "3.2");
    CHECK(line(report.teams, "search").recorded_requests == 200);
}

TEST_CASE("a pace is replayed as it was, or as it would have been", "[replay]") {
    std::vector<Upstream> upstreams = {fake_upstream("here", 1), fake_upstream("far", 10)};
    Caller caller{"acme", "search", "k1", ""};
    Policy same =
        policy_of(tiers + split + "pace: {tier_share: {frontier: 0.25}}\n", {"here", "far"});
    Policy other =
        policy_of(tiers + split + "pace: {tier_share: {frontier: 0.1}}\n", {"here", "far"});
    Replay was(same, upstreams), would(other, upstreams);
    constexpr int count = 20'000;
    for (int i = 0; i < count; ++i) {
        DecisionRecord decision;
        decision.ok_frontier = 0.9F;
        decision.shift = i % 2 == 0 ? 0.0 : 0.5;  // as if the pace had jumped to and fro
        RecordBytes bytes = write_record(decision, {});
        RecordedRequest one;
        std::string cluster = "s" + std::to_string(i);
        one.caller = &caller;
        one.model_asked = "auto";
        one.cluster = cluster;
        one.policy_version = same.version;
        one.difficulty = (i * 7 % 100 + 0.5) / 100;
        bool far = one.difficulty >= (i % 2 == 0 ? 0.5 : 0.75);
        one.tier = far ? "frontier" : "local";
        one.upstream = far ? "far" : "here";
        one.decision = bytes.view();
        one.answered = true;
        one.usage.in_uncached = 100;
        one.usage.out_text = 100;
        one.cost = cost_of(one.usage, upstreams[far ? 1 : 0].price);
        one.started_unix_ms = 1'795'392'000'000 + std::int64_t{i} * 8'640;  // two days
        was.add(one);
        would.add(one);
    }
    ReplayReport true_to_it = was.finish();
    CHECK(true_to_it.moved == 0);
    CHECK(true_to_it.notes.empty());
    ReplayReport held = would.finish();
    CHECK(line(held.tiers, "frontier").new_requests == Approx(0.1 * count).epsilon(0.15));
    auto told = [](const std::string& note) {
        return note.starts_with("20000 requests were made under another pace");
    };
    CHECK(std::count_if(held.notes.begin(), held.notes.end(), told) == 1);
}

TEST_CASE("requests that move are priced at their new tier, with its habits", "[replay]") {
    Record record;
    ReplayReport report = record.run("default: {bands: [{tier: local}]}\n");
    CHECK(report.moved == 200);
    REQUIRE(report.moves.size() == 1);
    CHECK(report.moves[0].from == "frontier");
    CHECK(report.moves[0].to == "local");
    // Each: 1,000 in and 300 x 1.5 / 3 = 150 out, at local's price: 0.0013 in place of 0.016.
    CHECK(sum_text(report.total.would) == "0.52");
    CHECK(sum_text(report.moves[0].change) == "-2.94");
    CHECK(report.total.change.low < PicoSum{-2} * pico_per_usd);
    CHECK(report.total.change.high < 0);
    CHECK(report.total.change.low < report.total.would - report.total.recorded);
    CHECK(report.total.change.high > report.total.would - report.total.recorded);
    CHECK(report.new_seconds < report.recorded_seconds);
    // Easy ones 0.8 on local; hard ones 0.2 + 0.5 on frontier, 0.2 on local.
    CHECK(report.recorded_ok == Approx((0.8 + 0.7) / 2));
    CHECK(report.new_ok == Approx((0.8 + 0.2) / 2));
}

TEST_CASE("another upstream of the same tier is priced, the tier does not change", "[replay]") {
    Record record;
    const std::string swapped = "version: 1\ntiers: {local: [far], frontier: [here]}\n";
    Policy policy = policy_of(swapped + split, {"here", "far"});
    auto run = [&](const std::string& version) {
        Replay replay(policy, record.upstreams);
        for (int i = 0; i < 10; ++i) {
            RecordedRequest one;
            one.caller = &record.search;
            one.model_asked = "auto";
            one.policy_version = version;
            one.tier = "local";
            one.upstream = "here";
            one.answered = true;
            one.difficulty = 0.2;
            one.usage.in_uncached = 1'000;
            one.cost = cost_of(one.usage, record.upstreams[0].price);
            replay.add(one);
        }
        return replay.finish();
    };
    ReplayReport report = run("before");
    CHECK(report.moved == 0);
    CHECK(report.total.would == 10 * report.total.recorded);
    REQUIRE(report.moves.size() == 1);
    CHECK(report.moves[0].to == "local (another upstream)");
    CHECK(report.moves[0].change == report.total.would - report.total.recorded);
    CHECK(report.recorded_seconds == report.new_seconds);
    // By the policy that decided it, it was a fallback.
    CHECK(run(policy.version).total.would == report.total.recorded);
}

TEST_CASE("another tier with the same upstream changes where, not what", "[replay]") {
    Record record;
    Policy policy = policy_of(
        "version: 1\ntiers: {local: [far], frontier: [here]}\n"
        "default: {bands: [{tier: frontier}]}\n",
        {"here", "far"});
    Replay replay(policy, record.upstreams);
    RecordedRequest one;
    one.caller = &record.search;
    one.model_asked = "auto";
    one.tier = "local";
    one.upstream = "here";
    one.answered = true;
    one.usage.in_uncached = 1'000;
    one.cost = cost_of(one.usage, record.upstreams[0].price);
    replay.add(one);
    ReplayReport report = replay.finish();
    CHECK(report.moved == 1);
    CHECK(report.total.would == report.total.recorded);
    REQUIRE(report.moves.size() == 1);
    CHECK(report.moves[0].change == 0);
}

TEST_CASE("refused requests cost nothing and are counted", "[replay]") {
    Record record;
    ReplayReport report =
        record.run(split + "rules: [{name: no, when: {team: legal}, refuse: 'no'}]\n");
    CHECK(report.refused == 200);
    CHECK(line(report.teams, "legal").new_requests == 0);
    CHECK(line(report.teams, "legal").would == 0);
    PicoSum saved = 0;
    for (const ReplayMove& move : report.moves) saved += move.change;
    CHECK(saved == report.total.would - report.total.recorded);
    CHECK(report.new_ok < report.recorded_ok - 0.3);  // nobody is answered rightly by a refusal
    CHECK_THAT(report.notes.back(), Catch::Contains("200 requests are refused"));
    CHECK(line(report.teams, "search").would == line(report.teams, "search").recorded);
}

TEST_CASE("rules see the recorded labels and figures", "[replay]") {
    Record record;
    Labels labels;
    labels.tags["app"] = "chat";
    labels.data_class = "public";
    std::string rule = split +
                       "rules: [{name: r, when: {app: chat, data_class: public, input_tokens: "
                       "{min: 1000, below: 1001}, turns: {below: 2}}, use: frontier}]\n";
    CHECK(record.run(rule, 400, true, labels).moved == 200);
    CHECK(record.run(rule).moved == 0);
}

TEST_CASE("a ledger without decisions says what is missing and what was used", "[replay]") {
    Record record;
    ReplayReport report =
        record.run(split + "rules: [{name: r, when: {app: chat}, use: frontier}]\n", 400, false);
    CHECK(report.moved == 0);
    REQUIRE(report.notes.size() == 1);
    CHECK_THAT(report.notes[0], Catch::StartsWith("400 requests have no decision record") &&
                                    Catch::Contains("their input tokens are as billed"));
}

TEST_CASE("rules see the recorded kind of text; where the odds are missing it is said",
          "[replay]") {
    std::string rule = "rules: [{name: sums, when: {domain: maths}, use: local}]\n";
    Record record;
    ReplayReport report = record.run(split + rule);
    CHECK(report.moved == 200);
    CHECK(report.new_ok == Approx(0.5));  // of 0.8 and 0.2
    CHECK(report.notes.empty());
    ReplayReport before = record.run(split + rule, 400, true, {}, false);
    CHECK(before.recorded_ok == Approx(report.recorded_ok));  // 1 - difficulty + gain
    REQUIRE(before.notes.size() == 1);
    CHECK_THAT(before.notes[0], Catch::StartsWith("400 requests were recorded before"));
}

TEST_CASE("what nobody looked for when it was recorded is said", "[replay]") {
    Record record;
    ReplayReport report = record.run(split +
                                     "rules: [{name: r, when: {pii: true}, use: local}, {name: l, "
                                     "when: {language: de}, use: local}]\n");
    REQUIRE(report.notes.size() == 2);
    CHECK_THAT(report.notes[0], Catch::Contains("were not looked through for personal data"));
    CHECK_THAT(report.notes[1], Catch::Contains("have no recorded language"));
}

TEST_CASE("few answers of a tier are not taken for its habits", "[replay]") {
    Record record;
    ReplayReport report = record.run("default: {bands: [{tier: local}]}\n", 20);
    REQUIRE(report.notes.size() == 2);
    CHECK_THAT(report.notes[0], Catch::Contains("10 requests move to or from a tier with too few"));
}

TEST_CASE("requests without an answer are left out", "[replay]") {
    Policy policy = policy_of(tiers + split, {"here", "far"});
    Record record;
    Replay replay(policy, {record.upstreams[0]});
    RecordedRequest one;
    one.caller = &record.search;
    replay.add(one);
    ReplayReport report = replay.finish();
    CHECK(report.requests == 0);
    CHECK(report.unanswered == 1);
    CHECK(report.notes == std::vector<std::string>{"without a known price, and so left out: far"});
}

TEST_CASE("who changes tier is told by team and by the rule that sends them there", "[replay]") {
    Record record;
    ReplayReport report = record.run(
        split +
        "rules: [{name: to far, when: {team: legal, difficulty: {below: 0.5}}, use: frontier},"
        " {name: no, when: {team: search, difficulty: {min: 0.5}}, refuse: no}]\n");
    REQUIRE(report.moves.size() == 2);
    for (const ReplayMove& move : report.moves) {
        REQUIRE(move.movers.size() == 1);
        CHECK(move.others == 0);
        CHECK(move.movers[0].requests == move.requests);
        CHECK(move.movers[0].change == move.change);
        CHECK(move.movers[0].team == (move.to.empty() ? "search" : "legal"));
        CHECK(move.movers[0].rule == (move.to.empty() ? "" : "to far"));
        CHECK(move.requests == 100);
    }
}

TEST_CASE("movers beyond ten are summed up in one", "[replay]") {
    ReplayMove move;
    for (int i = 0; i < 14; ++i) move.movers.push_back({"t" + std::to_string(i), "r", i, i * 2});
    order_movers(move);
    REQUIRE(move.movers.size() == movers_max + 1);
    CHECK(move.movers[0].team == "t13");
    CHECK(move.movers.back().team == "");
    CHECK(move.movers.back().requests == 0 + 1 + 2 + 3);
    CHECK(move.movers.back().change == 12);
    CHECK(move.others == 4);
}

}  // namespace sluice
