#include <catch2/catch.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "gateway/local_stream.h"
#include "tests/fakes/scripted_engine.h"
#include "tests/gateway/run_io.h"

using namespace sluice;
using namespace std::chrono_literals;

namespace {

struct Site {
    ScriptedEngine engine{{{"<|im_start|>"}, {"<|im_end|>", true, true}}, ""};
    std::unique_ptr<const LocalProvider> provider;
    Upstream upstream;
    Stop stop;
    net::io_context io{1};

    Site() {
        auto made = LocalProvider::create(engine, LocalOptions());
        REQUIRE(made);
        provider = *std::move(made);
        upstream.name = "local-test";
        upstream.model = "tiny";
    }
    std::unique_ptr<DeltaStream> open() {
        auto stream =
            open_local_stream(engine, *provider, ask(), {}, upstream, stop, io.get_executor());
        REQUIRE(stream);
        return *std::move(stream);
    }
    static ChatRequest ask() {
        ChatRequest request;
        Message message;
        Part part;
        part.text = "hi";
        message.parts.push_back(part);
        request.messages.push_back(message);
        return request;
    }
    Result<Delta> next(DeltaStream& stream) {
        Result<Delta> delta;
        fake::run_io(io, [&]() -> net::awaitable<void> { delta = co_await stream.next(); });
        return delta;
    }
};

Piece end_piece(int generated = 3) {
    return ScriptedEngine::end(FinishReason::stop, 10, generated);
}

}  // namespace

TEST_CASE("the engine's pieces come out in order and end with usage", "[local_stream]") {
    Site site;
    auto stream = site.open();
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("a")));
    auto first = site.next(*stream);
    REQUIRE(first);
    CHECK(first->text == "a");
    CHECK(first->model == "tiny");
    CHECK(first->usage.out_text == 1);
    CHECK_FALSE(first->last);
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("b")));
    auto second = site.next(*stream);
    REQUIRE(second);
    CHECK(second->text == "b");
    CHECK(second->model.empty());
    REQUIRE(site.engine.put(1, end_piece()));
    auto last = site.next(*stream);
    REQUIRE(last);
    CHECK(last->last);
    CHECK(last->finish == Finish::stop);
    CHECK(last->usage.in_uncached == 10);
    CHECK(last->usage.out_text == 3);
    CHECK(stream->usage_so_far().output() == 3);
    CHECK_FALSE(site.next(*stream));
    stream.reset();
    CHECK(site.engine.cancelled == 0);
}

TEST_CASE("pieces that wait become one delta", "[local_stream]") {
    Site site;
    auto stream = site.open();
    for (const char* text : {"one ", "two ", "three"}) {
        REQUIRE(site.engine.put(1, ScriptedEngine::piece(text)));
    }
    auto delta = site.next(*stream);
    REQUIRE(delta);
    CHECK(delta->text == "one two three");
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("!")));
    REQUIRE(site.engine.put(1, end_piece(14)));
    delta = site.next(*stream);
    REQUIRE(delta);
    CHECK(delta->text == "!");
    CHECK(delta->last);
    CHECK(delta->usage.out_text == 14);
}

TEST_CASE("a stream that waits is woken by the engine", "[local_stream]") {
    Site site;
    auto stream = site.open();
    std::thread engine;
    Result<Delta> delta;
    fake::run_io(site.io, [&]() -> net::awaitable<void> {
        engine = std::thread([&] { site.engine.put(1, ScriptedEngine::piece("x")); });
        delta = co_await stream->next();
    });
    engine.join();
    REQUIRE(delta);
    CHECK(delta->text == "x");
}

TEST_CASE("destroying the stream cancels the sequence at once", "[local_stream]") {
    Site site;
    auto stream = site.open();
    Sink sink = site.engine.submitted(1).sink;
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("a")));
    stream.reset();
    CHECK(site.engine.cancelled == 1);
    CHECK_FALSE(site.engine.holds(1));
    // A piece that was on its way is swallowed: the engine must not hold the sequence for it.
    Piece late = ScriptedEngine::piece("late");
    CHECK(sink(late));
}

TEST_CASE("the stop wakes a waiting stream and frees the sequence", "[local_stream]") {
    Site site;
    auto stream = site.open();
    Result<Delta> delta;
    fake::run_io(site.io, [&]() -> net::awaitable<void> {
        net::post(site.io, [&] { site.stop.request(); });
        delta = co_await stream->next();
    });
    REQUIRE_FALSE(delta);
    CHECK(delta.error().code == Errc::cancelled);
    CHECK_FALSE(site.engine.holds(1));
    auto again = site.next(*stream);
    REQUIRE_FALSE(again);
    CHECK(again.error().code == Errc::cancelled);
}

