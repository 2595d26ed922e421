#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "gateway/ledger.h"
#include "gateway/stores/sqlite.h"

namespace {

using namespace sluice;

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
    void remove() const { std::filesystem::remove_all(path_ + "/deep"); }
    Error refusal() const {
        auto database = open_ledger_to_read(path_ + "/deep/ledger.db");
        REQUIRE(!database);
        return database.error();
    }

private:
    std::string path_;
};

LedgerEntry entry_of(int n) {
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

net::awaitable<void> append_one(Ledger& ledger, int n, int& committed) {
    std::vector<LedgerEntry> entries;
    entries.push_back(entry_of(n));
    auto done = co_await ledger.append(std::move(entries));
    if (done) ++committed;
}

// Appends `count` rows at once and gives how many were acknowledged.
int append_many(Ledger& ledger, int from, int count) {
    net::io_context io(1);
    int committed = 0;
    for (int i = 0; i < count; ++i)
        net::co_spawn(io, append_one(ledger, from + i, committed), net::detached);
    io.run();
    return committed;
}

net::awaitable<void> append_entries(Ledger& ledger, std::vector<LedgerEntry> entries, bool& done) {
    auto appended = co_await ledger.append(std::move(entries));
    done = static_cast<bool>(appended);
}

bool append_all(Ledger& ledger, std::vector<LedgerEntry> entries) {
    net::io_context io(1);
    bool done = false;
    net::co_spawn(io, append_entries(ledger, std::move(entries), done), net::detached);
    io.run();
    return done;
}

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

}  // namespace

TEST_CASE("a row is in the file when append has completed", "[ledger]") {
    LedgerFolder folder;
    auto ledger = Ledger::open(folder.options());
    REQUIRE(ledger);
    CHECK(append_many(**ledger, 0, 500) == 500);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 500);
    CHECK(folder.number("SELECT SUM(cost_pico_usd) FROM attempts") ==
          500'000'000'000'000 + 499 * 500 / 2);
    CHECK((*ledger)->queued() == 0);
    CHECK((*ledger)->healthy());
}

TEST_CASE("rows after the file was removed or replaced are in the file at its path", "[ledger]") {
    LedgerFolder folder;
    LedgerOptions options = folder.options();
    options.append_wait_ms_max = 1'000;
    auto ledger = Ledger::open(options);
    REQUIRE(ledger);
    CHECK(append_many(**ledger, 0, 5) == 5);
    folder.remove();
    CHECK(append_many(**ledger, 5, 3) == 3);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 3);
    folder.remove();
    folder.make("CREATE TABLE foreign_table (x)");
    CHECK(append_many(**ledger, 8, 1) == 0);
    CHECK(!(*ledger)->healthy());
    folder.remove();
    ledger->reset();  // the row that waited
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 1);
}

TEST_CASE("a ledger is opened again with its rows, and a foreign file is refused", "[ledger]") {
    LedgerFolder folder;
    {
        auto ledger = Ledger::open(folder.options());
        REQUIRE(ledger);
        CHECK(append_many(**ledger, 0, 3) == 3);
    }
    {
        auto again = Ledger::open(folder.options());
        REQUIRE(again);
        CHECK(append_many(**again, 3, 2) == 2);
    }
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 5);

    LedgerOptions wrong;
    wrong.url = "postgres://x";
    CHECK(Ledger::open(wrong).error().code == Errc::bad_config);
    std::string noise = folder.options().url.substr(7) + ".txt";
    int fd = ::open(noise.c_str(), O_CREAT | O_WRONLY, 0600);
    std::string text(4096, 'x');
    REQUIRE(::write(fd, text.data(), text.size()) == 4096);
    ::close(fd);
    LedgerOptions foreign;
    foreign.url = "sqlite:" + noise;
    auto refused = Ledger::open(foreign);
    REQUIRE(!refused);
    CHECK(refused.error().message.find("not a database") != std::string::npos);
}

