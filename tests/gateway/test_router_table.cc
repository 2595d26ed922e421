// What the table of routing says of what was measured in part, or not at all.
#include <catch2/catch.hpp>
#include <cmath>

#include "gateway/bench/router_table.h"

namespace sluice::bench {
namespace {

TableRow row_of(const RouterMeasured& measured, const std::string& start) {
    for (TableRow& row : router_table(measured))
        if (row.what.starts_with(start)) return row;
    return {};
}

TransferFigures learnt(std::size_t labels, double apgr) {
    TransferFigures one;
    one.source = "s";
    one.labels = labels;
    one.ranks.gain.at.apgr = apgr;
    return one;
}

}  // namespace

TEST_CASE("times are graded once all three sizes were timed", "[router]") {
    RouterMeasured all;
    all.speed = {{300, 0, 0, 0, 0}, {1'400, 0, 0, 0, 0}, {20'000, 0, 0, 0, 0}};
    CHECK(row_of(all, "classify").measured == "not measured");
    CHECK(row_of(all, "classify").reached.empty());
    all.speed[0] = {300, 5, 0.4, 0.5, 0.6};
    CHECK(row_of(all, "classify").measured == "300 bytes 0.60 us (quietest pass 0.40)");
    CHECK(row_of(all, "classify").reached.empty());
    all.speed = {{300, 5, 0.3, 1, 0.4}, {1'400, 5, 1, 1, 1}, {20'000, 5, 9, 9, 9}};
    CHECK(row_of(all, "classify").reached == "goal");
}

TEST_CASE("calibration is graded over all sources, each one's error stands beside", "[router]") {
    RouterMeasured all;
    CHECK(row_of(all, "calibration").reached.empty());
    RouterFigures other_model;
    other_model.source = "another local model";
    other_model.ece = 0.2;
    all.routing = {other_model};
    all.calibration = {1'000, 0.025, 0.01};
    TableRow row = row_of(all, "calibration");
    CHECK(row.reached == "must");
    CHECK(row.measured.starts_with("1000 outcomes of all sources: 0.025 (0.010 is chance)"));
    CHECK(row.measured.find("another local model 0.200") != std::string::npos);
    all.calibration.ece = 0.031;
    CHECK(row_of(all, "calibration").reached == "missed");
    all.calibration.ece = 0.02;
    CHECK(row_of(all, "calibration").reached == "goal");
}

TEST_CASE("few labels are graded once 200 and 1,500 were measured, a goal with 100", "[router]") {
    RouterMeasured all;
    all.transfer = {learnt(100, 0.7)};
    CHECK(row_of(all, "labels").reached.empty());
    all.transfer = {learnt(200, 0.7)};
    CHECK(row_of(all, "labels").reached.empty());
    all.transfer = {learnt(200, 0.7), learnt(1'500, 0.7)};
    CHECK(row_of(all, "labels").reached == "must");
    all.transfer = {learnt(100, 0.7), learnt(200, 0.7), learnt(1'500, 0.7)};
    CHECK(row_of(all, "labels").reached == "goal");
    all.transfer = {learnt(100, 0.7), learnt(200, 0.5), learnt(1'500, 0.7)};
    CHECK(row_of(all, "labels").reached == "missed");
}

TEST_CASE("models without a gap are neither graded nor printed as numbers", "[router]") {
    RouterMeasured all;
    RouterFigures mmlu;
    mmlu.source = "routellm/mmlu";
    mmlu.gain.at.apgr = mmlu.length.at.apgr = -HUGE_VAL;
    mmlu.random.low.apgr = std::nan("");
    mmlu.ece = std::nan("");
    all.routing = {mmlu};
    TableRow row = row_of(all, "MMLU");
    CHECK(row.reached.empty());
    CHECK(row.measured.find("no gap between the models") != std::string::npos);
    CHECK(row.measured.find("nan") == std::string::npos);
    CHECK(row.measured.find("inf") == std::string::npos);
}

}  // namespace sluice::bench
