#include <catch2/catch.hpp>
#include <cstdlib>

#include "gateway/handover.h"
#include "gateway/restart.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

std::optional<Occupancy> engine(bool up, std::int64_t pages = 8) {
    Occupancy now;
    now.up = up;
    now.kv_pages_total = pages;
    return now;
}

}  // namespace

TEST_CASE("a lost device is worth a restart after half a minute", "[restart]") {
    auto start = LostDevice::Clock::time_point(1h);
    LostDevice lost(std::nullopt);
    CHECK_FALSE(lost.restart_due(engine(true), start));
    CHECK_FALSE(lost.restart_due(engine(false), start + 1s));
    CHECK_FALSE(lost.restart_due(engine(false), start + 30s));
    CHECK(lost.restart_due(engine(false), start + 31s));
}

TEST_CASE("a device that is lost again soon after a restart is worth the next one later",
          "[restart]") {
    auto start = LostDevice::Clock::time_point(1h);
    LostDevice lost(start);
    CHECK_FALSE(lost.restart_due(engine(false), start + 1min));
    CHECK_FALSE(lost.restart_due(engine(false), start + 4min + 59s));
    CHECK(lost.restart_due(engine(false), start + 5min));
    CHECK_FALSE(lost.restart_due(engine(false), start + 5min + 29s));
    CHECK(lost.restart_due(engine(false), start + 5min + 30s));

    CHECK_FALSE(lost.restart_due(engine(true), start + 10min));  // opened again by itself
    CHECK_FALSE(lost.restart_due(engine(false), start + 10min + 1s));
    CHECK_FALSE(lost.restart_due(engine(false), start + 10min + 30s));
    CHECK(lost.restart_due(engine(false), start + 10min + 31s));
}

TEST_CASE("no restart for an engine that was never open, or none at all", "[restart]") {
    auto start = LostDevice::Clock::time_point(1h);
    LostDevice lost(std::nullopt);
    for (auto at : {6min, 7min, 60min}) {
        CHECK_FALSE(lost.restart_due(engine(false, 0), start + at));
        CHECK_FALSE(lost.restart_due(std::nullopt, start + at));
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

TEST_CASE("the command line is found as it was given", "[restart]") {
    auto command = own_command_line();
    REQUIRE(command);
    CHECK(command->program.find("gateway_tests") != std::string::npos);
    CHECK_FALSE(command->words.empty());
}

}  // namespace sluice
