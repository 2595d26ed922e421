#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>
#include <random>

#include "tests/gateway/test_site.h"

using namespace sluice;
using namespace sluice::testing;
using std::chrono::milliseconds;

TEST_CASE("connections spread over io threads are all served", "[server]") {
    TestSite site(ServerLimits(), 3);
    CHECK(site.server().io_threads() == 3);
    CHECK(Server::this_io_thread() == -1);
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 60; ++i) clients.push_back(std::make_unique<RawClient>(site.port()));
    for (int round = 0; round < 5; ++round) {
        for (auto& client : clients) REQUIRE(client->send(get("/hello")));
        for (auto& client : clients) CHECK(client->answer().body == "hello");
    }
    CHECK(site.server().connections() == 60);
}

TEST_CASE("a drain lets a stream finish and closes what is idle", "[server]") {
    TestSite site;
    RawClient idle(site.port());
    REQUIRE(idle.send(get("/hello")));
    REQUIRE(idle.answer().status == 200);
    RawClient busy(site.port());
    REQUIRE(busy.send(get("/gate")));
    REQUIRE(TestSite::reached(site.waiting, 1));
    auto cut =
        std::async(std::launch::async, [&] { return site.server().drain(milliseconds(20'000)); });
    CHECK(idle.closed());
    site.open_gate();
    auto answer = busy.answer();
    CHECK(answer.body == "firstsecond");
    CHECK(answer.whole);
    CHECK(busy.closed());
    CHECK(cut.get() == 0);
    CHECK(site.left == 0);
}

TEST_CASE("a drain whose time is over stops what still runs", "[server]") {
    TestSite site;
    RawClient busy(site.port());
    REQUIRE(busy.send(get("/wait")));
    REQUIRE(TestSite::reached(site.waiting, 1));
    CHECK(site.server().drain(milliseconds(1)) == 1);
    CHECK(site.left == 1);
    CHECK(busy.closed());
}

namespace {

net::awaitable<void> serve_deaf(std::atomic<int>& waiting) {
    auto executor = co_await net::this_coro::executor;
    net::steady_timer timer(executor, std::chrono::hours(1));
    ++waiting;
    co_await timer.async_wait(net::use_awaitable);
}

}  // namespace

TEST_CASE("a request that ignores its stop does not hold the end of the server", "[server]") {
    ServerOptions options;
    options.port = 0;
    std::atomic<int> waiting{0};
    auto server = std::make_unique<Server>(options);
    auto started = server->start([&](const HttpRequest&, Reply&) { return serve_deaf(waiting); });
    REQUIRE(started);
    RawClient client(started->port());
    REQUIRE(client.send(get("/")));
    REQUIRE(TestSite::reached(waiting, 1));
    server.reset();
    CHECK(client.closed());
}

TEST_CASE("a second server on the same port is refused", "[server]") {
    TestSite site;
    ServerOptions options;
    options.port = site.port();
    Server second(options);
    auto started =
        second.start([](const HttpRequest&, Reply&) -> net::awaitable<void> { co_return; });
    REQUIRE_FALSE(started);
    CHECK(started.error().code == Errc::bad_config);
    CHECK(started.error().message.find("Address already in use") != std::string::npos);
    options.address = "localhost";
    Server named(options);
    auto unnamed =
        named.start([](const HttpRequest&, Reply&) -> net::awaitable<void> { co_return; });
    REQUIRE_FALSE(unnamed);
    CHECK(unnamed.error().message.find("expected an IP address") != std::string::npos);
}

namespace {

// Asks on new connections until one is served: a place has to get free, or this thread to be quick
// enough for a short limit. False after a minute.
bool answered_in_the_end(const TestSite& site) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (std::chrono::steady_clock::now() < end) {
        RawClient client(site.port());
        client.send(get("/hello"));
        if (client.answer().body == "hello") return true;
    }
    return false;
}

}  // namespace

TEST_CASE("connections over the limit are turned away in words", "[server]") {
    ServerLimits limits;
    limits.connections_max = 2;
    TestSite site(limits);
    RawClient first(site.port());
    RawClient second(site.port());
    REQUIRE(first.send(get("/hello")));
    REQUIRE(first.answer().status == 200);
    REQUIRE(second.send(get("/hello")));
    REQUIRE(second.answer().status == 200);
    {
        RawClient third(site.port());
        auto answer = third.answer();
        CHECK(answer.status == 503);
        CHECK(answer.whole);
    }
    first.reset();
    CHECK(answered_in_the_end(site));
}

TEST_CASE("mutated requests never break the server or mix answers", "[server][fuzz]") {
    ServerLimits limits;
    limits.header_ms = 30;
    limits.body_ms = 30;
    limits.idle_ms = 30;
    TestSite site(limits);
    std::vector<std::string> seeds = {
        get("/hello", "Connection: keep-alive\r\nX-A: b\r\n"),
        post("/echo", "0123456789", "Expect: 100-continue\r\n"),
        "POST /stream HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n",
        "HEAD /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
    std::vector<std::string> pieces = {"\r\n", "\n",   "\r",       " ", ":",           "\0",  "0",
                                       "ffff", "\xFF", "\r\n\r\n", ";", "chunked\r\n", "%00", ","};
    std::mt19937 random(20261122);
    auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    for (int round = 0; round < 600; ++round) {
        std::string bytes = seeds[below(seeds.size())];
        for (std::size_t edits = 1 + below(4); edits > 0 && !bytes.empty(); --edits) {
            std::size_t at = below(bytes.size());
            switch (below(5)) {
                case 0:
                    bytes[at] = static_cast<char>(random() & 255);
                    break;
                case 1:
                    bytes.erase(at, 1 + below(8));
                    break;
                case 2:
                    bytes.insert(at, pieces[below(pieces.size())]);
                    break;
                case 3:
                    bytes.insert(at, bytes.substr(below(bytes.size()), below(40)));
                    break;
                case 4:
                    bytes.resize(at);
                    break;
            }
        }
        RawClient client(site.port());
        client.send(bytes);
        ::shutdown(client.handle(), below(2) == 0 ? SHUT_WR : SHUT_RD);
        // Whatever comes back is nothing, or begins as an answer of ours.
        std::string all = client.read_all();
        bool lawful = all.empty() || all.starts_with("HTTP/1.1 ");
        CHECK(lawful);
    }
    CHECK(answered_in_the_end(site));
}