TEST_CASE("threads that append at once, and go before the ledger does, lose no row", "[ledger]") {
    LedgerFolder folder;
    {
        auto ledger = Ledger::open(folder.options());
        REQUIRE(ledger);
        std::vector<std::thread> threads;
        std::atomic<int> committed{0};
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                for (int n = 0; n < 20; ++n)
                    committed += append_many(**ledger, (t * 20 + n) * 50, 50);
                // Leaves at once: its context is destroyed while its rows are being written.
                net::io_context io(1);
                int ignored = 0;
                net::co_spawn(io, append_one(**ledger, 4'000 + t, ignored), net::detached);
                io.poll();
            });
        for (std::thread& thread : threads) thread.join();
        CHECK(committed == 4'000);
    }
    CHECK(folder.number("SELECT COUNT(DISTINCT request_id) FROM attempts") == 4'004);
}

TEST_CASE("what repeats is kept once, and every entry reads as it was written", "[ledger]") {
    LedgerFolder folder;
    auto ledger = Ledger::open(folder.options());
    REQUIRE(ledger);
    CHECK(append_many(**ledger, 0, 40) == 40);
    LedgerEntry other = entry_of(3);
    other.caller = {"o", "t\x1f", "k", "u"};
    other.session_id = "s";
    other.difficulty = 0.25;
    other.http_status = 200;
    other.usage.in_cache_write_1h = 7;
    other.usage.estimated = true;
    LedgerEntry shifted = other;
    shifted.caller = {"o", "t", "\x1fk", "u"};
    CHECK(append_all(**ledger, {other, shifted}));
    CHECK(folder.number("SELECT COUNT(*) FROM kinds") == 3);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE org = 'o' AND user = 'u' AND "
                        "session_id = 's' AND difficulty = 0.25 AND http_status = 200 AND "
                        "in_cache_write_1h = 7 AND usage_estimated = 1 AND tier = 'open' AND "
                        "answered = 1 AND request_id = 'req_3' AND attempt = 1") == 2);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE key_id = char(31) || 'k'") == 1);
}

TEST_CASE("since when is a range of ids, in whatever order entries come", "[ledger]") {
    LedgerFolder folder;
    auto ledger = Ledger::open(folder.options());
    REQUIRE(ledger);
    std::vector<LedgerEntry> entries;
    for (int n : {7, 3, 9, 9, 1, 8}) entries.push_back(entry_of(n));
    CHECK(append_all(**ledger, std::move(entries)));
    auto again = Ledger::open(folder.options());  // another process at the same file
    REQUIRE(again);
    CHECK(append_many(**again, 2, 1) == 1);
    CHECK(append_many(**ledger, 2, 1) == 1);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE id < started_unix_ms * 1000") == 0);
    CHECK(folder.number("SELECT COUNT(DISTINCT id) FROM attempts") == 8);
    CHECK(folder.number("SELECT request_id = 'req_2' FROM attempts ORDER BY id DESC LIMIT 1") == 1);
}

TEST_CASE("a ledger of the first version is refused to readers and brought up to date",
          "[ledger]") {
    LedgerFolder folder;
    folder.make(version_1);
    CHECK(folder.refusal().message.find("has schema version 1, this program reads version 2; "
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

TEST_CASE("a ledger of a later version is refused", "[ledger]") {
    LedgerFolder folder;
    folder.make("CREATE TABLE attempts (id INTEGER); PRAGMA user_version=3");
    auto refused = Ledger::open(folder.options());
    REQUIRE(!refused);
    CHECK(refused.error().message.find("has schema version 3, this program reads version 2") !=
          std::string::npos);
    CHECK(refused.error().message.find("sluice serve") == std::string::npos);
}

TEST_CASE("every acknowledged row survives kill -9", "[ledger]") {
    LedgerFolder folder;
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // appends for ever, tells each acknowledged number
        auto ledger = Ledger::open(folder.options());
        for (int n = 0;; ++n) {
            if (append_many(**ledger, n, 1) != 1) _exit(1);
            if (::write(pipe_ends[1], &n, sizeof n) != sizeof n) _exit(1);
        }
    }
    ::close(pipe_ends[1]);
    int acknowledged = -1;
    while (acknowledged < 200)
        REQUIRE(::read(pipe_ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged);
    ::kill(child, SIGKILL);
    int n = 0;
    while (::read(pipe_ends[0], &n, sizeof n) == sizeof n) acknowledged = n;
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    CHECK(folder.number(
              "SELECT COUNT(*) FROM attempts WHERE CAST(substr(request_id, 5) AS INTEGER) <= " +
              std::to_string(acknowledged)) == acknowledged + 1);
}

TEST_CASE("with a full disk rows wait, the ledger says so, and none is lost or doubled",
          "[ledger]") {
    LedgerFolder folder;
    pid_t child = ::fork();  // a file size limit is the whole process's
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        LedgerOptions options = folder.options();
        options.append_wait_ms_max = 100;
        auto ledger = Ledger::open(options);
        if (append_many(**ledger, 0, 10) != 10) _exit(1);
        rlimit whole{};
        ::getrlimit(RLIMIT_FSIZE, &whole);
        rlimit full = whole;
        full.rlim_cur = 8'192;
        ::setrlimit(RLIMIT_FSIZE, &full);
        if (append_many(**ledger, 10, 10) != 0) _exit(2);  // not on record
        if ((*ledger)->healthy()) _exit(3);
        if ((*ledger)->queued() != 10) _exit(4);
        ::setrlimit(RLIMIT_FSIZE, &whole);
        append_many(**ledger, 20, 10);  // acknowledged or not: the retry may still be waiting
        ledger->reset();                // writes what waits
        _exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 30);
    CHECK(folder.number("SELECT COUNT(DISTINCT request_id) FROM attempts") == 30);
}
