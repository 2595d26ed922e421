// The ledger's tables in a SQLite file, and how an older file gets them. One thread at a time.
//
// `entries` has one row an attempt. What repeats from call to call (who called, what answered, how
// it ended) is in `kinds`, once for each combination, and an entry names its kind: that makes a row
// a third as long and as dear. `attempts` is the view that joins both; readers use that.
//
// `outcomes` has what became known of answered requests: one row a request, key and kind.
//
// entries.id rises, and is at least started_unix_ms * 1000: "since" is a range of ids, with no
// index to keep.
#pragma once

#include <sqlite3.h>

#include <string>

#include "engine/result.h"

namespace sluice {

// `decision` holds what a request was decided on (policies/decision_record.h), in the row of its
// first attempt; empty in rows of version 2 and before. Versions before 4 have no outcomes.
constexpr int ledger_schema_version = 4;
constexpr int ledger_version_readable_min = 2;  // its view has all columns but `decision`
constexpr int ledger_version_decisions_min = 3;

// user_version; -1 when it cannot be read.
int stored_ledger_version(sqlite3* database);

// Creates the tables in an empty file, or brings an older version up to date, in one transaction.
// Errors: bad_file (another database, a version that is not known here, SQLite's words).
Status prepare_ledger_schema(sqlite3* database, const std::string& path);

// The errors that readers and the writer word alike.
Error ledger_error(const std::string& path, sqlite3* database, const char* doing);
Error wrong_ledger_version(const std::string& path, int version);

}  // namespace sluice