TEST_CASE("a stop that came before is seen before any piece", "[local_stream]") {
    Site site;
    auto stream = site.open();
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("a")));
    site.stop.request();
    auto delta = site.next(*stream);
    REQUIRE_FALSE(delta);
    CHECK(delta.error().code == Errc::cancelled);
    site.engine.refusal.reset();
    auto late = open_local_stream(site.engine, *site.provider, Site::ask(), {}, site.upstream,
                                  site.stop, site.io.get_executor());
    REQUIRE(late);
    CHECK_FALSE(site.next(**late));
}

TEST_CASE("each deadline ends the stream by its name", "[local_stream]") {
    Site site;
    SECTION("no first token") {
        site.upstream.deadlines.first_token_ms = 20;
        auto stream = site.open();
        auto delta = site.next(*stream);
        REQUIRE_FALSE(delta);
        CHECK(delta.error().code == Errc::timed_out);
        CHECK(delta.error().message == "local-test: no first token within 20 ms (first_token_ms)");
        CHECK_FALSE(site.engine.holds(1));
    }
    SECTION("no token after another") {
        site.upstream.deadlines.inter_token_ms = 20;
        auto stream = site.open();
        REQUIRE(site.engine.put(1, ScriptedEngine::piece("a")));
        REQUIRE(site.next(*stream));
        auto delta = site.next(*stream);
        REQUIRE_FALSE(delta);
        CHECK(delta.error().message == "local-test: no token came for 20 ms (inter_token_ms)");
    }
    SECTION("not complete, though tokens keep coming") {
        site.upstream.deadlines.total_ms = 30;
        auto stream = site.open();
        Result<Delta> delta;
        do {
            REQUIRE(site.engine.put(1, ScriptedEngine::piece("a")));
            delta = site.next(*stream);
        } while (delta);
        CHECK(delta.error().code == Errc::timed_out);
        CHECK(delta.error().message ==
              "local-test: the answer was not complete within 30 ms (total_ms)");
    }
}

TEST_CASE("time that the client takes is not the engine's", "[local_stream]") {
    Site site;
    site.upstream.deadlines.first_token_ms = 40;
    site.upstream.deadlines.inter_token_ms = 40;
    auto stream = site.open();
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("a")));
    REQUIRE(site.next(*stream));
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("b")));
    fake::run_io(site.io, [&]() -> net::awaitable<void> {  // the client reads slowly
        net::steady_timer timer(site.io, 80ms);
        co_await timer.async_wait(net::use_awaitable);
    });
    auto delta = site.next(*stream);
    REQUIRE(delta);
    CHECK(delta->text == "b");
}

TEST_CASE("a full channel holds the engine until the client reads", "[local_stream]") {
    Site site;
    auto stream = site.open();
    Sink sink = site.engine.submitted(1).sink;
    for (std::size_t i = 0; i < pieces_max; ++i) {
        REQUIRE(site.engine.put(1, ScriptedEngine::piece("x")));
    }
    Piece piece = ScriptedEngine::piece("kept");
    REQUIRE_FALSE(sink(piece));
    CHECK(piece.text == "kept");
    CHECK(piece.tokens.size() == 4);
    auto delta = site.next(*stream);
    REQUIRE(delta);
    CHECK(delta->text == std::string(pieces_max, 'x'));
    CHECK(sink(piece));
    delta = site.next(*stream);
    REQUIRE(delta);
    CHECK(delta->text == "kept");
}

TEST_CASE("what came before a failure is given out first", "[local_stream]") {
    Site site;
    auto stream = site.open();
    Piece failed = ScriptedEngine::end(FinishReason::failed, 10, 2);
    failed.error = "NaN";
    REQUIRE(site.engine.put(1, ScriptedEngine::piece("ok")));
    REQUIRE(site.engine.put(1, failed));
    auto delta = site.next(*stream);
    REQUIRE(delta);
    CHECK(delta->text == "ok");
    CHECK_FALSE(delta->last);
    delta = site.next(*stream);
    REQUIRE_FALSE(delta);
    CHECK(delta.error().code == Errc::device_failed);
}

