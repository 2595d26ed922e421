// A ledger in a folder of its own, and rows to put into it.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gateway/ledger.h"
#include "gateway/stores/sqlite.h"

namespace sluice {

class LedgerFolder {
public:
    LedgerFolder() {
        char pattern[] = "/tmp/sluice-ledger-XXXXXX";
        path_ = mkdtemp(pattern);
    }
    ~LedgerFolder() { std::filesystem::remove_all(path_); }
    LedgerOptions options() const {
        LedgerOptions options;
        options.url = "sqlite:" + path_ + "/deep/ledger.db";
        return options;
    }
    std::int64_t number(const std::string& sql) const {
        auto database = open_ledger_to_read(path_ + "/deep/ledger.db");
        INFO((database ? "" : database.error().message));
        REQUIRE(database);
        sqlite3_stmt* raw = nullptr;
        REQUIRE(sqlite3_prepare_v2(database->get(), sql.c_str(), -1, &raw, nullptr) == SQLITE_OK);
        SqliteStatement statement(raw);
        REQUIRE(sqlite3_step(raw) == SQLITE_ROW);
        return sqlite3_column_int64(raw, 0);
    }
    // Makes the file with other means than the ledger's.
    void make(const std::string& sql) const {
        std::filesystem::create_directories(path_ + "/deep");
        sqlite3* raw = nullptr;
        REQUIRE(sqlite3_open((path_ + "/deep/ledger.db").c_str(), &raw) == SQLITE_OK);
        SqliteDatabase database(raw);
        REQUIRE(sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    }
    // At one stroke: a ledger that tries again meanwhile begins a folder of its own.
    void remove() const {
        std::filesystem::rename(path_ + "/deep", path_ + "/gone");
        std::filesystem::remove_all(path_ + "/gone");
    }
    Error refusal() const {
        auto database = open_ledger_to_read(path_ + "/deep/ledger.db");
        REQUIRE(!database);
        return database.error();
    }

private:
    std::string path_;
};

inline LedgerEntry entry_of(int n) {
    LedgerEntry entry;
    entry.started_unix_ms = 1'800'000'000'000 + n;
    entry.request_id = "req_" + std::to_string(n);
    entry.answered = true;
    entry.caller.team = "t";
    entry.tier = "open";
    entry.outcome = "ok";
    entry.usage.out_text = 3;
    entry.cost.pico_usd = 1'000'000'000'000 + n;
    return entry;
}

inline net::awaitable<void> append_one(Ledger& ledger, int n, int& committed) {
    std::vector<LedgerEntry> entries;
    entries.push_back(entry_of(n));
    auto done = co_await ledger.append(std::move(entries));
    if (done) ++committed;
}

// Appends `count` rows at once and gives how many were acknowledged.
inline int append_many(Ledger& ledger, int from, int count) {
    net::io_context io(1);
    int committed = 0;
    for (int i = 0; i < count; ++i)
        net::co_spawn(io, append_one(ledger, from + i, committed), net::detached);
    io.run();
    return committed;
}

inline net::awaitable<void> append_entries(Ledger& ledger, std::vector<LedgerEntry> entries,
                                           bool& done) {
    auto appended = co_await ledger.append(std::move(entries));
    done = static_cast<bool>(appended);
}

inline bool append_all(Ledger& ledger, std::vector<LedgerEntry> entries) {
    net::io_context io(1);
    bool done = false;
    net::co_spawn(io, append_entries(ledger, std::move(entries), done), net::detached);
    io.run();
    return done;
}

inline net::awaitable<void> append_outcome_on(Ledger& ledger, Outcome outcome, bool& done) {
    auto appended = co_await ledger.append(std::move(outcome));
    done = static_cast<bool>(appended);
}

inline bool append_outcome(Ledger& ledger, Outcome outcome) {
    net::io_context io(1);
    bool done = false;
    net::co_spawn(io, append_outcome_on(ledger, std::move(outcome), done), net::detached);
    io.run();
    return done;
}

}  // namespace sluice
