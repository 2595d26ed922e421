#include <catch2/catch.hpp>
#include <cstdlib>

#include "gateway/handover.h"
#include "gateway/restart.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("a lost device is worth a restart after half a minute", "[restart]") {
    auto start = LostDevice::Clock::time_point(1h);
    LostDevice lost;
    CHECK_FALSE(lost.restart_due(false, start));
    CHECK_FALSE(lost.restart_due(true, start + 1s));
    CHECK_FALSE(lost.restart_due(true, start + 30s));
    CHECK(lost.restart_due(true, start + 31s));
    CHECK_FALSE(lost.restart_due(true, start + 60s));
    CHECK(lost.restart_due(true, start + 61s));

    CHECK_FALSE(lost.restart_due(false, start + 10min));  // opened again by itself
    CHECK_FALSE(lost.restart_due(true, start + 10min + 1s));
    CHECK_FALSE(lost.restart_due(true, start + 10min + 30s));
    CHECK(lost.restart_due(true, start + 10min + 31s));
}

TEST_CASE("a device that is lost soon after a restart is worth the next one later", "[restart]") {
    auto start = LostDevice::Clock::time_point(1h);
    LostDevice lost(start);
    CHECK_FALSE(lost.restart_due(true, start + 1min));
    CHECK_FALSE(lost.restart_due(true, start + 4min + 59s));
    CHECK(lost.restart_due(true, start + 5min));
}

TEST_CASE("each restart in vain doubles the time to the next, to some hours", "[restart]") {
    auto start = LostDevice::Clock::time_point(1h);
    for (auto [in_vain, minutes] : {std::pair(1, 10), {3, 40}, {6, 320}, {40, 320}}) {
        LostDevice lost(start, in_vain);
        CHECK_FALSE(lost.restart_due(true, start));
        CHECK_FALSE(lost.restart_due(true, start + std::chrono::minutes(minutes) - 1s));
        CHECK(lost.restart_due(true, start + std::chrono::minutes(minutes)));
    }
}

TEST_CASE("sockets meant for another process are left alone", "[restart]") {
    ::setenv("LISTEN_PID", "1", 1);
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("SLUICE_RESTARTED", "1", 1);
    auto inherited = take_inherited();
    REQUIRE(inherited);
    CHECK(inherited->sockets.empty());
    CHECK_FALSE(inherited->restarted);
    CHECK(std::getenv("LISTEN_FDS") == nullptr);  // nor are they for a child of ours
}

TEST_CASE("the command line is found as it was given, and starts a program or is refused",
          "[restart]") {
    auto words = own_command_line();
    REQUIRE(words);
    REQUIRE_FALSE(words->empty());
    CHECK(words->front().find("gateway_tests") != std::string::npos);
    CHECK(can_start(*words));
    CHECK(can_start({"sh"}));
    CHECK_FALSE(can_start({"no-such-program"}));
    CHECK_FALSE(can_start({"/dev/null"}));
}

}  // namespace sluice
