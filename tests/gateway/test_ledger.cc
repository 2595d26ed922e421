#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "tests/gateway/ledger_folder.h"

using namespace sluice;

namespace {

// For rows that must be taken, however slow the disk is.
LedgerOptions patient(LedgerOptions options) {
    options.append_wait_ms_max = 120'000;
    return options;
}

// Whether it came to say that it cannot write, which a row that waits in vain may not wait for.
bool unwell(const Ledger& ledger) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (ledger.healthy() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return !ledger.healthy();
}

}  // namespace

TEST_CASE("a row is in the file when append has completed", "[ledger]") {
    LedgerFolder folder;
    auto ledger = Ledger::open(patient(folder.options()));
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
    auto ledger = Ledger::open(patient(folder.options()));
    REQUIRE(ledger);
    CHECK(append_many(**ledger, 0, 5) == 5);
    folder.remove();
    CHECK(append_many(**ledger, 5, 3) == 3);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 3);
    LedgerOptions options = folder.options();
    options.append_wait_ms_max = 100;  // from here on it waits in vain
    ledger = Ledger::open(options);
    REQUIRE(ledger);
    folder.remove();
    folder.make("CREATE TABLE foreign_table (x)");
    CHECK(append_many(**ledger, 8, 1) == 0);
    CHECK(unwell(**ledger));
    folder.remove();
    ledger->reset();  // the row that waited
    CHECK(folder.number("SELECT COUNT(*) FROM attempts") == 1);
}

TEST_CASE("a ledger is opened again with its rows, and a foreign file is refused", "[ledger]") {
    LedgerFolder folder;
    {
        auto ledger = Ledger::open(patient(folder.options()));
        REQUIRE(ledger);
        CHECK(append_many(**ledger, 0, 3) == 3);
    }
    {
        auto again = Ledger::open(patient(folder.options()));
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
        auto ledger = Ledger::open(patient(folder.options()));
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
    auto ledger = Ledger::open(patient(folder.options()));
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
    auto ledger = Ledger::open(patient(folder.options()));
    REQUIRE(ledger);
    std::vector<LedgerEntry> entries;
    for (int n : {7, 3, 9, 9, 1, 8}) entries.push_back(entry_of(n));
    CHECK(append_all(**ledger, std::move(entries)));
    auto again = Ledger::open(patient(folder.options()));  // another process at the same file
    REQUIRE(again);
    CHECK(append_many(**again, 2, 1) == 1);
    CHECK(append_many(**ledger, 2, 1) == 1);
    CHECK(folder.number("SELECT COUNT(*) FROM attempts WHERE id < started_unix_ms * 1000") == 0);
    CHECK(folder.number("SELECT COUNT(DISTINCT id) FROM attempts") == 8);
    CHECK(folder.number("SELECT request_id = 'req_2' FROM attempts ORDER BY id DESC LIMIT 1") == 1);
}

TEST_CASE("every acknowledged row survives kill -9", "[ledger]") {
    LedgerFolder folder;
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // appends for ever, tells each acknowledged number
        auto ledger = Ledger::open(patient(folder.options()));
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
        auto ledger = Ledger::open(patient(folder.options()));
        if (!ledger || append_many(**ledger, 0, 10) != 10) _exit(1);
        LedgerOptions options = folder.options();
        options.append_wait_ms_max = 100;  // from here on it waits in vain
        ledger = Ledger::open(options);
        if (!ledger) _exit(5);
        rlimit whole{};
        ::getrlimit(RLIMIT_FSIZE, &whole);
        rlimit full = whole;
        full.rlim_cur = 8'192;
        ::setrlimit(RLIMIT_FSIZE, &full);
        if (append_many(**ledger, 10, 10) != 0) _exit(2);  // not on record
        if (!unwell(**ledger)) _exit(3);
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
