#include <catch2/catch.hpp>

#include "gateway/within.h"
#include "tests/gateway/run_io.h"

using namespace sluice;
using std::chrono::milliseconds;

namespace {

net::awaitable<Result<int>> after(milliseconds wait, int& cancelled) {
    net::steady_timer timer(co_await net::this_coro::executor, wait);
    auto [ec] = co_await timer.async_wait(net::as_tuple(net::use_awaitable));
    if (ec) {
        ++cancelled;
        co_return Error(Errc::cancelled, "cancelled");
    }
    co_return 7;
}

}  // namespace

TEST_CASE("work that ends within its limit gives its own result", "[within]") {
    net::io_context io(1);
    int cancelled = 0;
    fake::run_io(io, [&]() -> net::awaitable<void> {
        Result<int> result =
            co_await within(milliseconds(60'000), after(milliseconds(1), cancelled));
        REQUIRE(result);
        CHECK(*result == 7);
    });
    CHECK(cancelled == 0);
}

TEST_CASE("work that passes its limit is cancelled and gives timed_out", "[within]") {
    net::io_context io(1);
    int cancelled = 0;
    fake::run_io(io, [&]() -> net::awaitable<void> {
        Result<int> result =
            co_await within(milliseconds(5), after(milliseconds(60'000), cancelled));
        REQUIRE(!result);
        CHECK(result.error().code == Errc::timed_out);
        CHECK(result.error().message == "not done within 5 ms");
    });
    CHECK(cancelled == 1);
}
