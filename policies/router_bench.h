// Measures a classifier on labelled pairs: does its gain send the right calls to the strong model?
#pragma once

#include <string>
#include <vector>

#include "policies/classifier.h"
#include "policies/router_data.h"
#include "policies/router_metrics.h"

namespace sluice {

// Of one source of pairs. AUC is of "the weak model fails" (below half, or, where quality is not
// in [0, 1], below the strong one).
struct RouterFigures {
    std::string source;
    std::size_t pairs = 0;
    double auc = 0;
    RoutingFigures gain;        // requests ranked by Difficulty::gain
    RoutingFigures difficulty;  // by Difficulty::score
    RoutingFigures length;      // by the prompt's bytes
    RoutingFigures random;
};

struct RouterSpeed {
    double bytes_mean = 0;
    double p50_us = 0;
    double p99_us = 0;
};

// In the order in which the sources come. Sources with fewer than 20 pairs are left out.
std::vector<RouterFigures> measure_routing(const Classifier& classifier, const RouterData& data);

// One thread, each prompt once, by the steady clock.
RouterSpeed measure_speed(const Classifier& classifier, const RouterData& data);

}  // namespace sluice
