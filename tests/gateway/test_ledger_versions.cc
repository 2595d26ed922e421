// Ledgers of older and newer versions; what is kept of a request's decision.
#include "gateway/stores/recorded.h"
#include "tests/gateway/ledger_folder.h"

namespace sluice {
namespace {

// The first version's table, with three rows of two kinds.
constexpr const char* version_1 = R"(
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  started_unix_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL, attempt INTEGER NOT NULL, answered INTEGER NOT NULL,
  org TEXT NOT NULL, team TEXT NOT NULL, key_id TEXT NOT NULL, user TEXT NOT NULL,
  session_id TEXT NOT NULL, dialect TEXT NOT NULL, model_asked TEXT NOT NULL,
  tier TEXT NOT NULL, upstream TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL,
  rule TEXT NOT NULL, policy_version TEXT NOT NULL, difficulty REAL NOT NULL,
  stream INTEGER NOT NULL, outcome TEXT NOT NULL, http_status INTEGER NOT NULL,
  in_uncached INTEGER NOT NULL, in_cache_read INTEGER NOT NULL,
  in_cache_write INTEGER NOT NULL, in_cache_write_1h INTEGER NOT NULL,
  out_text INTEGER NOT NULL, out_reasoning INTEGER NOT NULL, usage_estimated INTEGER NOT NULL,
  cost_pico_usd INTEGER NOT NULL, baseline_pico_usd INTEGER NOT NULL,
  first_token_us INTEGER NOT NULL, duration_us INTEGER NOT NULL, simulated INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_time ON attempts (started_unix_ms);
INSERT INTO attempts VALUES
  (1,1700000000005,'r1',1,1,'','old','','','','','','','','','','','',0.5,0,'ok',200,
   1,2,3,4,5,6,0,50,0,7,8,0),
  (2,1700000000001,'r2',1,1,'','old','','','','','','','','','','','',0.5,0,'ok',200,
   1,2,3,4,6,6,0,60,0,7,8,0),
  (3,1700000000000,'r3',1,1,'','old','','','','','','','','','','x','',0.5,0,'ok',200,
   1,2,3,4,7,6,0,70,0,7,9,0);
PRAGMA user_version=1;
)";

// The second version: the same without decisions.
constexpr const char* version_2 = R"(
CREATE TABLE kinds (
  id INTEGER PRIMARY KEY,
  org TEXT NOT NULL, team TEXT NOT NULL, key_id TEXT NOT NULL, user TEXT NOT NULL,
  dialect TEXT NOT NULL, model_asked TEXT NOT NULL,
  tier TEXT NOT NULL, upstream TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL,
  rule TEXT NOT NULL, policy_version TEXT NOT NULL, outcome TEXT NOT NULL,
  attempt INTEGER NOT NULL, answered INTEGER NOT NULL, stream INTEGER NOT NULL,
  http_status INTEGER NOT NULL, usage_estimated INTEGER NOT NULL, simulated INTEGER NOT NULL,
  UNIQUE (key_id, model_asked, upstream, rule, policy_version, outcome, attempt, answered, stream,
          http_status, usage_estimated, simulated, org, team, user, dialect, tier, vendor, model)
) STRICT;
CREATE TABLE entries (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL REFERENCES kinds (id),
  started_unix_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL, session_id TEXT NOT NULL, difficulty REAL NOT NULL,
  in_uncached INTEGER NOT NULL, in_cache_read INTEGER NOT NULL,
  in_cache_write INTEGER NOT NULL, in_cache_write_1h INTEGER NOT NULL,
  out_text INTEGER NOT NULL, out_reasoning INTEGER NOT NULL,
  cost_pico_usd INTEGER NOT NULL, baseline_pico_usd INTEGER NOT NULL,
  first_token_us INTEGER NOT NULL, duration_us INTEGER NOT NULL
) STRICT;
CREATE VIEW attempts AS
SELECT e.id, started_unix_ms, request_id, attempt, answered, org, team, key_id, user, session_id,
  dialect, model_asked, tier, upstream, vendor, model, rule, policy_version, difficulty, stream,
  outcome, http_status, in_uncached, in_cache_read, in_cache_write, in_cache_write_1h, out_text,
  out_reasoning, usage_estimated, cost_pico_usd, baseline_pico_usd, first_token_us, duration_us,
  simulated
FROM entries e CROSS JOIN kinds k ON k.id = e.kind;
INSERT INTO kinds VALUES (1,'','old','','','','','','','','','','','ok',1,1,0,200,0,0);
INSERT INTO entries VALUES
  (1700000000000000,1,1700000000000,'r1','',0.5,1,2,3,4,5,6,50,0,7,8);
PRAGMA user_version=2;
)";

}  // namespace

