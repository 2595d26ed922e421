// Turns a score into a probability by what came of it: isotonic regression in a few steps, drawn
// towards beta calibration where outcomes are few. Pure.
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
// is changed. At each knot beta calibration counts as `rows_of_beta` outcomes: the more, the
// smoother.
Calibration fit_calibration(std::span<const Outcome> outcomes, double rows_of_beta = 10);

// The probability that `calibration` makes of `p`, in [0, 1].
double calibrated(double p, const Calibration& calibration);

// Whether its knots rise and lie in [0, 1].
bool is_usable(const Calibration& calibration);

}  // namespace sluice
