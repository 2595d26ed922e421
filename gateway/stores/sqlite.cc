#include "gateway/stores/sqlite.h"

#include <cmath>
#include <filesystem>

namespace sluice {
namespace {

constexpr int schema_version = 1;
constexpr int busy_ms = 2'000;

// In one transaction with its version, so that there is no table without one.
constexpr const char* schema = R"(
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS attempts (
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
CREATE INDEX IF NOT EXISTS attempts_by_time ON attempts (started_unix_ms);
PRAGMA user_version=1;
COMMIT;
)";

constexpr const char* insert_sql =
    "INSERT INTO attempts (started_unix_ms, request_id, attempt, answered, org, team, key_id, "
    "user, session_id, dialect, model_asked, tier, upstream, vendor, model, rule, policy_version, "
    "difficulty, stream, outcome, http_status, in_uncached, in_cache_read, in_cache_write, "
    "in_cache_write_1h, out_text, out_reasoning, usage_estimated, cost_pico_usd, "
    "baseline_pico_usd, first_token_us, duration_us, simulated) VALUES "
    "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

Error store_error(const std::string& path, sqlite3* database, const char* doing) {
    std::string words = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
    return Error(Errc::bad_file, "ledger " + path + ": " + doing + ": " + words);
}

Status run(sqlite3* database, const std::string& path, const char* sql, const char* doing) {
    if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return Done{};
    return store_error(path, database, doing);
}

// Parsed once: done anew for every group, that would cost as much as a row.
bool prepare(sqlite3* database, const char* sql, SqliteStatement& out) {
    sqlite3_stmt* statement = nullptr;
    int prepared =
        sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    out.reset(statement);
    return prepared == SQLITE_OK;
}

// -1 when it cannot be read.
int stored_number(sqlite3* database, const char* sql) {
    sqlite3_stmt* raw = nullptr;
    sqlite3_prepare_v2(database, sql, -1, &raw, nullptr);
    SqliteStatement statement(raw);
    if (raw == nullptr || sqlite3_step(raw) != SQLITE_ROW) return -1;
    return sqlite3_column_int(raw, 0);
}

int stored_version(sqlite3* database) { return stored_number(database, "PRAGMA user_version"); }

Error wrong_version(const std::string& path, int version) {
    return Error(Errc::bad_file, "ledger " + path + ": has schema version " +
                                     std::to_string(version) + ", this program reads version " +
                                     std::to_string(schema_version));
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

private:
    sqlite3_stmt* statement_;
    int at_ = 0;
};

}  // namespace

Result<std::string> sqlite_path(const std::string& url) {
    if (url.starts_with("sqlite:") && url.size() > 7) return url.substr(7);
    return Error(Errc::bad_config, "ledger: expected sqlite:PATH, got '" + url + "'");
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path) {
    auto folder = std::filesystem::path(path).parent_path();
    std::error_code failed;
    if (!folder.empty()) std::filesystem::create_directories(folder, failed);
    if (failed)
        return Error(Errc::bad_file,
                     "ledger " + path + ": cannot create its folder: " + failed.message());
    auto store = std::make_unique<SqliteStore>();
    store->path_ = path;
    sqlite3* raw = nullptr;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int opened = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
    store->database_.reset(raw);
    if (opened != SQLITE_OK) return store_error(path, raw, "cannot open");
    sqlite3_busy_timeout(raw, busy_ms);
    auto wal =
        run(raw, path, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", "cannot set up");
    if (!wal) return wal.error();
    int version = stored_version(raw);
    if (version != 0 && version != schema_version) return wrong_version(path, version);
    if (version == 0) {
        int tables = stored_number(raw, "SELECT count(*) FROM sqlite_master");
        if (tables > 0) return Error(Errc::bad_file, "ledger " + path + ": is another database");
        auto made = run(raw, path, schema, "cannot create its table");
        if (!made) return made.error();
    }
    bool prepared = prepare(raw, "BEGIN IMMEDIATE", store->begin_) &&
                    prepare(raw, insert_sql, store->insert_) &&
                    prepare(raw, "COMMIT", store->commit_);
    if (!prepared) return store_error(path, raw, "cannot prepare");
    return store;
}

Status SqliteStore::insert(const LedgerEntry& e) {
    sqlite3_stmt* statement = insert_.get();
    Binder(statement) << e.started_unix_ms << e.request_id << std::int64_t{e.attempt}
                      << std::int64_t{e.answered} << e.caller.org << e.caller.team
                      << e.caller.key_id << e.caller.user << e.session_id << e.dialect
                      << e.model_asked << e.tier << e.upstream << e.vendor << e.model << e.rule
                      << e.policy_version << e.difficulty << std::int64_t{e.stream} << e.outcome
                      << std::int64_t{e.http_status} << e.usage.in_uncached << e.usage.in_cache_read
                      << e.usage.in_cache_write << e.usage.in_cache_write_1h << e.usage.out_text
                      << e.usage.out_reasoning << std::int64_t{e.usage.estimated} << e.cost.pico_usd
                      << e.baseline.pico_usd << e.first_token_us << e.duration_us
                      << std::int64_t{e.simulated};
    return step(statement, "cannot write a row");
}

Status SqliteStore::step(sqlite3_stmt* statement, const char* doing) {
    int stepped = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (stepped == SQLITE_DONE) return Done{};
    return store_error(path_, database_.get(), doing);
}

Status SqliteStore::write(std::span<const LedgerEntry* const> entries) {
    sqlite3* database = database_.get();
    Status written = step(begin_.get(), "cannot begin");
    for (std::size_t i = 0; written && i < entries.size(); ++i) written = insert(*entries[i]);
    if (written) written = step(commit_.get(), "cannot commit");
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
    if (opened != SQLITE_OK) return store_error(path, raw, "cannot open");
    sqlite3_busy_timeout(raw, busy_ms);
    auto guarded = run(raw, path, "PRAGMA query_only=1", "not a ledger");
    if (!guarded) return guarded.error();
    int version = stored_version(raw);
    if (version == -1) return store_error(path, raw, "not a ledger");
    if (version != schema_version) return wrong_version(path, version);
    return database;
}

}  // namespace sluice
