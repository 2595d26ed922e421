#include "gateway/stores/sqlite.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <filesystem>

#include "engine/log.h"
#include "gateway/stores/ledger_schema.h"

namespace sluice {
namespace {

constexpr int busy_ms = 2'000;
constexpr std::size_t kinds_kept_max = 65'536;  // in memory; then begun anew

constexpr const char* last_id_sql = "SELECT coalesce(max(id), 0) FROM entries";

// Gives the id, of the row that is there already too.
constexpr const char* kind_sql =
    "INSERT INTO kinds (org, team, key_id, user, dialect, model_asked, tier, upstream, vendor, "
    "model, rule, policy_version, outcome, attempt, answered, stream, http_status, "
    "usage_estimated, simulated) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
    "ON CONFLICT DO UPDATE SET org = excluded.org RETURNING id";

constexpr const char* entry_sql =
    "INSERT INTO entries (id, kind, started_unix_ms, request_id, session_id, difficulty, "
    "in_uncached, in_cache_read, in_cache_write, in_cache_write_1h, out_text, out_reasoning, "
    "cost_pico_usd, baseline_pico_usd, first_token_us, duration_us, decision) "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

constexpr const char* outcome_sql =
    "INSERT OR IGNORE INTO outcomes (at_unix_ms, request_id, org, team, key_id, tier, kind, score, "
    "propensity, learned) VALUES (?,?,?,?,?,?,?,?,?,?)";

Status run(sqlite3* database, const std::string& path, const char* sql, const char* doing) {
    if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return Done{};
    return ledger_error(path, database, doing);
}

// Parsed once: done anew for every group, that would cost as much as a row.
bool prepare(sqlite3* database, const char* sql, SqliteStatement& out) {
    sqlite3_stmt* statement = nullptr;
    int prepared =
        sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    out.reset(statement);
    return prepared == SQLITE_OK;
}

// Binds a row's values one after the other.
class Binder {
public:
    explicit Binder(sqlite3_stmt* statement) : statement_(statement) {}
    Binder& operator<<(std::int64_t value) {
        sqlite3_bind_int64(statement_, ++at_, value);
        return *this;
    }
    Binder& operator<<(double value) {
        // NaN would be bound as NULL, which the table refuses: the row would never be written.
        sqlite3_bind_double(statement_, ++at_, std::isnan(value) ? 0.0 : value);
        return *this;
    }
    Binder& operator<<(const std::string& text) {  // the entry outlives the step
        sqlite3_bind_text(statement_, ++at_, text.data(), static_cast<int>(text.size()),
                          SQLITE_STATIC);
        return *this;
    }
    Binder& operator<<(std::string_view bytes) {  // likewise; an empty one is no NULL
        sqlite3_bind_blob(statement_, ++at_, bytes.empty() ? "" : bytes.data(),
                          static_cast<int>(bytes.size()), SQLITE_STATIC);
        return *this;
    }

private:
    sqlite3_stmt* statement_;
    int at_ = 0;
};

// The texts and numbers of an entry's kind, in the order of kind_sql.
constexpr std::size_t kind_columns = 19;
template <class Texts, class Numbers>
void each_of_kind(const LedgerEntry& e, Texts&& text, Numbers&& number) {
    for (const std::string* one : {&e.caller.org, &e.caller.team, &e.caller.key_id, &e.caller.user,
                                   &e.dialect, &e.model_asked, &e.tier, &e.upstream, &e.vendor,
                                   &e.model, &e.rule, &e.policy_version, &e.outcome})
        text(*one);
    for (int one : {e.attempt, int{e.answered}, int{e.stream}, e.http_status,
                    int{e.usage.estimated}, int{e.simulated}})
        number(one);
}

}  // namespace

Result<std::string> sqlite_path(const std::string& url) {
    if (url.starts_with("sqlite:") && url.size() > 7) return url.substr(7);
    return Error(Errc::bad_config, "ledger: expected sqlite:PATH, got '" + url + "'");
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path) {
    auto store = std::make_unique<SqliteStore>();
    store->path_ = path;
    auto connected = store->connect();
    if (!connected) return connected.error();
    return store;
}

Status SqliteStore::connect() {
    // Or every allocation takes a lock, to count itself. Refused once something else has begun.
    [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    auto folder = std::filesystem::path(path_).parent_path();
    std::error_code failed;
    if (!folder.empty()) std::filesystem::create_directories(folder, failed);
    if (failed)
        return Error(Errc::bad_file,
                     "ledger " + path_ + ": cannot create its folder: " + failed.message());
    sqlite3* raw = nullptr;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int opened = sqlite3_open_v2(path_.c_str(), &raw, flags, nullptr);
    SqliteDatabase database(raw);
    if (opened != SQLITE_OK) return ledger_error(path_, raw, "cannot open");
    sqlite3_busy_timeout(raw, busy_ms);
    auto wal =
        run(raw, path_, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", "cannot set up");
    if (!wal) return wal.error();
    auto schema = prepare_ledger_schema(raw, path_);
    if (!schema) return schema.error();
    bool prepared =
        prepare(raw, "BEGIN IMMEDIATE", begin_) && prepare(raw, last_id_sql, last_id_of_) &&
        prepare(raw, kind_sql, insert_kind_) && prepare(raw, entry_sql, insert_entry_) &&
        prepare(raw, outcome_sql, insert_outcome_) && prepare(raw, "COMMIT", commit_);
    if (!prepared) return ledger_error(path_, raw, "cannot prepare");
    database_ = std::move(database);
    return Done{};
}

// A file that was removed or replaced would take rows that nobody finds: begins the one at the
// path now.
Status SqliteStore::follow_path() {
    int moved = 0;
    if (database_) sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (database_ && moved == 0) return Done{};
    if (database_) log_error("ledger_file_gone", {{"path", path_}});
    for (SqliteStatement* one :
         {&begin_, &last_id_of_, &insert_kind_, &insert_entry_, &insert_outcome_, &commit_})
        one->reset();
    database_.reset();
    kinds_.clear();
    return connect();
}

Result<std::int64_t> SqliteStore::kind_of(const LedgerEntry& entry) {
    kind_key_.clear();
    std::array<int, kind_columns> numbers;  // and the lengths of the texts
    std::size_t at = 0;
    auto add_number = [&](int number) { numbers[at++] = number; };
    auto add_text = [&](const std::string& text) {
        add_number(static_cast<int>(text.size()));
        kind_key_ += text;
    };
    each_of_kind(entry, add_text, add_number);
    assert(at == numbers.size());
    kind_key_.append(reinterpret_cast<const char*>(numbers.data()), sizeof numbers);
    auto known = kinds_.find(kind_key_);
    if (known != kinds_.end()) return known->second;
    sqlite3_stmt* statement = insert_kind_.get();
    Binder binder(statement);
    each_of_kind(
        entry, [&](const std::string& text) { binder << text; },
        [&](int number) { binder << std::int64_t{number}; });
    std::int64_t id = 0;
    auto inserted = step_to_number(statement, id, "cannot write a kind");
    if (!inserted) return inserted.error();
    if (kinds_.size() >= kinds_kept_max) kinds_.clear();
    kinds_.emplace(kind_key_, id);
    return id;
}

Status SqliteStore::insert(const LedgerEntry& e) {
    auto kind = kind_of(e);
    if (!kind) return kind.error();
    last_id_ = std::max(last_id_ + 1, e.started_unix_ms * 1'000);
    sqlite3_stmt* statement = insert_entry_.get();
    Binder(statement) << last_id_ << *kind << e.started_unix_ms << e.request_id << e.session_id
                      << e.difficulty << e.usage.in_uncached << e.usage.in_cache_read
                      << e.usage.in_cache_write << e.usage.in_cache_write_1h << e.usage.out_text
                      << e.usage.out_reasoning << e.cost.pico_usd << e.baseline.pico_usd
                      << e.first_token_us << e.duration_us << e.decision.view();
    return step(statement, "cannot write a row");
}

Status SqliteStore::insert(const Outcome& one) {
    sqlite3_stmt* statement = insert_outcome_.get();
    Binder(statement) << one.at_unix_ms << one.request_id << one.caller.org << one.caller.team
                      << one.caller.key_id << one.tier << one.kind << one.score << one.propensity
                      << std::int64_t{one.learned};
    return step(statement, "cannot write an outcome");
}

Status SqliteStore::step(sqlite3_stmt* statement, const char* doing) {
    int stepped = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (stepped == SQLITE_DONE) return Done{};
    return ledger_error(path_, database_.get(), doing);
}

// Of a statement that gives one row.
Status SqliteStore::step_to_number(sqlite3_stmt* statement, std::int64_t& number,
                                   const char* doing) {
    if (sqlite3_step(statement) == SQLITE_ROW) number = sqlite3_column_int64(statement, 0);
    return step(statement, doing);
}

Status SqliteStore::write(std::span<const LedgerEntry* const> entries,
                          std::span<const Outcome* const> outcomes) {
    auto there = follow_path();
    if (!there) return there;
    sqlite3* database = database_.get();
    Status written = step(begin_.get(), "cannot begin");
    if (written) written = step_to_number(last_id_of_.get(), last_id_, "cannot read");
    for (std::size_t i = 0; written && i < entries.size(); ++i) written = insert(*entries[i]);
    for (std::size_t i = 0; written && i < outcomes.size(); ++i) written = insert(*outcomes[i]);
    if (written) written = step(commit_.get(), "cannot commit");
    if (!written) kinds_.clear();  // new ones are not there
    // After a failure SQLite may have rolled back by itself already.
    if (!written && sqlite3_get_autocommit(database) == 0)
        sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr);
    return written;
}

Result<SqliteDatabase> open_ledger_to_read(const std::string& path) {
    if (!std::filesystem::is_regular_file(path))
        return Error(Errc::bad_file, "ledger " + path + ": no such file");
    sqlite3* raw = nullptr;
    int opened = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
    SqliteDatabase database(raw);
    if (opened != SQLITE_OK) return ledger_error(path, raw, "cannot open");
    sqlite3_busy_timeout(raw, busy_ms);
    auto guarded = run(raw, path, "PRAGMA query_only=1", "not a ledger");
    if (!guarded) return guarded.error();
    int version = stored_ledger_version(raw);
    if (version == -1) return ledger_error(path, raw, "not a ledger");
    if (version < ledger_version_readable_min || version > ledger_schema_version)
        return wrong_ledger_version(path, version);
    return database;
}

}  // namespace sluice
