// An answer that only the ledger knows still.
#include <catch2/catch.hpp>

#include "gateway/learning/past_answer.h"
#include "ledger_folder.h"

namespace sluice {
namespace {

const Caller alice{"acme", "search", "key-a", "", false};

LedgerEntry answered(const std::string& id, bool answered_it = true) {
    LedgerEntry entry = entry_of(1);
    entry.request_id = id;
    entry.caller = alice;
    entry.tier = "open";
    entry.answered = answered_it;
    DecisionRecord record;
    record.propensity = 0.25;
    entry.decision = write_record(record, {});
    return entry;
}

std::optional<PastAnswer> found(const LedgerFolder& folder, const Caller& caller,
                                const std::string& id, std::int64_t since = 0) {
    auto answer = find_past_answer(folder.options().url, caller, id, since);
    INFO((answer ? "" : answer.error().message));
    REQUIRE(answer);
    return *answer;
}

}  // namespace

TEST_CASE("an answer is found by its request and owner, with what was drawn", "[past_answer]") {
    LedgerFolder folder;
    auto store = SqliteStore::open(folder.options().url.substr(7));
    REQUIRE(store);
    LedgerEntry one = answered("r1"), failed = answered("r2", false);
    const LedgerEntry* rows[] = {&one, &failed};
    REQUIRE((*store)->write(rows));
    auto answer = found(folder, alice, "r1");
    REQUIRE(answer);
    CHECK(answer->tier == "open");
    CHECK(answer->propensity == Approx(0.25));
    CHECK_FALSE(answer->rated);
    Caller colleague = alice, other = alice, foreign = alice;
    colleague.key_id = "key-b";
    other.team = "legal";
    foreign.org = "elsewhere";
    CHECK(found(folder, colleague, "r1"));
    CHECK_FALSE(found(folder, other, "r1"));
    CHECK_FALSE(found(folder, foreign, "r1"));
    CHECK_FALSE(found(folder, alice, "r2"));
    CHECK_FALSE(found(folder, alice, "r3"));
    CHECK_FALSE(found(folder, alice, "r1", one.started_unix_ms + 60'000));
}

TEST_CASE("a word that is on record already is told", "[past_answer]") {
    LedgerFolder folder;
    auto store = SqliteStore::open(folder.options().url.substr(7));
    REQUIRE(store);
    LedgerEntry one = answered("r1");
    const LedgerEntry* rows[] = {&one};
    Outcome schema, thumb;
    schema.request_id = thumb.request_id = "r1";
    schema.caller = thumb.caller = alice;
    schema.kind = "schema";
    thumb.kind = "thumb";
    const Outcome* noticed[] = {&schema};
    const Outcome* said[] = {&thumb};
    REQUIRE((*store)->write(rows, noticed));
    CHECK_FALSE(found(folder, alice, "r1")->rated);
    REQUIRE((*store)->write({}, said));
    CHECK(found(folder, alice, "r1")->rated);
}

}  // namespace sluice
