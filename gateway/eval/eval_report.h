// What a run found, for people and as one JSON object.
#pragma once

#include <string>
#include <vector>

#include "gateway/eval/evaluation.h"

namespace sluice {

struct EvalReport {
    const GoldenSet& set;
    const Evaluation& run;
    const GoldenResult& result;  // its tiers as asked for, the first one the measure
    double tolerance = 0.02;
    std::vector<std::string> failures;  // why the exit status is 1
};

// What the run itself says against its tiers: answers that failed, and losses against the first.
std::vector<std::string> failures_of(const GoldenResult& result, double tolerance);

std::string report_text(const EvalReport& report);
std::string report_json(const EvalReport& report);

}  // namespace sluice
