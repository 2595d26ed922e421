// Figures of merit of scores against labels. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// Area under the ROC curve of `score` for the rows where `positive`; 0.5 is chance, ties count
// half. NaN when one class is empty.
double auc_of(const std::vector<bool>& positive, std::span<const double> score);

// Expected calibration error over ten bins of equal width: mean |mean target - mean probability|,
// weighted by the bins' sizes. Targets and probabilities are in [0, 1].
double ece_of(std::span<const double> target, std::span<const double> probability);

// What ece_of shows on average by chance alone of outcomes that come true exactly as often as
// `probability` says: the mean distance of a normal variable, sqrt(2/pi) deviations, in each bin.
double ece_by_chance(std::span<const double> probability);

// Rank correlation; NaN when one side is constant.
double spearman_of(std::span<const double> a, std::span<const double> b);

// How well `score` sends calls to the strong model, as RouteLLM defines it (arXiv 2406.18665): at
// the deciles of the score, share of strong calls against the recovered part of the quality gap.
// apgr = area under that curve (0.5 random); cpt50, cpt80 = share of strong calls, in percent,
// that recovers 50 and 80 percent of the gap.
struct RoutingFigures {
    double apgr = 0;
    double cpt50 = 0;
    double cpt80 = 0;
};
RoutingFigures routing_figures(std::span<const double> score, std::span<const double> weak,
                               std::span<const double> strong);

struct RoutedRow {
    double score = 0, weak = 0, strong = 0;
    std::uint64_t cluster = 0;
};

// 95 % intervals by bootstrap over clusters.
struct RoutingIntervals {
    RoutingFigures at, low, high;
};

// The figures, and those of clusters drawn with replacement, always in the same way: scores of the
// same rows are compared on the same draws.
struct RoutingDraws {
    RoutingFigures at;
    std::vector<RoutingFigures> drawn;
};
RoutingDraws routing_draws(std::span<const RoutedRow> rows);
RoutingIntervals intervals_of(const RoutingFigures& at, std::span<const RoutingFigures> drawn);

struct ApgrInterval {
    double at = 0, low = 0, high = 0;
};
// Of the draws that are finite; bounds are NaN where none is.
ApgrInterval interval_of(double at, std::vector<double> drawn);

}  // namespace sluice
