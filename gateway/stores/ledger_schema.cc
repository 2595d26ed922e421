#include "gateway/stores/ledger_schema.h"

namespace sluice {
namespace {

constexpr const char* tables_sql = R"(
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
  first_token_us INTEGER NOT NULL, duration_us INTEGER NOT NULL, decision BLOB NOT NULL
) STRICT;
)";

// The index finds a row that is there already.
constexpr const char* outcomes_sql = R"(
CREATE TABLE outcomes (
  id INTEGER PRIMARY KEY,
  at_unix_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL, org TEXT NOT NULL, team TEXT NOT NULL, key_id TEXT NOT NULL,
  tier TEXT NOT NULL, kind TEXT NOT NULL,
  score REAL NOT NULL, propensity REAL NOT NULL, learned INTEGER NOT NULL,
  UNIQUE (request_id, key_id, kind)
) STRICT;
PRAGMA user_version=4;
)";

constexpr const char* from_version_2_sql = R"(
ALTER TABLE entries ADD COLUMN decision BLOB NOT NULL DEFAULT x'';
DROP VIEW attempts;
)";

// CROSS JOIN: entries first, so that a range of ids is a range.
constexpr const char* view_sql = R"(
CREATE VIEW attempts AS
SELECT e.id, started_unix_ms, request_id, attempt, answered, org, team, key_id, user, session_id,
  dialect, model_asked, tier, upstream, vendor, model, rule, policy_version, difficulty, stream,
  outcome, http_status, in_uncached, in_cache_read, in_cache_write, in_cache_write_1h, out_text,
  out_reasoning, usage_estimated, cost_pico_usd, baseline_pico_usd, first_token_us, duration_us,
  simulated, decision
FROM entries e CROSS JOIN kinds k ON k.id = e.kind;
)";

// Version 1 was one table, `attempts`, with every column of the view and ids from 1.
constexpr const char* from_version_1_sql = R"(
INSERT INTO kinds (org, team, key_id, user, dialect, model_asked, tier, upstream, vendor, model,
  rule, policy_version, outcome, attempt, answered, stream, http_status, usage_estimated, simulated)
SELECT DISTINCT org, team, key_id, user, dialect, model_asked, tier, upstream, vendor, model,
  rule, policy_version, outcome, attempt, answered, stream, http_status, usage_estimated, simulated
FROM attempts;
INSERT INTO entries
SELECT max(started_unix_ms * 1000 - a.id) OVER (ORDER BY a.id) + a.id, k.id, started_unix_ms,
  request_id, session_id, difficulty, in_uncached, in_cache_read, in_cache_write,
  in_cache_write_1h, out_text, out_reasoning, cost_pico_usd, baseline_pico_usd, first_token_us,
  duration_us, x''
FROM attempts a JOIN kinds k USING (key_id, model_asked, upstream, rule, policy_version, outcome,
  attempt, answered, stream, http_status, usage_estimated, simulated, org, team, user, dialect,
  tier, vendor, model);
DROP TABLE attempts;
)";

// -1 when it cannot be read.
int stored_number(sqlite3* database, const char* sql) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(database, sql, -1, &statement, nullptr);
    int number = -1;
    if (statement != nullptr && sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

}  // namespace

int stored_ledger_version(sqlite3* database) {
    return stored_number(database, "PRAGMA user_version");
}

Error ledger_error(const std::string& path, sqlite3* database, const char* doing) {
    std::string words = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
    return Error(Errc::bad_file, "ledger " + path + ": " + doing + ": " + words);
}

Error wrong_ledger_version(const std::string& path, int version) {
    std::string message = "ledger " + path + ": has schema version " + std::to_string(version) +
                          ", this program reads version " + std::to_string(ledger_schema_version);
    if (version == 1) message += "; `sluice serve` brings it up to date when it opens it";
    return Error(Errc::bad_file, std::move(message));
}

Status prepare_ledger_schema(sqlite3* database, const std::string& path) {
    int version = stored_ledger_version(database);
    if (version == ledger_schema_version) return Done{};
    if (version < 0 || version > ledger_schema_version) return wrong_ledger_version(path, version);
    int tables = stored_number(database, "SELECT count(*) FROM sqlite_master");
    if (version == 0 && tables > 0)
        return Error(Errc::bad_file, "ledger " + path + ": is another database");
    // With its version in one transaction, so that there is no table without one.
    std::string sql = "BEGIN IMMEDIATE;";
    if (version < 2) sql += tables_sql;
    if (version == 1) sql += from_version_1_sql;
    if (version == 2) sql += from_version_2_sql;
    if (version < ledger_version_decisions_min) sql += view_sql;
    sql += outcomes_sql;
    sql += "COMMIT;";
    if (sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return Done{};
    Error failed = ledger_error(path, database, "cannot create its tables");
    sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr);
    return failed;
}

}  // namespace sluice