TEST_CASE("a ledger of the first version is refused to readers and brought up to date",
          "[ledger]") {
    LedgerFolder folder;
    folder.make(version_1);
    CHECK(folder.refusal().message.find("has schema version 1, this program reads version 4; "
                                        "`sluice serve` brings it up to date") !=
          std::string::npos);
    auto ledger = Ledger::open(folder.options());
    INFO((ledger ? "" : ledger.error().message));
    REQUIRE(ledger);
    CHECK(append_many(**ledger, 0, 2) == 2);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 5);
    CHECK(folder.number("SELECT COUNT(*) FROM kinds") == 3);
    CHECK(folder.number("SELECT SUM(cost_pico_usd * out_text) FROM attempts WHERE team = 'old'") ==
          5 * 50 + 6 * 60 + 7 * 70);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE request_id = 'r3' AND rule = 'x' AND "
                        "started_unix_ms = 1700000000000 AND duration_us = 9") == 1);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE id < started_unix_ms * 1000") == 0);
}

TEST_CASE("a ledger of the second version is read, and gets its decisions when it is opened",
          "[ledger]") {
    LedgerFolder folder;
    folder.make(version_2);
    {
        auto database = open_ledger_to_read(folder.options().url.substr(7));
        REQUIRE(database);
        int read = 0;
        Status all = each_recorded(database->get(), "x", 0, [&](const RecordedRequest& one) {
            ++read;
            CHECK(one.decision.empty());
            CHECK(one.caller->team == "old");
            CHECK(one.usage.in_cache_write == 3 + 4);
            CHECK(one.usage.output() == 11);
        });
        CHECK(all);
        CHECK(read == 1);
    }
    auto ledger = Ledger::open(folder.options());
    INFO((ledger ? "" : ledger.error().message));
    REQUIRE(ledger);
    CHECK(append_many(**ledger, 0, 2) == 2);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE decision = x''") == 3);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE request_id = 'r1' AND team = 'old' "
                        "AND duration_us = 8") == 1);
    CHECK(folder.number("PRAGMA user_version") == 4);
}

TEST_CASE("outcomes are kept beside the attempts, one a request, key and kind", "[ledger]") {
    LedgerFolder folder;
    folder.make(version_2);
    auto ledger = Ledger::open(folder.options());
    REQUIRE(ledger);
    Outcome outcome;
    outcome.at_unix_ms = 1'800'000'000'000;
    outcome.request_id = "req_1";
    outcome.caller.team = "search";
    outcome.caller.key_id = "bot";
    outcome.tier = "local";
    outcome.kind = "thumb";
    outcome.score = 1;
    outcome.propensity = 0.99;
    outcome.learned = true;
    CHECK(append_outcome(**ledger, outcome));
    outcome.score = 0;  // too late: the first counts
    CHECK(append_outcome(**ledger, outcome));
    outcome.kind = "schema";
    CHECK(append_outcome(**ledger, outcome));
    CHECK(append_many(**ledger, 0, 2) == 2);
    CHECK(folder.number("SELECT COUNT(*) FROM outcomes") == 2);
    CHECK(folder.number("SELECT COUNT(*) FROM outcomes WHERE kind = 'thumb' AND score = 1 AND "
                        "team = 'search' AND propensity = 0.99 AND learned = 1") == 1);
    CHECK((*ledger)->queued() == 0);
}

TEST_CASE("a request's decision is kept with its first attempt and read back", "[ledger]") {
    LedgerFolder folder;
    auto ledger = Ledger::open(folder.options());
    REQUIRE(ledger);
    std::vector<LedgerEntry> entries = {entry_of(1), entry_of(1), entry_of(2)};
    Labels labels;
    labels.tags["app"] = "search";
    DecisionRecord record;
    record.input_tokens = 1'234;
    entries[0].decision = write_record(record, labels);
    entries[0].answered = false;
    entries[1].attempt = 2;
    CHECK(append_all(**ledger, std::move(entries)));
    auto database = open_ledger_to_read(folder.options().url.substr(7));
    REQUIRE(database);
    std::vector<std::string> seen;
    Status read = each_recorded(database->get(), "x", 0, [&](const RecordedRequest& one) {
        DecisionRecord back;
        Labels with;
        bool has = read_record(one.decision, back, with);
        seen.push_back((has ? std::to_string(back.input_tokens) + with.tags["app"] : "none") +
                       (one.answered ? " answered " : " ") + usd_text(one.cost) + " " +
                       std::string(one.cluster));
    });
    CHECK(read);
    CHECK(seen == std::vector<std::string>{"1234search answered 2.000000000002 req_1",
                                           "none answered 1.000000000002 req_2"});
}

TEST_CASE("a ledger of a later version is refused", "[ledger]") {
    LedgerFolder folder;
    folder.make("CREATE TABLE attempts (id INTEGER); PRAGMA user_version=5");
    auto refused = Ledger::open(folder.options());
    REQUIRE(!refused);
    CHECK(refused.error().message.find("has schema version 5, this program reads version 4") !=
          std::string::npos);
    CHECK(refused.error().message.find("sluice serve") == std::string::npos);
}

}  // namespace sluice
