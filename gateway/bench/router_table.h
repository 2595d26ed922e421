// What routing is to reach, and what was measured: the last lines of `sluice bench router`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/bench/replay_bench.h"
#include "policies/cross_validate.h"
#include "policies/learning_bench.h"
#include "policies/policy_bench.h"
#include "policies/router_bench.h"

namespace sluice::bench {

// What is empty was not measured.
struct RouterMeasured {
    std::vector<RouterFigures> routing;
    std::vector<TransferFigures> transfer;
    std::vector<FlipFigures> flips;
    CalibrationFigures calibration;  // where it was cross-validated
    std::vector<RouterSpeed> speed;  // by the prompts' size
    std::vector<PolicyTiming> policy;
    std::vector<LearningFigures> learning;
    std::optional<ReplayTiming> replay;
};

struct TableRow {
    std::string what;
    std::string must, goal;
    std::string measured;
    std::string reached;  // "goal", "must", "missed", or "" where too little was measured
};

std::vector<TableRow> router_table(const RouterMeasured& measured);
std::string table_text(const std::vector<TableRow>& rows);   // markdown
std::string table_lines(const std::vector<TableRow>& rows);  // JSON, an object a line

}  // namespace sluice::bench
