#include "gateway/day_pace.h"

#include <catch2/catch.hpp>

#include "gateway/stores/sqlite.h"
#include "tests/gateway/ledger_folder.h"

using namespace sluice;

namespace {

constexpr std::int64_t noon = 1'795'348'800;  // 2026-11-22T12:00:00Z

Policy policy_with(const std::string& pace) {
    std::vector<Fault> faults;
    Policy policy = read_policy(
        "version: 1\ntiers: {open: [one], frontier: [two]}\ndefault: {bands: [{below: 0.5, tier: "
        "open}, {tier: frontier}]}\n" +
            pace,
        "p.yaml", {}, faults);
    REQUIRE(faults.empty());
    return policy;
}

LedgerEntry answered(std::int64_t unix_seconds, bool frontier, double shift) {
    LedgerEntry entry;
    entry.started_unix_ms = unix_seconds * 1'000;
    entry.request_id = "req_" + std::to_string(unix_seconds);
    entry.answered = true;
    entry.tier = frontier ? "frontier" : "open";
    entry.upstream = frontier ? "two" : "one";
    entry.cost = Money{frontier ? 20'000'000'000 : 1'000'000'000};
    DecisionRecord record;
    record.shift = shift;
    entry.decision = write_record(record, {});
    return entry;
}

}  // namespace

TEST_CASE("a pace goes on from the ledger with the shift of the last decision", "[pace]") {
    LedgerFolder folder;
    const std::string url = folder.options().url;
    auto store = SqliteStore::open(url.substr(7));
    REQUIRE(store);
    std::vector<LedgerEntry> rows;
    for (int i = 0; i < 2'000; ++i)
        rows.push_back(answered(noon - 86'400 + i * 40, i % 2 == 0, i < 1'999 ? 0.1 : 0.25));
    std::vector<const LedgerEntry*> pointers;
    for (const LedgerEntry& row : rows) pointers.push_back(&row);
    REQUIRE((*store)->write(pointers));
    DayPace pace;
    Policy share = policy_with("pace: {tier_share: {frontier: 0.2}}\n");
    REQUIRE(pace.follow(share, url, noon));
    CHECK(pace.shift() == 0.25);
    CHECK(pace.forecast() == Approx(2.5).epsilon(0.1));  // half of them went there
    CHECK(pace.forecast() > 0);
    // The same pace in another version of the policy changes nothing; another begins anew.
    REQUIRE(pace.follow(share, "sqlite:/nowhere/at/all.db", noon));
    CHECK(pace.shift() == 0.25);
    REQUIRE(pace.follow(policy_with("pace: {tier_share: {frontier: 0.2}, raise_max: 0.1}\n"), url,
                        noon));
    CHECK(pace.shift() == 0.1);
    REQUIRE(pace.follow(policy_with(""), url, noon));
    CHECK(pace.shift() == 0);
    LedgerFolder other;
    other.make("CREATE TABLE notes (text)");
    CHECK(!pace.follow(share, other.options().url, noon));
}

TEST_CASE("dollars of requests that got no answer count after a restart, too", "[pace]") {
    Policy spend = policy_with("pace: {spend_usd_per_day: \"10\"}\n");
    auto forecast = [&](bool with_failed) {
        LedgerFolder folder;
        const std::string url = folder.options().url;
        auto store = SqliteStore::open(url.substr(7));
        REQUIRE(store);
        std::vector<LedgerEntry> rows;
        for (int i = 0; i < 720; ++i) {
            LedgerEntry entry = answered(noon - 43'200 + i * 60, false, 0);
            entry.answered = !with_failed || i % 2 == 0;
            rows.push_back(entry);
            if (!with_failed && i % 2 == 1) rows.pop_back();
        }
        std::vector<const LedgerEntry*> pointers;
        for (const LedgerEntry& row : rows) pointers.push_back(&row);
        REQUIRE((*store)->write(pointers));
        DayPace pace;
        REQUIRE(pace.follow(spend, url, noon));
        // One more answer, so that the forecast is made anew.
        pace.count(spend, answered(noon, false, 0));
        pace.move(noon);
        return pace.forecast();
    };
    double answers_only = forecast(false);
    CHECK(answers_only > 0);
    CHECK(forecast(true) > answers_only + 0.03);  // 360 more at a tenth of a cent: 0.36 of 10
}

TEST_CASE("a pace that is made ready and not taken up changes nothing", "[pace]") {
    DayPace pace;
    Policy share = policy_with("pace: {tier_share: {frontier: 0.2}}\n");
    Policy spend = policy_with("pace: {spend_usd_per_day: \"1\"}\n");
    REQUIRE(pace.follow(share, "sqlite:/nowhere/at/all.db", noon));
    for (int i = 0; i < 500; ++i) pace.count(share, answered(noon, true, 0));
    REQUIRE(pace.ready(spend, "sqlite:/nowhere/at/all.db", noon));
    pace.move(noon);
    CHECK(pace.shift() > 0);  // it still follows the share
}

TEST_CASE("what is settled moves the shift, in the units of the pace that is followed", "[pace]") {
    DayPace pace;
    Policy share = policy_with("pace: {tier_share: {frontier: 0.2}}\n");
    Policy spend = policy_with("pace: {spend_usd_per_day: \"1\"}\n");
    REQUIRE(pace.follow(share, "sqlite:/nowhere/at/all.db", noon));
    for (int minute = 0; minute < 20; ++minute) {
        for (int i = 0; i < 50; ++i) {
            // Of five, one goes to the frontier: as wanted, whatever an older request cost.
            pace.count(share, answered(noon, i % 5 == 0, 0));
            pace.count(spend, answered(noon, true, 0));
        }
        pace.move(noon + minute * 60);
    }
    CHECK(pace.shift() < 0.1);
    for (int minute = 20; minute < 40; ++minute) {
        for (int i = 0; i < 50; ++i) pace.count(share, answered(noon, true, 0));
        pace.move(noon + minute * 60);
    }
    CHECK(pace.shift() > 0.3);
    LedgerEntry failed = answered(noon, true, 0);
    failed.answered = false;
    double before = pace.shift();
    pace.count(share, failed);
    pace.move(noon + 41 * 60);
    CHECK(pace.shift() == before);
}
