// One source's pairs ranked by what is measured, by the prompt's length and at random: what every
// report shows beside each other, with 95 % intervals. Pure, deterministic.
#pragma once

#include <span>
#include <vector>

#include "policies/router_data.h"
#include "policies/router_metrics.h"

namespace sluice {

struct Rankings {
    std::vector<RoutedRow> gain, length, random;
    void add(const RouterRow& row, double by);
};

struct RankingFigures {
    std::size_t pairs = 0;
    RoutingIntervals gain;    // by what is measured
    RoutingIntervals length;  // by the prompt's bytes
    RoutingIntervals random;
    ApgrInterval less_length;  // gain's APGR less length's, on the same draws
};

// `fits` are rankings of one source after fits to different draws of labels: means over them, and
// intervals that hold both for other labels and for other pairs to rank.
RankingFigures ranking_figures(std::span<const Rankings> fits);

}  // namespace sluice
