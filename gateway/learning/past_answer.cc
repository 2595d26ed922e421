#include "gateway/learning/past_answer.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "gateway/stores/ledger_schema.h"
#include "gateway/stores/sqlite.h"
#include "gateway/within.h"
#include "policies/decision_record.h"

namespace sluice {
namespace {

constexpr int ops_at_a_time = 1'000'000;  // of SQLite's machine, some eight a row
constexpr int times_max = 16;
constexpr auto wait_max = std::chrono::seconds(5);
constexpr std::int64_t rest_times = 20;
constexpr std::int64_t days_back = 30;

using Found = Result<std::optional<PastAnswer>>;

std::int64_t steady_ms() {
    auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

net::awaitable<Found> look(std::string ledger_url, Caller caller, std::string request_id) {
    auto now = std::chrono::system_clock::now() - std::chrono::hours(24 * days_back);
    auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
    co_return find_past_answer(ledger_url, caller, request_id, since.count());
}

constexpr const char* answer_sql =
    "SELECT k.tier, e.decision FROM entries e CROSS JOIN kinds k ON k.id = e.kind "
    "WHERE e.id >= ?1 * 1000 AND e.request_id = ?2 AND k.answered = 1 AND k.org = ?3 "
    "AND k.team = ?4 ORDER BY e.id DESC LIMIT 1";
constexpr const char* rated_sql =
    "SELECT 1 FROM outcomes WHERE request_id = ?1 AND org = ?2 AND team = ?3 "
    "AND kind IN ('thumb', 'score', 'label') LIMIT 1";

int enough(void* left) { return --*static_cast<int*>(left) < 0 ? 1 : 0; }

void bind_text(sqlite3_stmt* statement, int at, std::string_view text) {
    sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

Result<SqliteStatement> prepare(sqlite3* database, const std::string& path, const char* sql) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database, sql, -1, &raw, nullptr) != SQLITE_OK)
        return ledger_error(path, database, "cannot read");
    return SqliteStatement(raw);
}

// Of its first attempt, where the answer was not: 1, as for a fallback.
double propensity_of(sqlite3_stmt* row) {
    DecisionRecord record;
    Labels labels;
    auto* bytes = static_cast<const char*>(sqlite3_column_blob(row, 1));
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(row, 1));
    bool known = bytes != nullptr && read_record({bytes, size}, record, labels);
    return known ? record.propensity : 1;
}

}  // namespace

Result<std::optional<PastAnswer>> find_past_answer(const std::string& ledger_url,
                                                   const Caller& caller,
                                                   std::string_view request_id,
                                                   std::int64_t since_unix_ms) {
    auto path = sqlite_path(ledger_url);
    if (!path) return path.error();
    auto database = open_ledger_to_read(*path);
    if (!database) return database.error();
    int left = times_max;
    sqlite3_progress_handler(database->get(), ops_at_a_time, enough, &left);
    auto answer = prepare(database->get(), *path, answer_sql);
    if (!answer) return answer.error();
    sqlite3_bind_int64(answer->get(), 1, since_unix_ms);
    bind_text(answer->get(), 2, request_id);
    bind_text(answer->get(), 3, caller.org);
    bind_text(answer->get(), 4, caller.team);
    int stepped = sqlite3_step(answer->get());
    if (stepped == SQLITE_DONE || stepped == SQLITE_INTERRUPT) return std::optional<PastAnswer>();
    if (stepped != SQLITE_ROW) return ledger_error(*path, database->get(), "cannot read");
    PastAnswer out;
    out.tier = reinterpret_cast<const char*>(sqlite3_column_text(answer->get(), 0));
    out.propensity = propensity_of(answer->get());
    auto rated = prepare(database->get(), *path, rated_sql);
    if (!rated) return rated.error();
    bind_text(rated->get(), 1, request_id);
    bind_text(rated->get(), 2, caller.org);
    bind_text(rated->get(), 3, caller.team);
    out.rated = sqlite3_step(rated->get()) == SQLITE_ROW;
    return std::optional<PastAnswer>(std::move(out));
}

void PastAnswers::begin(net::any_io_executor executor, std::string ledger_url) {
    executor_ = std::move(executor);
    ledger_url_ = std::move(ledger_url);
}

void PastAnswers::end() { ended_.store(true); }

// Nobody else has one until this look's rest is over; a look that never ends keeps it wait_max.
bool PastAnswers::take_turn() {
    if (ended_.load()) return false;
    std::int64_t now = steady_ms(), until = rests_until_ms_.load();
    std::int64_t taken = now + std::chrono::milliseconds(wait_max).count();
    return now >= until && rests_until_ms_.compare_exchange_strong(until, taken);
}

net::awaitable<Found> PastAnswers::find(const Caller& caller, const std::string& request_id) {
    if (!executor_) co_return std::optional<PastAnswer>();
    if (!take_turn())
        co_return Error(Errc::overloaded,
                        "this answer is no longer remembered, and the ledger was looked through "
                        "for another one just now: try again in some seconds");
    std::int64_t began = steady_ms();
    auto work = look(ledger_url_, caller, request_id);
    auto spawned = net::co_spawn(executor_, std::move(work), net::use_awaitable);
    auto found = co_await within(wait_max, std::move(spawned));
    std::int64_t ended = steady_ms();
    rests_until_ms_.store(ended + rest_times * (ended - began));
    co_return found;
}

}  // namespace sluice