TEST_CASE("what the provider and the engine refuse comes from opening", "[local_stream]") {
    Site site;
    ChatRequest request = Site::ask();
    request.tools.push_back(Tool());
    auto refused = open_local_stream(site.engine, *site.provider, request, {}, site.upstream,
                                     site.stop, site.io.get_executor());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::unsupported_parameter);
    site.engine.refusal = Error(Errc::overloaded, "full");
    refused = open_local_stream(site.engine, *site.provider, Site::ask(), {}, site.upstream,
                                site.stop, site.io.get_executor());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::overloaded);
    CHECK(site.engine.cancelled == 0);
}

namespace {

struct Tally {
    std::atomic<int> streams = 0;
    std::atomic<int> tokens = 0;
    std::atomic<int> complete = 0;
};

// Reads a stream to its end, or leaves it after `leave_after` tokens.
net::awaitable<void> read_stream(std::unique_ptr<DeltaStream> stream, int leave_after,
                                 Tally& tally) {
    int tokens = 0;
    bool more = true;
    while (more) {
        Result<Delta> delta = co_await stream->next();
        if (!delta) break;
        tokens += static_cast<int>(delta->text.size());
        more = !delta->last && (leave_after == 0 || tokens < leave_after);
        if (delta->last) ++tally.complete;
    }
    tally.tokens += leave_after == 0 ? tokens : 0;
    stream.reset();
    ++tally.streams;
}

}  // namespace

TEST_CASE("no token is lost between the engine thread and many io threads", "[local_stream]") {
    constexpr int streams = 48;
    constexpr int tokens = 400;
    Site site;
    Stop stops[2];
    net::io_context ios[2] = {net::io_context(1), net::io_context(1)};
    Tally tally;
    for (int i = 0; i < streams; ++i) {
        net::io_context& io = ios[i % 2];
        auto stream = open_local_stream(site.engine, *site.provider, Site::ask(), {}, site.upstream,
                                        stops[i % 2], io.get_executor());
        REQUIRE(stream);
        const int leave_after = i % 4 == 3 ? 1 + i : 0;
        net::co_spawn(io, read_stream(*std::move(stream), leave_after, tally), net::detached);
    }
    std::thread engine([&] {
        std::vector<int> sent(streams + 1, 0);
        int ended = 0;
        while (ended < streams) {
            ended = 0;
            for (int id = 1; id <= streams; ++id) {
                int& n = sent[static_cast<std::size_t>(id)];
                const auto sequence = static_cast<SequenceId>(id);
                const bool end = n >= tokens;
                if (n > tokens || !site.engine.holds(sequence)) {
                    ++ended;
                } else if (site.engine.put(sequence,
                                           end ? end_piece(tokens) : ScriptedEngine::piece("t"))) {
                    ++n;
                }
            }
        }
    });
    std::thread other([&] { ios[1].run(); });
    ios[0].run();
    other.join();
    engine.join();
    CHECK(tally.streams == streams);
    CHECK(tally.complete == streams * 3 / 4);
    CHECK(tally.tokens == streams * 3 / 4 * tokens);
}

TEST_CASE("a stream may die while the engine speaks to it", "[local_stream]") {
    Site site;
    for (int round = 0; round < 300; ++round) {
        auto stream = site.open();
        const SequenceId id = site.engine.last();
        std::atomic<bool> speaking = false;
        std::thread engine([&] {
            Sink sink = site.engine.submitted(id).sink;
            for (int i = 0; i < 50; ++i) {
                Piece piece = ScriptedEngine::piece("x");
                sink(piece);
                speaking = true;
            }
        });
        while (!speaking) std::this_thread::yield();
        stream.reset();
        engine.join();
        CHECK_FALSE(site.engine.holds(id));
    }
}

TEST_CASE("an io_context may be destroyed with streams in it", "[local_stream]") {
    Site site;
    Sink sink;
    {
        net::io_context io(1);
        auto stream = open_local_stream(site.engine, *site.provider, Site::ask(), {}, site.upstream,
                                        site.stop, io.get_executor());
        REQUIRE(stream);
        sink = site.engine.submitted(1).sink;
        Tally tally;
        net::co_spawn(io, read_stream(*std::move(stream), 0, tally), net::detached);
        io.poll();
    }
    CHECK_FALSE(site.engine.holds(1));
    Piece piece = ScriptedEngine::piece("late");
    CHECK(sink(piece));
}

TEST_CASE("the caller's team is the tenant of its sequence", "[local_stream]") {
    Site site;
    Caller caller;
    caller.team = "red";
    auto stream = open_local_stream(site.engine, *site.provider, Site::ask(), caller, site.upstream,
                                    site.stop, site.io.get_executor());
    REQUIRE(stream);
    CHECK(site.engine.submitted(1).options.cache_tenant == "0:red");
}
