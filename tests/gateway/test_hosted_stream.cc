#include <catch2/catch.hpp>

#include "gateway/hosted_stream.h"
#include "gateway/plain_transport.h"
#include "tests/gateway/run_io.h"
#include "tests/gateway/scripted_upstream.h"

using namespace sluice;
using fake::chunk;
using fake::last_chunk;
using fake::ScriptedUpstream;
using fake::stream_head;
using fake::Then;
using fake::whole;

namespace {

// The wire of these tests: an event's data is "text X", "think X", "ping", "usage IN OUT", "end"
// or "zero", an end that counts nothing and does not say so; a whole answer is the text itself.
class LineReader final : public EventReader {
public:
    Status read(const SseEvent& event, std::vector<Delta>& deltas) override {
        const std::string& line = event.data;
        Delta delta;
        if (line == "ping") return Done();
        if (line.starts_with("text ")) delta.text = line.substr(5);
        if (line.starts_with("think ")) delta.reasoning = line.substr(6);
        if (line.starts_with("usage ")) {
            std::size_t space = line.find(' ', 6);
            usage_.in_uncached = std::stoi(line.substr(6, space - 6));
            usage_.out_text = std::stoi(line.substr(space));
            delta.usage = usage_;
        }
        if (line == "garbage") return Error(Errc::upstream_failed, "cannot read 'garbage'");
        if (line == "end") {
            delta.last = true;
            delta.usage = usage_;
            delta.usage_missing = usage_.input() == 0;
        }
        delta.last = delta.last || line == "zero";
        deltas.push_back(delta);
        return Done();
    }
    Status finish(std::vector<Delta>&) override {
        return Error(Errc::upstream_failed, "the stream was cut");
    }

private:
    Usage usage_;
};

class LineDialect final : public Dialect {
public:
    std::string_view name() const override { return "line"; }
    Result<ChatRequest> read_request(std::string_view) const override { return ChatRequest(); }
    std::unique_ptr<EventWriter> event_writer(const AnswerHead&) const override { return {}; }
    std::string write_answer(const AnswerHead&, const Delta&, const AnswerTail&) const override {
        return {};
    }
    std::string write_error(const Error&, const std::string&) const override { return {}; }
    std::string write_request(const ChatRequest& request, const Upstream&) const override {
        return "body for " + request.model;
    }
    UpstreamHttp upstream_http(const Upstream& upstream) const override {
        return {"/call", {"authorization: Bearer " + upstream.api_key.reveal()}};
    }
    std::unique_ptr<EventReader> event_reader(const Upstream&) const override {
        return std::make_unique<LineReader>();
    }
    Result<Delta> read_answer(std::string_view body, const Upstream&) const override {
        if (body == "garbage") return Error(Errc::upstream_failed, "cannot read 'garbage'");
        Delta delta;
        delta.text = body;
        delta.last = true;
        delta.usage_missing = true;
        return delta;
    }
    Error read_error(int status, std::string_view body) const override {
        return Error(status == 429 ? Errc::rate_limited : Errc::upstream_rejected,
                     std::to_string(status) + " " + std::string(body));
    }
};

std::string event(const std::string& data) { return chunk("data: " + data + "\n\n"); }

struct Bench {
    net::io_context io{1};
    ScriptedUpstream peer{io};
    PlainTransport transport{io};
    LineDialect dialect;
    Upstream upstream;
    ChatRequest request;
    Stop stop;
    std::vector<Delta> deltas;
    std::optional<Error> error;
    Usage usage;

    Bench() {
        upstream.name = "open-test";
        upstream.base_url = peer.url("");
        upstream.api_key = Secret("sk-hidden");
        request.model = "m";
        request.stream = true;
    }
    std::unique_ptr<HostedStream> start() {
        return std::make_unique<HostedStream>(transport, dialect, upstream, request, 100, stop);
    }
    net::awaitable<void> drain(HostedStream& stream) {
        for (;;) {
            Result<Delta> delta = co_await stream.next();
            usage = stream.usage_so_far();
            if (!delta) {
                error = delta.error();
                co_return;
            }
            deltas.push_back(*delta);
            if (delta->last) co_return;
        }
    }
    void run() {
        auto stream = start();
        fake::run_io(io, [&]() -> net::awaitable<void> { return drain(*stream); });
    }
    std::string text() const {
        std::string all;
        for (const Delta& delta : deltas) all += delta.text;
        return all;
    }
};

}  // namespace

