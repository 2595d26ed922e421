// A request's rows lie together, its attempts counted from 1: they were written in one piece. What
// repeats is in `kinds`, which is read into memory first: that is most of a row's text.
#include "gateway/stores/recorded.h"

#include <unordered_map>

#include "gateway/stores/ledger_schema.h"

namespace sluice {
namespace {

struct Kind {
    Caller caller;
    std::string model_asked, tier, upstream, vendor, model, policy_version;
    std::int64_t attempt = 1;
    bool answered = false;
};

Result<SqliteStatement> prepare(sqlite3* database, const std::string& path,
                                const std::string& sql) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database, sql.c_str(), -1, &raw, nullptr) != SQLITE_OK)
        return ledger_error(path, database, "cannot read");
    return SqliteStatement(raw);
}

std::string_view text_at(sqlite3_stmt* row, int column) {
    auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
    return text == nullptr ? std::string_view()
                           : std::string_view(
                                 text, static_cast<std::size_t>(sqlite3_column_bytes(row, column)));
}

Result<std::unordered_map<std::int64_t, Kind>> read_kinds(sqlite3* database,
                                                          const std::string& path) {
    auto rows = prepare(database, path,
                        "SELECT id, org, team, key_id, user, model_asked, tier, upstream, vendor, "
                        "model, policy_version, attempt, answered FROM kinds "
                        // What `sluice eval` asked is no traffic.
                        "WHERE NOT (key_id = 'eval' AND rule = 'eval') "
                        // Nor is what is asked in the shadow of a request.
                        "AND NOT (key_id = 'shadow' AND rule = 'shadow')");
    if (!rows) return rows.error();
    std::unordered_map<std::int64_t, Kind> kinds;
    int stepped = SQLITE_ROW;
    while ((stepped = sqlite3_step(rows->get())) == SQLITE_ROW) {
        Kind& kind = kinds[sqlite3_column_int64(rows->get(), 0)];
        int at = 1;
        for (std::string* text : {&kind.caller.org, &kind.caller.team, &kind.caller.key_id,
                                  &kind.caller.user, &kind.model_asked, &kind.tier, &kind.upstream,
                                  &kind.vendor, &kind.model, &kind.policy_version})
            *text = text_at(rows->get(), at++);
        kind.attempt = sqlite3_column_int64(rows->get(), at++);
        kind.answered = sqlite3_column_int64(rows->get(), at) != 0;
    }
    if (stepped != SQLITE_DONE) return ledger_error(path, database, "cannot read");
    return kinds;
}

// Gathers the rows of one request.
class Gathered {
public:
    explicit Gathered(const std::function<void(const RecordedRequest&)>& each) : each_(each) {}

    void row(sqlite3_stmt* row, const Kind& kind, bool has_decision) {
        if (kind.attempt <= 1) {
            flush();
            request_ = RecordedRequest();
            request_.tier = kind.tier;
            request_.caller = &kind.caller;
            request_.model_asked = kind.model_asked;
            request_.policy_version = kind.policy_version;
            open_ = true;
            cluster_ = text_at(row, 12);
            if (cluster_.empty()) cluster_ = text_at(row, 11);
            const void* blob = has_decision ? sqlite3_column_blob(row, 13) : nullptr;
            auto size = has_decision ? static_cast<std::size_t>(sqlite3_column_bytes(row, 13)) : 0;
            decision_.assign(blob == nullptr ? "" : static_cast<const char*>(blob),
                             blob == nullptr ? 0 : size);
            request_.started_unix_ms = sqlite3_column_int64(row, 1);
            request_.difficulty = sqlite3_column_double(row, 2);
        }
        request_.cost += Money{sqlite3_column_int64(row, 8)};
        if (!kind.answered) return;
        request_.answered = true;
        request_.upstream = kind.upstream;
        Usage& usage = request_.usage;
        int at = 3;
        for (std::int64_t* count : {&usage.in_uncached, &usage.in_cache_read, &usage.in_cache_write,
                                    &usage.out_text, &usage.out_reasoning})
            *count = sqlite3_column_int64(row, at++);
        // On record it is from the request's arrival; of a first attempt that is nearly the same.
        if (kind.attempt <= 1) request_.first_token_us = sqlite3_column_int64(row, 9);
        request_.duration_us = sqlite3_column_int64(row, 10);
    }

    void flush() {
        if (!open_) return;
        request_.cluster = cluster_;
        request_.decision = decision_;
        each_(request_);
        open_ = false;
    }

private:
    const std::function<void(const RecordedRequest&)>& each_;
    RecordedRequest request_;
    std::string cluster_, decision_;  // a row's texts go with its step
    bool open_ = false;
};

}  // namespace

// Summed here: SQLite would sort a million rows to group them.
Result<RecordedSpan> recorded_span(sqlite3* database, const std::string& path,
                                   std::int64_t since_unix_ms) {
    auto kinds = read_kinds(database, path);
    if (!kinds) return kinds.error();
    auto rows = prepare(database, path,
                        "SELECT kind, cost_pico_usd, out_text + out_reasoning FROM entries "
                        "WHERE id >= ?1 * 1000 AND started_unix_ms >= ?1");
    if (!rows) return rows.error();
    sqlite3_bind_int64(rows->get(), 1, since_unix_ms);
    RecordedSpan span;
    std::unordered_map<std::int64_t, std::pair<PicoSum, std::int64_t>> sums;
    int stepped = SQLITE_ROW;
    while ((stepped = sqlite3_step(rows->get())) == SQLITE_ROW) {
        auto& [cost, tokens] = sums[sqlite3_column_int64(rows->get(), 0)];
        cost += sqlite3_column_int64(rows->get(), 1);
        tokens += sqlite3_column_int64(rows->get(), 2);
        ++span.rows;
    }
    if (stepped != SQLITE_DONE) return ledger_error(path, database, "cannot read");
    for (const auto& [id, sum] : sums) {
        auto kind = kinds->find(id);
        if (kind == kinds->end()) continue;
        RecordedUpstream& one = span.upstreams[kind->second.upstream];
        one.vendor = kind->second.vendor;
        one.model = kind->second.model;
        one.cost += sum.first;
        one.output_tokens += sum.second;
    }
    return span;
}

Status each_recorded(sqlite3* database, const std::string& path, std::int64_t since_unix_ms,
                     const std::function<void(const RecordedRequest&)>& each) {
    auto kinds = read_kinds(database, path);
    if (!kinds) return kinds.error();
    bool has_decision = stored_ledger_version(database) >= ledger_version_decisions_min;
    auto rows = prepare(
        database, path,
        std::string("SELECT kind, started_unix_ms, difficulty, in_uncached, in_cache_read, "
                    "in_cache_write + in_cache_write_1h, out_text, out_reasoning, cost_pico_usd, "
                    "first_token_us, duration_us, request_id, session_id") +
            (has_decision ? ", decision" : "") +
            " FROM entries WHERE id >= ?1 * 1000 AND started_unix_ms >= ?1 ORDER BY id");
    if (!rows) return rows.error();
    sqlite3_bind_int64(rows->get(), 1, since_unix_ms);
    Gathered gathered(each);
    int stepped = SQLITE_ROW;
    while ((stepped = sqlite3_step(rows->get())) == SQLITE_ROW) {
        auto kind = kinds->find(sqlite3_column_int64(rows->get(), 0));
        if (kind != kinds->end()) gathered.row(rows->get(), kind->second, has_decision);
    }
    if (stepped != SQLITE_DONE) return ledger_error(path, database, "cannot read");
    gathered.flush();
    return Done{};
}

}  // namespace sluice
