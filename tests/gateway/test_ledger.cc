#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>

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
