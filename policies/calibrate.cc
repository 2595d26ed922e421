#include "policies/calibrate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr double calibration_shrink = 0.01;

}  // namespace

Calibration fit_calibration(std::span<const Outcome> outcomes) {
    if (outcomes.size() < calibration_rows_min) return {};
    std::vector<FitRow> rows(outcomes.size());
    std::vector<FitExample> examples;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        double p = std::clamp(outcomes[i].p, 1e-4, 1 - 1e-4);
        rows[i].structural.fill(0);
        rows[i].structural[0] = static_cast<float>(std::log(p));
        rows[i].structural[1] = static_cast<float>(-std::log1p(-p));
        examples.push_back({&rows[i], outcomes[i].ok, outcomes[i].weight});
    }
    LinearHead fitted = fit_head(examples, Loss::logistic, {false, 2, calibration_shrink});
    if (fitted.structural[0] < 0 || fitted.structural[1] < 0) {  // must not turn the order round
        for (FitRow& row : rows) row.structural[0] += row.structural[1];
        fitted = fit_head(examples, Loss::logistic, {false, 1, calibration_shrink});
        fitted.structural[1] = fitted.structural[0] = std::max(fitted.structural[0], 0.0);
    }
    return {static_cast<float>(fitted.structural[0]), static_cast<float>(fitted.structural[1]),
            static_cast<float>(fitted.bias)};
}

}  // namespace sluice
