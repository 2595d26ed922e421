#include "policies/router_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <random>
#include <set>

namespace sluice {
namespace {

constexpr int draws = 400;
constexpr std::size_t ece_bins = 10;

std::size_t bin_of(double probability) {
    double place = std::clamp(probability, 0.0, 1.0) * double{ece_bins};
    return std::min(static_cast<std::size_t>(place), ece_bins - 1);
}

// Ranks from 1; equal values share their mean rank.
std::vector<double> ranks_of(std::span<const double> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    std::vector<double> ranks(values.size());
    for (std::size_t from = 0; from < order.size();) {
        std::size_t to = from;
        while (to < order.size() && values[order[to]] == values[order[from]]) ++to;
        double rank = static_cast<double>(from + 1 + to) / 2;
        for (; from < to; ++from) ranks[order[from]] = rank;
    }
    return ranks;
}

double quantile(const std::vector<double>& sorted, double q) {
    double place = q * static_cast<double>(sorted.size() - 1);
    auto low = static_cast<std::size_t>(place);
    std::size_t high = std::min(low + 1, sorted.size() - 1);
    return sorted[low] + (sorted[high] - sorted[low]) * (place - static_cast<double>(low));
}

struct Point {
    double calls;    // percent sent to the strong model
    double quality;  // mean over all rows
};

// Linear between the last point at or below x and its follower.
double calls_for(const std::vector<Point>& points, double quality) {
    if (quality <= points.front().quality) return points.front().calls;
    if (quality >= points.back().quality) return points.back().calls;
    auto above = std::upper_bound(points.begin(), points.end(), quality,
                                  [](double q, const Point& point) { return q < point.quality; });
    const Point& high = *above;
    const Point& low = *(above - 1);
    if (high.quality == low.quality) return low.calls;
    return low.calls +
           (high.calls - low.calls) * (quality - low.quality) / (high.quality - low.quality);
}

double mean_of(std::span<const double> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

double auc_of(const std::vector<bool>& positive, std::span<const double> score) {
    auto positives = static_cast<double>(std::count(positive.begin(), positive.end(), true));
    double negatives = static_cast<double>(positive.size()) - positives;
    if (positives == 0 || negatives == 0) return std::numeric_limits<double>::quiet_NaN();
    std::vector<double> ranks = ranks_of(score);
    double sum = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i)
        if (positive[i]) sum += ranks[i];
    return (sum - positives * (positives + 1) / 2) / (positives * negatives);
}

double ece_of(std::span<const double> target, std::span<const double> probability) {
    struct Bin {
        double count = 0, target = 0, probability = 0;
    };
    std::array<Bin, ece_bins> bins;
    for (std::size_t i = 0; i < target.size(); ++i) {
        Bin& bin = bins[bin_of(probability[i])];
        bin.count += 1;
        bin.target += target[i];
        bin.probability += probability[i];
    }
    double sum = 0;
    for (const Bin& bin : bins) sum += std::abs(bin.target - bin.probability);
    return target.empty() ? 0 : sum / static_cast<double>(target.size());
}

double ece_by_chance(std::span<const double> probability) {
    std::array<double, ece_bins> variance{};
    for (double p : probability) variance[bin_of(p)] += p * (1 - p);
    double sum = 0;
    for (double one : variance) sum += std::sqrt(2 / std::numbers::pi * one);
    return probability.empty() ? 0 : sum / static_cast<double>(probability.size());
}

double spearman_of(std::span<const double> a, std::span<const double> b) {
    std::vector<double> x = ranks_of(a), y = ranks_of(b);
    double mean_x = mean_of(x), mean_y = mean_of(y), xy = 0, xx = 0, yy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    return xy / std::sqrt(xx * yy);
}

RoutingFigures routing_figures(std::span<const double> score, std::span<const double> weak,
                               std::span<const double> strong) {
    std::vector<double> sorted(score.begin(), score.end());
    std::sort(sorted.begin(), sorted.end());
    std::set<double> thresholds;
    constexpr int deciles = 10;
    for (int k = 0; k <= deciles; ++k) thresholds.insert(quantile(sorted, k / double{deciles}));
    auto rows = static_cast<double>(score.size());
    std::vector<Point> points;
    for (double threshold : thresholds) {
        bool last = threshold == *thresholds.rbegin();  // the top one sends nothing
        double calls = 0, quality = 0;
        for (std::size_t i = 0; i < score.size(); ++i) {
            bool sent = last ? score[i] > threshold : score[i] >= threshold;
            calls += sent ? 1 : 0;
            quality += sent ? strong[i] : weak[i];
        }
        points.push_back(Point{100 * calls / rows, quality / rows});
    }
    std::sort(points.begin(), points.end(),
              [](const Point& a, const Point& b) { return a.calls < b.calls; });
    double weak_mean = mean_of(weak), gap = mean_of(strong) - weak_mean, area = 0;
    for (std::size_t i = 0; i + 1 < points.size(); ++i)
        area += (points[i].quality + points[i + 1].quality) / 2 *
                (points[i + 1].calls - points[i].calls) / 100;
    double span = (points.back().calls - points.front().calls) / 100;
    RoutingFigures figures;
    figures.apgr = (area - weak_mean * span) / (gap * span);
    figures.cpt50 = calls_for(points, weak_mean + 0.5 * gap);
    figures.cpt80 = calls_for(points, weak_mean + 0.8 * gap);
    return figures;
}

RoutingDraws routing_draws(std::span<const RoutedRow> rows) {
    std::map<std::uint64_t, std::vector<std::size_t>> members;
    for (std::size_t i = 0; i < rows.size(); ++i) members[rows[i].cluster].push_back(i);
    std::vector<const std::vector<std::size_t>*> clusters;
    for (const auto& [cluster, one] : members) clusters.push_back(&one);
    std::vector<double> score, weak, strong;
    auto add = [&](std::size_t i) {
        score.push_back(rows[i].score);
        weak.push_back(rows[i].weak);
        strong.push_back(rows[i].strong);
    };
    for (std::size_t i = 0; i < rows.size(); ++i) add(i);
    RoutingDraws out;
    out.at = routing_figures(score, weak, strong);
    std::minstd_rand chance(1);
    for (int draw = 0; draw < draws; ++draw) {
        score.clear();
        weak.clear();
        strong.clear();
        for (std::size_t c = 0; c < clusters.size(); ++c)
            for (std::size_t i : *clusters[chance() % clusters.size()]) add(i);
        out.drawn.push_back(routing_figures(score, weak, strong));
    }
    return out;
}

RoutingIntervals intervals_of(const RoutingFigures& at, std::span<const RoutingFigures> drawn) {
    RoutingIntervals out;
    out.at = at;
    for (double RoutingFigures::*figure :
         {&RoutingFigures::apgr, &RoutingFigures::cpt50, &RoutingFigures::cpt80}) {
        std::vector<double> values;
        for (const RoutingFigures& one : drawn) values.push_back(one.*figure);
        ApgrInterval interval = interval_of(at.*figure, std::move(values));
        out.low.*figure = interval.low;
        out.high.*figure = interval.high;
    }
    return out;
}

ApgrInterval interval_of(double at, std::vector<double> drawn) {
    // Draws without a gap between the models have no APGR, and NaN has no order to sort by.
    std::erase_if(drawn, [](double one) { return !std::isfinite(one); });
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (drawn.empty()) return {at, none, none};
    std::sort(drawn.begin(), drawn.end());
    return {at, quantile(drawn, 0.025), quantile(drawn, 0.975)};
}

}  // namespace sluice
