// Clients that leave, dawdle, or behave oddly.
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <future>

#include "tests/gateway/test_site.h"

using namespace sluice;
using namespace sluice::testing;

TEST_CASE("a client that leaves stops its request", "[connection]") {
    TestSite site;
    SECTION("by a close") {
        {
            RawClient client(site.port());
            REQUIRE(client.send(post("/wait", "{}")));
            REQUIRE(TestSite::reached(site.waiting, 1));
        }
        CHECK(TestSite::reached(site.left, 1));
    }
    SECTION("by a reset") {
        RawClient client(site.port());
        REQUIRE(client.send(post("/wait", "{}")));
        REQUIRE(TestSite::reached(site.waiting, 1));
        client.reset();
        CHECK(TestSite::reached(site.left, 1));
    }
    SECTION("in the middle of a stream") {
        RawClient client(site.port());
        REQUIRE(client.send(get("/gate")));
        REQUIRE(TestSite::reached(site.waiting, 1));
        client.reset();
        CHECK(TestSite::reached(site.left, 1));
    }
    SECTION("after it has sent bytes out of turn") {
        {
            RawClient client(site.port());
            REQUIRE(client.send(get("/wait")));
            REQUIRE(TestSite::reached(site.waiting, 1));
            REQUIRE(client.send("more bytes"));
        }
        CHECK(TestSite::reached(site.left, 1));
    }
    CHECK(TestSite::reached(site.returned, 1));
}

TEST_CASE("an answered request is not stopped when its client leaves later", "[connection]") {
    TestSite site;
    for (int i = 0; i < 50; ++i) {
        RawClient client(site.port());
        REQUIRE(client.send(get("/hello")));
        REQUIRE(client.answer().whole);
    }
    CHECK(site.left == 0);
}

TEST_CASE("a client that sends too slowly is told so and let go", "[connection]") {
    ServerLimits limits;
    limits.header_ms = 60;
    limits.body_ms = 60;
    TestSite site(limits);
    RawClient head(site.port());
    REQUIRE(head.send("GET /hello HTTP/1.1\r\nHost:"));
    RawClient body(site.port());
    REQUIRE(body.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab"));
    auto late_head = head.answer();
    CHECK(late_head.status == 408);
    CHECK(late_head.body.find("60 ms") != std::string::npos);
    CHECK(head.closed());
    CHECK(body.answer().status == 408);
    CHECK(body.closed());
    RawClient mute(site.port());
    CHECK(mute.closed());
}

TEST_CASE("dripping bytes does not move the head's deadline", "[connection]") {
    ServerLimits limits;
    limits.header_ms = 100;
    TestSite site(limits);
    TestSite beat;  // of its own: the short limit is not for it
    RawClient client(site.port());
    RawClient other(beat.port());
    REQUIRE(client.send("GET /hello HTTP/1.1\r\nHost: t\r\n"));
    // Each round trip of another connection is a beat of the drip; the deadline must end it.
    for (int sent = 0; sent < 20'000 && client.send("X: y\r\n"); ++sent) {
        REQUIRE(other.send(get("/hello")));
        REQUIRE(other.answer().status == 200);
        char byte;
        if (::recv(client.handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) break;
    }
    int status = client.answer().status;
    CHECK((status == 408 || status == 431));
}

TEST_CASE("a large body is read in turns with the thread's other work", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    REQUIRE(client.send(get("/hello")));
    REQUIRE(client.answer().whole);
    net::io_context& io = site.server().context(0);
    std::atomic<int> turns{0};
    std::function<void()> turn = [&] {
        if (site.served > 1) return;
        ++turns;
        net::post(io, turn);
    };
    // The thread is held until all of the body lies in the socket's buffers.
    std::promise<void> held;
    std::promise<void> sent;
    net::post(io, [&] {
        held.set_value();
        sent.get_future().wait();
        turn();
    });
    held.get_future().wait();
    int bytes = 1 << 20;
    ::setsockopt(client.handle(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    bool whole = client.send(post("/echo", std::string(200'000, 'x')));
    sent.set_value();
    REQUIRE(whole);
    CHECK(client.answer().whole);
    CHECK(turns >= 4);  // four reads of 64 KiB
}

TEST_CASE("an idle connection is closed after its time", "[connection]") {
    ServerLimits limits;
    limits.idle_ms = 60;
    TestSite site(limits);
    RawClient client(site.port());
    REQUIRE(client.send(get("/hello")));
    CHECK(client.answer().headers.count("connection") == 0);
    CHECK(client.closed());
}

TEST_CASE("a client that does not read is given up", "[connection]") {
    ServerLimits limits;
    limits.write_ms = 80;
    TestSite site(limits);
    RawClient client(site.port());
    client.shrink_receive_buffer();
    REQUIRE(client.send(get("/big")));
    CHECK(TestSite::reached(site.left, 1));
    CHECK(TestSite::reached(site.returned, 1));
}

TEST_CASE("a large answer is whole for a client that reads", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(client.send(get("/big")));
        auto answer = client.answer();
        CHECK(answer.whole);
        CHECK(answer.body == std::string(16'000'000, 'x'));
    }
}

TEST_CASE("a request that is not answered gets a 500 and a begun one is cut", "[connection]") {
    TestSite site;
    for (const char* path : {"/throw", "/silent"}) {
        RawClient client(site.port());
        REQUIRE(client.send(get(path)));
        auto answer = client.answer();
        CHECK(answer.status == 500);
        CHECK(answer.body.find(R"("type":"server_error")") != std::string::npos);
        CHECK(answer.body.find("thrown by the test") == std::string::npos);
        CHECK(client.closed());
    }
    RawClient client(site.port());
    REQUIRE(client.send(get("/cut")));
    auto answer = client.answer();
    CHECK(answer.status == 200);
    CHECK(answer.body == "half");
    CHECK_FALSE(answer.whole);
}

TEST_CASE("a sane request id is kept, another replaced", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    auto id_for = [&](const std::string& given) {
        REQUIRE(client.send(get("/hello", "x-request-id: " + given + "\r\n")));
        return client.answer().headers["x-request-id"];
    };
    CHECK(id_for("my-id/1") == "my-id/1");
    CHECK(id_for(std::string(128, 'i')) == std::string(128, 'i'));
    std::string ours = id_for(std::string(129, 'i'));
    CHECK(ours.starts_with("req_"));
    CHECK(ours.size() == 28);
    CHECK(id_for("two words").starts_with("req_"));
    CHECK(id_for("") != ours);
}

TEST_CASE("a request that a proxy passed on is not from loopback", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    REQUIRE(client.send(get("/echo")));
    CHECK(client.answer().headers["x-loopback"] == "yes");
    REQUIRE(client.send(get("/echo", "X-Forwarded-For: 10.0.0.1\r\n")));
    CHECK(client.answer().headers["x-loopback"] == "no");
}
