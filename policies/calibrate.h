// Turns a score into a probability by what came of it: beta calibration (weights.h). Pure.
#pragma once

#include <span>

#include "policies/weights.h"

namespace sluice {

struct Outcome {
    double p = 0, ok = 0;  // what was said, what came of it: both in [0, 1]
    double weight = 1;
};

constexpr std::size_t calibration_rows_min = 60;

// What makes probabilities of such `p`, never turning their order round. With few outcomes nothing
// is changed.
Calibration fit_calibration(std::span<const Outcome> outcomes);

}  // namespace sluice
