// The ledger in a SQLite file. One thread at a time: the ledger's for writing; the command
// line opens it read-only. WAL with synchronous=NORMAL: a killed process loses no committed row; a
// power cut may lose the last group.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "engine/result.h"
#include "gateway/ledger_entry.h"

namespace sluice {

struct SqliteClose {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct SqliteFinalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using SqliteDatabase = std::unique_ptr<sqlite3, SqliteClose>;
using SqliteStatement = std::unique_ptr<sqlite3_stmt, SqliteFinalize>;

class SqliteStore {
public:
    // Creates the file, its folder and its table if needed. Errors: bad_file.
    static Result<std::unique_ptr<SqliteStore>> open(const std::string& path);
    // All rows in one transaction, or none. Where the file was removed or replaced since, they go
    // into the one at its path, made anew if need be. Errors: bad_file with SQLite's words.
    Status write(std::span<const LedgerEntry* const> entries,
                 std::span<const Outcome* const> outcomes = {});
    sqlite3* database() const { return database_.get(); }

private:
    Status connect();
    Status follow_path();
    Result<std::int64_t> kind_of(const LedgerEntry& entry);
    Status insert(const LedgerEntry& entry);
    Status insert(const Outcome& outcome);
    Status step(sqlite3_stmt* statement, const char* doing);
    Status step_to_number(sqlite3_stmt* statement, std::int64_t& number, const char* doing);
    std::string path_;
    SqliteDatabase database_;
    SqliteStatement begin_;
    SqliteStatement last_id_of_;
    SqliteStatement insert_kind_;
    SqliteStatement insert_entry_;
    SqliteStatement insert_outcome_;
    SqliteStatement commit_;
    std::int64_t last_id_ = 0;                             // of the transaction under way
    std::unordered_map<std::string, std::int64_t> kinds_;  // ids of those in the file
    std::string kind_key_;                                 // memory that is used again
};

// Opens an existing ledger for reading, of version 2 or this program's. Errors: bad_file (no such
// file, not a ledger, older or newer).
Result<SqliteDatabase> open_ledger_to_read(const std::string& path);

// The PATH of sqlite:PATH. Errors: bad_config.
Result<std::string> sqlite_path(const std::string& url);

}  // namespace sluice
