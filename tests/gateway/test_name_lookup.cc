// An http:// upstream given by name: the lookup is the transport's own.
#include <catch2/catch.hpp>

#include "gateway/plain_transport.h"
#include "tests/gateway/run_io.h"
#include "tests/gateway/scripted_upstream.h"

using namespace sluice;

namespace {

// Too long for DNS, so that no network is needed to learn that there is no such host.
const std::string no_host = std::string(64, 'a') + ".invalid";

Deadline soon() {
    return {std::chrono::steady_clock::now() + std::chrono::seconds(20), "total_ms", 20'000};
}

HttpCall call_to(const fake::ScriptedUpstream& upstream, const std::string& host) {
    HttpCall call;
    call.url = upstream.url();
    call.url.replace(call.url.find("127.0.0.1"), std::string("127.0.0.1").size(), host);
    call.body = "{}";
    return call;
}

Result<ResponseHead> head_of(net::io_context& io, Transport& transport, HttpCall call) {
    Result<ResponseHead> head = Error(Errc::internal, "not asked");
    fake::run_io(io, [&]() -> net::awaitable<void> {
        auto stream = transport.start(std::move(call));
        head = co_await stream->head(soon());
    });
    return head;
}

}  // namespace

TEST_CASE("an upstream is called by its host's name, whichever of its addresses answers",
          "[transport]") {
    net::io_context io(1);
    fake::ScriptedUpstream upstream(io);  // on 127.0.0.1; localhost may be ::1 as well
    upstream.add({{fake::whole(200, "application/json", "{}")}});
    PlainTransport transport(io);
    auto head = head_of(io, transport, call_to(upstream, "localhost"));
    INFO((head ? "" : head.error().message));
    REQUIRE(head);
    CHECK(head->status == 200);
    REQUIRE(upstream.requests.size() == 1);
    CHECK_THAT(upstream.requests[0], Catch::Contains("\r\nHost: localhost:"));
}

TEST_CASE("a name that nobody knows is an error that names it", "[transport]") {
    net::io_context io(1);
    fake::ScriptedUpstream upstream(io);
    PlainTransport transport(io);
    auto head = head_of(io, transport, call_to(upstream, no_host));
    REQUIRE_FALSE(head);
    CHECK(head.error().code == Errc::upstream_failed);
    CHECK_THAT(head.error().message,
               Catch::Contains(no_host) && Catch::Contains(": cannot connect: Host not found"));
    CHECK(upstream.connections == 0);
    CHECK(transport.calls() == 0);
}

TEST_CASE("a call that is dropped while its name is looked up does nothing more", "[transport]") {
    net::io_context io(1);
    fake::ScriptedUpstream upstream(io);
    PlainTransport transport(io);
    for (const std::string& host : {std::string("localhost"), no_host}) {
        transport.start(call_to(upstream, host)).reset();
        CHECK(transport.calls() == 0);
    }
    // Both lookups have ended when a third one has: there is one thread for them.
    CHECK_FALSE(head_of(io, transport, call_to(upstream, no_host)));
    CHECK(upstream.connections == 0);
}
