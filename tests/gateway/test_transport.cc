#include <catch2/catch.hpp>

#include "gateway/curl_transport.h"
#include "gateway/plain_transport.h"
#include "tests/gateway/run_io.h"
#include "tests/gateway/scripted_upstream.h"

using namespace sluice;
using fake::chunk;
using fake::last_chunk;
using fake::Script;
using fake::ScriptedUpstream;
using fake::stream_head;
using fake::Then;
using fake::whole;

namespace {

Deadline in_ms(int ms) {
    return {std::chrono::steady_clock::now() + std::chrono::milliseconds(ms), "total_ms", ms};
}

HttpCall call_to(const std::string& url) {
    HttpCall call;
    call.url = url;
    call.body = R"({"model":"m"})";
    call.headers = {"content-type: application/json", "authorization: Bearer sk-very-secret"};
    return call;
}

struct Answer {
    ResponseHead head;
    std::string body;
    std::optional<Error> error;
};

net::awaitable<Answer> read_all(BodyStream& stream) {
    Answer answer;
    Result<ResponseHead> head = co_await stream.head(in_ms(20'000));
    if (!head) {
        answer.error = head.error();
        co_return answer;
    }
    answer.head = *head;
    std::string bytes;
    for (;;) {
        Status more = co_await stream.next(bytes, in_ms(20'000));
        if (!more) {
            answer.error = more.error();
            co_return answer;
        }
        if (bytes.empty()) co_return answer;
        answer.body += bytes;
    }
}

Answer fetch(net::io_context& io, Transport& transport, HttpCall call) {
    Answer answer;
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(std::move(call));
        answer = co_await read_all(*stream);
    });
    return answer;
}

}  // namespace

TEMPLATE_TEST_CASE("an answer comes with its status, headers and body", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    upstream.add({{whole(429, "application/json; charset=utf-8", "{}", "Retry-After: 7\r\n")}});
    TestType transport(io);
    Answer answer = fetch(io, transport, call_to(upstream.url("/v1/x")));
    REQUIRE(!answer.error);
    CHECK(answer.head.status == 429);
    CHECK(answer.head.content_type == "application/json; charset=utf-8");
    CHECK(answer.head.retry_after_ms == 7'000);
    CHECK(answer.body == "{}");
    REQUIRE(upstream.requests.size() == 1);
    CHECK(upstream.requests[0].starts_with("POST /v1/x HTTP/1.1\r\n"));
    CHECK(upstream.requests[0].find("Expect:") == std::string::npos);
    CHECK(upstream.requests[0].ends_with("\r\n\r\n{\"model\":\"m\"}"));
}

TEMPLATE_TEST_CASE("the head is there before the body, and an interim answer is not it",
                   "[transport]", CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    upstream.add({{"HTTP/1.1 103 Early Hints\r\n\r\n", stream_head()}, Then::hold});
    TestType transport(io);
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(call_to(upstream.url()));
        Result<ResponseHead> head = co_await stream->head(in_ms(20'000));
        REQUIRE(head);
        CHECK(head->status == 200);
        CHECK(stream->sent());
        std::string bytes;
        Status more = co_await stream->next(bytes, in_ms(10));
        REQUIRE(!more);
        CHECK(more.error().code == Errc::timed_out);
        CHECK(more.error().message.find("total_ms of 10 ms") != std::string::npos);
    });
    CHECK(transport.calls() == 0);
}

TEMPLATE_TEST_CASE("one connection serves call after call", "[transport]", CurlTransport,
                   PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    for (int i = 0; i < 5; ++i) {
        upstream.add({{stream_head(), chunk("a"), chunk("b"), last_chunk}});
        Answer answer = fetch(io, transport, call_to(upstream.url()));
        REQUIRE(!answer.error);
        CHECK(answer.body == "ab");
    }
    CHECK(upstream.connections == 1);
}

TEMPLATE_TEST_CASE("a call left before the end of its body keeps its connection", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    upstream.add({{stream_head(), chunk("done"), std::string(), last_chunk}});
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(call_to(upstream.url()));
        std::string bytes;
        Status more = co_await stream->next(bytes, in_ms(20'000));
        REQUIRE(more);
        CHECK(bytes == "done");
        BodyStream::leave(std::move(stream));
    });
    fake::run_until(io, [&] { return transport.calls() == 0; });
    upstream.add({{whole(200, "text/plain", "again")}});
    CHECK(fetch(io, transport, call_to(upstream.url())).body == "again");
    CHECK(upstream.connections == 1);
}

TEMPLATE_TEST_CASE("a call left behind that does not end is dropped", "[transport]", CurlTransport,
                   PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    upstream.add({{stream_head(), chunk("done")}, Then::hold});
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(call_to(upstream.url()));
        std::string bytes;
        Status more = co_await stream->next(bytes, in_ms(20'000));
        REQUIRE(more);
        BodyStream::leave(std::move(stream));
    });
    CHECK(transport.calls() == 1);
    fake::run_until(io, [&] { return upstream.closed_by_client == 1; });
    CHECK(transport.calls() == 0);
}

TEMPLATE_TEST_CASE("destroying or cancelling a call closes its connection", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    bool cancel = GENERATE(false, true);
    upstream.add({{stream_head(), chunk("x")}, Then::hold});
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(call_to(upstream.url()));
        Result<ResponseHead> head = co_await stream->head(in_ms(20'000));
        REQUIRE(head);
        if (!cancel) co_return;
        stream->cancel();
        std::string bytes;
        Status more = co_await stream->next(bytes, in_ms(20'000));
        REQUIRE(!more);
        CHECK(more.error().code == Errc::cancelled);
        CHECK(stream->sent());
    });
    fake::run_until(io, [&] { return upstream.closed_by_client == 1; });
}

TEMPLATE_TEST_CASE("a reader that does not read slows the upstream and loses nothing",
                   "[transport]", CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    std::string body;
    for (int i = 0; body.size() < (24U << 20); ++i) body += std::to_string(i) + ",";
    bool written = false;
    std::string head =
        "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n";
    upstream.add({{head, body}});
    upstream.after_writes = [&] { written = true; };
    auto stream = transport.start(call_to(upstream.url()));
    fake::run_io(io, [&]() -> net::awaitable<void> {
        Result<ResponseHead> answered = co_await stream->head(in_ms(20'000));
        REQUIRE(answered);
    });
    io.restart();
    while (io.run_one_for(std::chrono::milliseconds(50)) > 0) {
    }
    CHECK(!written);  // 24 MiB are more than the sockets hold
    Answer answer;
    fake::run_io(io, [&]() -> net::awaitable<void> { answer = co_await read_all(*stream); });
    CHECK(!answer.error);
    CHECK(answer.body == body);
}

TEST_CASE("a peer that is always faster leaves the thread its other work", "[transport]") {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    PlainTransport transport(io);
    upstream.add({{whole(200, "text/plain", std::string(8U << 20, 'x'))}});
    int turns = 0;
    std::function<void()> turn = [&] { ++turns, net::post(io, turn); };
    turn();
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(call_to(upstream.url()));
        std::string bytes;
        Status more = co_await stream->next(bytes, in_ms(20'000));  // what came with the head
        while (more && !bytes.empty()) {
            int before = turns;
            more = co_await stream->next(bytes, in_ms(20'000));
            CHECK((turns > before || bytes.empty()));
        }
        CHECK(more);
    });
}

TEMPLATE_TEST_CASE("an answer over its limit is refused", "[transport]", CurlTransport,
                   PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    upstream.add({{whole(200, "text/plain", std::string(1'001, 'x'))}});
    HttpCall call = call_to(upstream.url());
    call.answer_bytes_max = 1'000;
    Answer answer = fetch(io, transport, std::move(call));
    REQUIRE(answer.error);
    CHECK(answer.error->code == Errc::upstream_failed);
    CHECK(answer.error->message.find("limit of 1000 bytes") != std::string::npos);
}

TEMPLATE_TEST_CASE("a reset and a cut body are upstream_failed", "[transport]", CurlTransport,
                   PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    Then then = GENERATE(Then::close, Then::reset);
    bool headed = GENERATE(false, true);
    Script script;
    if (headed) script.writes = {stream_head(), chunk("x")};
    script.then = then;
    // Curl tries once more where a kept connection breaks before any answer; here none is kept.
    upstream.add(script);
    Answer answer = fetch(io, transport, call_to(upstream.url()));
    REQUIRE(answer.error);
    CHECK(answer.error->code == Errc::upstream_failed);
    CHECK(answer.error->message.find("127.0.0.1") != std::string::npos);
}

TEMPLATE_TEST_CASE("what cannot be called is said with the host and without the key", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    TestType transport(io);
    ScriptedUpstream closed(io);
    std::string refused = closed.url();
    closed.stop();
    std::string with_password = refused;
    with_password.insert(7, "user:hidden@");
    struct Case {
        std::string url;
        std::string words;
    };
    auto test = GENERATE_COPY(Case{refused, "127.0.0.1:"}, Case{with_password, "127.0.0.1:"},
                              Case{"file:///etc/hostname", "not supported"}, Case{"http://", ": "});
    Answer answer = fetch(io, transport, call_to(test.url));
    REQUIRE(answer.error);
    CHECK(answer.error->code == Errc::upstream_failed);
    CHECK_THAT(answer.error->message, Catch::Contains(test.words));
    CHECK_THAT(answer.error->message, !Catch::Contains("secret") && !Catch::Contains("hidden"));
}

TEMPLATE_TEST_CASE("a key with a line break in it is not sent", "[transport]", CurlTransport,
                   PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    HttpCall call = call_to(upstream.url());
    call.headers.emplace_back("x-api-key: secret\r\nx-smuggled: 1");
    Answer answer = fetch(io, transport, std::move(call));
    REQUIRE(answer.error);
    CHECK_THAT(answer.error->message, Catch::Contains("line break") && !Catch::Contains("secret"));
    CHECK(upstream.connections == 0);
}

TEMPLATE_TEST_CASE("a redirect is an answer, not followed", "[transport]", CurlTransport,
                   PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    upstream.add({{whole(302, "text/html", "", "location: " + upstream.url("/else") + "\r\n")}});
    Answer answer = fetch(io, transport, call_to(upstream.url()));
    REQUIRE(!answer.error);
    CHECK(answer.head.status == 302);
    CHECK(upstream.requests.size() == 1);
}

TEMPLATE_TEST_CASE("a peer that does not take the connection is timed out", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    using net::ip::tcp;
    tcp::acceptor full(io, tcp::v4());
    full.bind({net::ip::make_address("127.0.0.1"), 0});
    full.listen(0);
    std::vector<tcp::socket> waiting;  // fill the backlog: the kernel drops what comes after
    for (int i = 0; i < 4; ++i) {
        waiting.emplace_back(io);
        waiting.back().async_connect(full.local_endpoint(), [](boost::system::error_code) {});
    }
    TestType transport(io);
    HttpCall call = call_to("http://127.0.0.1:" + std::to_string(full.local_endpoint().port()));
    call.connect_ms = 40;
    auto stream = transport.start(std::move(call));
    fake::run_io(io, [&]() -> net::awaitable<void> {
        Result<ResponseHead> head = co_await stream->head(in_ms(20'000));
        REQUIRE(!head);
        CHECK(head.error().code == Errc::timed_out);
        CHECK_THAT(head.error().message, Catch::Contains("connect_ms is 40"));
        CHECK(!stream->sent());
    });
}

TEMPLATE_TEST_CASE("many calls at once each get their own bytes, some given up", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    TestType transport(io);
    upstream.echo_counts = true;
    int exact = 0;
    int given_up = 0;
    int running = 64;
    auto one = [&](int n) -> net::awaitable<void> {
        HttpCall call = call_to(upstream.url());
        call.body = std::to_string(n);
        auto stream = transport.start(std::move(call));
        std::string all;
        std::string bytes;
        for (;;) {
            Status more = co_await stream->next(bytes, in_ms(20'000));
            if (!more || bytes.empty()) break;
            all += bytes;
            if (n % 7 == 3) {
                ++given_up;
                co_return;
            }
        }
        std::string wanted;
        for (int i = 0; i < n; ++i) wanted += "data: " + std::to_string(i) + "\n\n";
        if (all == wanted) ++exact;
    };
    for (int i = 0; i < 64; ++i) {
        net::co_spawn(
            io, [&one, i] { return one(10 * i + i % 7); }, [&](std::exception_ptr) { --running; });
    }
    fake::run_until(io, [&] { return running == 0; });
    CHECK(given_up == 9);
    CHECK(exact == 55);
    fake::run_until(io, [&] { return transport.calls() == 0; });
}

TEMPLATE_TEST_CASE("a transport that ends cancels its calls, which may outlive it", "[transport]",
                   CurlTransport, PlainTransport) {
    net::io_context io(1);
    ScriptedUpstream upstream(io);
    upstream.add({{stream_head()}, Then::hold});
    auto transport = std::make_unique<TestType>(io);
    auto stream = transport->start(call_to(upstream.url()));
    fake::run_io(io, [&]() -> net::awaitable<void> {
        Result<ResponseHead> head = co_await stream->head(in_ms(20'000));
        REQUIRE(head);
        transport.reset();
        std::string bytes;
        Status more = co_await stream->next(bytes, in_ms(20'000));
        REQUIRE(!more);
        CHECK(more.error().code == Errc::cancelled);
    });
}

TEST_CASE("retry-after is seconds or a date, at most an hour", "[transport]") {
    CHECK(parse_retry_after_ms("2", 0) == 2'000);
    CHECK(parse_retry_after_ms("1.5", 0) == 1'500);
    CHECK(parse_retry_after_ms("Fri, 31 Dec 1999 23:59:59 GMT", 946'684'797) == 2'000);
    CHECK(parse_retry_after_ms("Fri, 31 Dec 1999 23:59:59 GMT", 946'684'900) == 0);
    CHECK(parse_retry_after_ms("999999999", 0) == 3'600'000);
    CHECK(parse_retry_after_ms("inf", 0) == 3'600'000);
    for (auto none : {"-5", "soon", "", "nan"}) CHECK(parse_retry_after_ms(none, 0) == 0);
}