TEST_CASE("a stream gives its deltas one by one, the last with the vendor's usage", "[hosted]") {
    Bench bench;
    bench.peer.add(
        {{stream_head("text/event-stream; charset=utf-8"), event("think hm"), event("ping"),
          event("text a") + event("text b"), event("usage 12 3"), event("end"), last_chunk}});
    bench.run();
    REQUIRE(!bench.error);
    REQUIRE(bench.deltas.size() == 5);
    CHECK(bench.deltas[0].reasoning == "hm");
    CHECK(bench.text() == "ab");
    CHECK(bench.deltas.back().usage.in_uncached == 12);
    CHECK(bench.usage.out_text == 3);
    CHECK(!bench.usage.estimated);
    REQUIRE(bench.peer.requests.size() == 1);
    const std::string& sent = bench.peer.requests[0];
    CHECK(sent.starts_with("POST /call HTTP/1.1\r\n"));
    CHECK(sent.find("authorization: Bearer sk-hidden\r\n") != std::string::npos);
    CHECK(sent.find("accept: text/event-stream\r\n") != std::string::npos);
    CHECK(sent.ends_with("body for m"));
}

TEST_CASE("streams that end well share one connection", "[hosted]") {
    Bench bench;
    for (int i = 0; i < 3; ++i) {
        bench.peer.add({{stream_head(), event("usage 1 1"), event("end"), last_chunk}});
        bench.run();
        REQUIRE(!bench.error);
        fake::run_until(bench.io, [&] { return bench.transport.calls() == 0; });
    }
    CHECK(bench.peer.connections == 1);
}

TEST_CASE("where the vendor gives no usage it is counted and said so", "[hosted]") {
    Bench bench;
    bench.peer.add({{stream_head(), event("think 123456789"), event("text a"), event("text b"),
                     event("end"), last_chunk}});
    bench.run();
    REQUIRE(!bench.error);
    const Usage& usage = bench.deltas.back().usage;
    CHECK(bench.deltas.back().usage_missing);
    CHECK(usage.estimated);
    CHECK(usage.in_uncached == 100);
    CHECK(usage.out_text == 2);       // two deltas
    CHECK(usage.out_reasoning == 3);  // nine bytes
    CHECK(bench.usage.output() == 5);
}

TEST_CASE("a whole answer is one last delta", "[hosted]") {
    Bench bench;
    bench.request.stream = false;
    bench.peer.add({{whole(200, "application/json", "hello there")}});
    bench.run();
    REQUIRE(!bench.error);
    REQUIRE(bench.deltas.size() == 1);
    CHECK(bench.deltas[0].last);
    CHECK(bench.deltas[0].text == "hello there");
    CHECK(bench.deltas[0].usage.out_text == 3);
    CHECK(bench.peer.requests[0].find("accept: application/json\r\n") != std::string::npos);
}

TEST_CASE("a refusal is the dialect's error, with how long to wait, and costs nothing",
          "[hosted]") {
    Bench bench;
    bench.request.stream = GENERATE(true, false);
    bench.peer.add({{whole(429, "text/html", "slow down", "retry-after: 3\r\n")}});
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::rate_limited);
    CHECK(bench.error->message == "open-test: 429 slow down");
    CHECK(bench.error->retry_after_ms == 3'000);
    CHECK(bench.usage.input() + bench.usage.output() == 0);
    CHECK(!bench.usage.estimated);
}

TEST_CASE("an upstream that repeats our credential does not show it to the caller", "[hosted]") {
    Bench bench;
    bench.peer.add({{whole(401, "text/html", "sk-hidden is wrong, 'sk-hidden'")}});
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->message == "open-test: 401 [api key] is wrong, '[api key]'");
}

TEST_CASE("an answer that its vendor counts as no tokens at all is counted here", "[hosted]") {
    Bench bench;
    bench.peer.add({{stream_head() + event("text twelve bytes") + event("zero") + last_chunk}});
    bench.run();
    REQUIRE(!bench.error);
    CHECK(bench.deltas.back().usage_missing);
    CHECK(bench.deltas.back().usage.in_uncached == 100);
    CHECK(bench.deltas.back().usage.out_text == 3);
    CHECK(bench.deltas.back().usage.estimated);
}

