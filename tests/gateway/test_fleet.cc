#include <catch2/catch.hpp>

#include "gateway/budgets.h"
#include "gateway/fleet.h"
#include "tests/fakes/scripted_engine.h"

using namespace sluice;

TEST_CASE("a rate-limited upstream rests for the time it asked, at most a minute", "[fleet]") {
    Health health;
    auto now = Clock::now();
    CHECK(health.up(now));
    Error limited(Errc::rate_limited, "slow down");
    limited.retry_after_ms = 5'000;
    health.failed(limited, now);
    CHECK_FALSE(health.up(now + std::chrono::milliseconds(4'999)));
    CHECK(health.why_down() == "rate_limited");
    CHECK(health.up(now + std::chrono::milliseconds(5'001)));
    limited.retry_after_ms = 3'600'000;
    health.failed(limited, now);
    CHECK(health.up(now + std::chrono::milliseconds(60'001)));
}

TEST_CASE("an upstream rests after three failures in a row, longer each time", "[fleet]") {
    Health health;
    auto now = Clock::now();
    Error failed(Errc::upstream_failed, "500");
    health.failed(failed, now);
    health.failed(failed, now);
    CHECK(health.up(now));
    health.failed(failed, now);
    CHECK_FALSE(health.up(now + std::chrono::milliseconds(999)));
    CHECK(health.up(now + std::chrono::milliseconds(1'001)));
    health.failed(failed, now);
    CHECK_FALSE(health.up(now + std::chrono::milliseconds(1'999)));
    health.succeeded();
    CHECK(health.up(now));
    health.failed(failed, now);
    CHECK(health.up(now));
}

TEST_CASE("the pieces of an answer add up to the whole answer", "[fleet]") {
    Delta whole;
    whole.model = "m";
    whole.text = "He";
    Delta piece;
    piece.text = "llo";
    ToolCallDelta begun;
    begun.index = 1;
    begun.id = "call_1";
    begun.name = "f";
    begun.arguments = "{\"a\"";
    piece.tool_calls.push_back(begun);
    append_delta(whole, std::move(piece));
    Delta last;
    ToolCallDelta rest;
    rest.index = 1;
    rest.arguments = ":1}";
    last.tool_calls.push_back(rest);
    last.finish = Finish::tool_calls;
    last.usage.out_text = 7;
    last.last = true;
    append_delta(whole, std::move(last));
    CHECK(whole.text == "Hello");
    REQUIRE(whole.tool_calls.size() == 1);
    CHECK(whole.tool_calls[0].arguments == "{\"a\":1}");
    CHECK(whole.tool_calls[0].id == "call_1");
    CHECK(whole.finish == Finish::tool_calls);
    CHECK(whole.usage.out_text == 7);
    CHECK(whole.last);
}

TEST_CASE("a hold gives back its place and its money when it ends", "[budgets]") {
    Budgets budgets;
    {
        auto first = budgets.admit(Money{5}, 2);
        auto second = budgets.admit(Money{6}, 2);
        REQUIRE(first);
        REQUIRE(second);
        CHECK(budgets.held().pico_usd == 11);
        auto third = budgets.admit(Money{1}, 2);
        REQUIRE(!third);
        CHECK(third.error().code == Errc::overloaded);
        CHECK(budgets.held().pico_usd == 11);
        Hold moved = std::move(*first);
        CHECK(budgets.in_flight() == 2);
    }
    CHECK(budgets.in_flight() == 0);
    CHECK(budgets.held().pico_usd == 0);
}

TEST_CASE("an upstream's times are medians of its last streams, and are forgotten", "[fleet]") {
    Health health;
    auto now = Clock::now();
    CHECK(health.first_token_s(now) == 0);
    for (int i = 0; i < 20; ++i) health.took(i % 5 == 0 ? 60.0 : 0.2, 0.01, now);
    CHECK(health.first_token_s(now) == 0.2);
    CHECK(health.token_s(now) == 0.01);
    for (int i = 0; i < 31; ++i) health.took(3, 0.05, now);
    CHECK(health.first_token_s(now) == 3);
    CHECK(health.first_token_s(now + std::chrono::minutes(9)) == 3);
    CHECK(health.first_token_s(now + std::chrono::minutes(11)) == 0);
    now += std::chrono::minutes(20);
    health.took(1, 0.02, now);  // alone: what was is no longer counted
    CHECK(health.first_token_s(now) == 1);
    CHECK(health.token_s(now) == 0.02);
}

TEST_CASE("the engine's upstream is down while its device is lost, and says so", "[fleet]") {
    auto config = std::make_shared<Config>();
    Upstream local, hosted;
    local.name = "local";
    local.vendor.name = "engine";
    hosted.name = "hosted";
    config->upstreams = {local, hosted};
    REQUIRE(config->upstreams[0].local());
    Fleet fleet;
    const SnapshotPtr snapshot = fleet.snapshot(config);
    ScriptedEngine engine({}, "");
    engine.now.kv_pages_total = 40;
    const auto views = [&] { return Fleet::view(*snapshot, Clock::now(), engine.occupancy()); };
    CHECK(views()[0].up);
    engine.now.up = false;
    CHECK_FALSE(views()[0].up);
    CHECK(views()[0].why_down == "its device is lost");
    CHECK(views()[1].up);
    engine.now.kv_pages_total = 0;  // it never was open
    CHECK(views()[0].why_down == "its engine is not open");
    engine.now.up = true;
    CHECK(views()[0].up);
}