TEST_CASE("a refusal whose body breaks off or never ends is still one", "[hosted]") {
    Bench bench;
    std::string head = "HTTP/1.1 400 Bad\r\ncontent-length: 9000000\r\n\r\n";
    bool endless = GENERATE(false, true);
    if (endless) bench.peer.add({{head + std::string(200'000, 'x')}, Then::hold});
    if (!endless) bench.peer.add({{head + "why"}, Then::close});
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::upstream_rejected);
    CHECK(bench.error->message.size() < 66'000);
    CHECK_THAT(bench.error->message, Catch::StartsWith("open-test: 400 "));
}

TEST_CASE("answers that are no answer are upstream_failed", "[hosted]") {
    Bench bench;
    struct Case {
        std::vector<std::string> writes;
        std::string words;
        std::int64_t input_billed;
    };
    auto test = GENERATE(
        Case{{whole(200, "text/html", "<html>")}, "content-type 'text/html'", 0},
        Case{{whole(302, "text/html", "")}, "HTTP 302; redirects are not followed", 0},
        Case{{stream_head(), event("text a"), event("garbage")}, "cannot read 'garbage'", 100},
        Case{{stream_head(), event("text a"), last_chunk}, "the stream was cut", 100},
        Case{{stream_head(), event("text a"), chunk("data: text b"), last_chunk},
             "inside an event",
             100},
        Case{{stream_head(), event("text a"), "not a chunk\r\n"}, "open-test: 127.0.0.1", 100});
    bench.peer.add({test.writes});
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::upstream_failed);
    CHECK_THAT(bench.error->message,
               Catch::StartsWith("open-test: ") && Catch::Contains(test.words));
    CHECK(bench.usage.input() == test.input_billed);
    CHECK(bench.text() == (test.input_billed > 0 ? "a" : ""));
    CHECK(bench.usage.out_text == (test.input_billed > 0 ? 1 : 0));
}

TEST_CASE("a whole answer that cannot be read is upstream_failed", "[hosted]") {
    Bench bench;
    bench.request.stream = false;
    bench.peer.add({{whole(200, "application/json", "garbage")}});
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::upstream_failed);
}

TEST_CASE("a reset in the stream comes after the deltas before it, billed as counted", "[hosted]") {
    Bench bench;
    bench.peer.add({{stream_head(), event("usage 40 1") + event("text abcdefgh")}, Then::reset});
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::upstream_failed);
    CHECK(bench.text() == "abcdefgh");
    CHECK(bench.usage.in_uncached == 40);  // the vendor said so
    CHECK(bench.usage.out_text == 2);      // counted by us
    CHECK(bench.usage.estimated);
}

TEST_CASE("a call that the upstream never got costs nothing", "[hosted]") {
    Bench bench;
    bench.peer.stop();
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::upstream_failed);
    CHECK_THAT(bench.error->message, !Catch::Contains("hidden"));
    CHECK(bench.usage.input() == 0);
}

TEST_CASE("each deadline is named when it passes, and the call is closed", "[hosted]") {
    struct Case {
        std::vector<std::string> writes;
        int Deadlines::*limit;
        bool stream;
        std::string words;
    };
    // Pings and usage are no answer: they do not put a deadline off.
    auto test =
        GENERATE(Case{{}, &Deadlines::first_token_ms, true, "first_token_ms of "},
                 Case{{stream_head(), event("ping"), event("usage 9 0")},
                      &Deadlines::first_token_ms,
                      true,
                      "first_token_ms"},
                 Case{{stream_head(), event("text a"), event("ping")},
                      &Deadlines::inter_token_ms,
                      true,
                      "inter_token_ms"},
                 Case{{stream_head(), event("text a")}, &Deadlines::total_ms, true, "total_ms"},
                 Case{{}, &Deadlines::total_ms, false, "total_ms"});
    bool reached = false;  // not where this machine took longer than the limit to send the call
    for (int ms : {30, 300, 3'000, 30'000}) {
        Bench bench;
        bench.upstream.deadlines.*test.limit = ms;
        bench.request.stream = test.stream;
        bench.peer.add({test.writes, Then::hold});
        bench.run();
        REQUIRE(bench.error);
        CHECK(bench.error->code == Errc::timed_out);
        CHECK_THAT(bench.error->message, Catch::Contains(test.words));
        reached = bench.usage.input() > 0;  // the upstream had the prompt
        if (!reached) continue;
        CHECK(bench.usage.estimated);
        fake::run_until(bench.io, [&] { return bench.peer.closed_by_client == 1; });
        break;
    }
    CHECK(reached);
}

TEST_CASE("a stop wakes the reader with cancelled and closes the call", "[hosted]") {
    Bench bench;
    bench.peer.add({{stream_head(), event("text a")}, Then::hold});
    auto stream = bench.start();
    fake::run_io(bench.io, [&]() -> net::awaitable<void> {
        Result<Delta> first = co_await stream->next();
        REQUIRE(first);
        net::post(bench.io, [&] { bench.stop.request(); });
        Result<Delta> second = co_await stream->next();
        REQUIRE(!second);
        CHECK(second.error().code == Errc::cancelled);
        Result<Delta> third = co_await stream->next();
        CHECK(!third);
    });
    CHECK(stream->usage_so_far().in_uncached == 100);
    CHECK(stream->usage_so_far().out_text == 1);
    fake::run_until(bench.io, [&] { return bench.peer.closed_by_client == 1; });
}

TEST_CASE("a stop asked before the call starts ends it", "[hosted]") {
    Bench bench;
    bench.stop.request();
    bench.run();
    REQUIRE(bench.error);
    CHECK(bench.error->code == Errc::cancelled);
    CHECK(bench.usage.input() == 0);
}

TEST_CASE("a destroyed stream closes its call", "[hosted]") {
    Bench bench;
    bench.peer.add({{stream_head(), event("text a")}, Then::hold});
    auto stream = bench.start();
    fake::run_io(bench.io, [&]() -> net::awaitable<void> {
        Result<Delta> first = co_await stream->next();
        REQUIRE(first);
    });
    stream.reset();
    fake::run_until(bench.io, [&] { return bench.peer.closed_by_client == 1; });
    bench.stop.request();  // must not reach it any more
}
