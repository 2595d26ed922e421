// How far the classifier carries: to sources that it never saw, and with a few labels of them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>

#include "policies/cross_validate.h"
#include "policies/router_metrics.h"

namespace sluice {
namespace {

constexpr std::size_t paired_rows_min = 100;
constexpr std::size_t label_counts[] = {200, 1500};
constexpr int draws = 5;  // of the few labels

template <class... Args>
std::string text_of(const char* format, Args... args) {
    char out[256];
    std::snprintf(out, sizeof out, format, args...);
    return out;
}

struct Ranking {
    std::vector<double> gain, length, weak, strong;

    void add(const RouterRow& row, double by) {
        gain.push_back(by);
        length.push_back(static_cast<double>(row.prompt.size()));
        weak.push_back(row.weak);
        strong.push_back(row.strong);
    }
    double apgr() const { return routing_figures(gain, weak, strong).apgr; }
    double length_apgr() const { return routing_figures(length, weak, strong).apgr; }
};

std::string left_out_figure(const std::vector<RouterRow>& rows, const std::string& source,
                            Shown shown) {
    std::vector<bool> used(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) used[i] = rows[i].source != source;
    // Near-duplicates of the source's rows in other sources would tell its answers.
    std::map<std::uint64_t, bool> inside;
    for (const RouterRow& row : rows)
        if (row.source == source) inside[row.cluster] = true;
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (inside.count(rows[i].cluster)) used[i] = false;
    FittedHeads fitted = fit_heads(rows, used);
    std::vector<RouterRow> asked;
    std::vector<Difficulty> said;
    for (const RouterRow& row : rows) {
        if (!row.paired || row.source != source) continue;
        asked.push_back(row);
        said.push_back(blend(fitted.score(row), Calibrations{}));
    }
    auto figures = measure_routing(asked, said, shown);
    if (figures.empty()) return source + ", left out of the fit: too few pairs";
    figures[0].ece = std::nan("");  // nothing to calibrate on
    return "left out of the fit, " + figure_line(figures[0]);
}

// Learns from `labels` rows of the source, drawn by cluster, and ranks the rest of it.
Ranking few_labels(const std::vector<RouterRow>& rows, const std::string& source,
                   std::size_t labels, std::uint64_t seed, Shown shown) {
    std::map<std::uint64_t, std::vector<std::size_t>> clusters;
    std::vector<bool> used(rows.size(), true);
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].source == source) clusters[rows[i].cluster].push_back(i);
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (clusters.count(rows[i].cluster)) used[i] = false;
    std::vector<std::uint64_t> order;
    for (const auto& [cluster, members] : clusters) order.push_back(cluster);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    std::size_t drawn = 0;
    for (std::uint64_t cluster : order) {
        if (drawn >= labels) break;
        for (std::size_t i : clusters[cluster]) used[i] = true;
        drawn += clusters[cluster].size();
    }
    FittedHeads fitted = fit_heads(rows, used, true);
    Ranking ranking;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (used[i] || !rows[i].paired || rows[i].source != source) continue;
        if (!is_shown(rows[i], shown)) continue;
        HeadScores scores = fitted.score(rows[i]);
        scores.of[static_cast<std::size_t>(Head::problem)] =
            rows[i].target[static_cast<std::size_t>(Head::problem)] == 1 ? 6 : -6;
        ranking.add(rows[i], blend(scores, Calibrations{}).gain);
    }
    return ranking;
}

std::string few_labels_figure(const std::vector<RouterRow>& rows, const std::string& source,
                              std::size_t labels, std::uint64_t seed, Shown shown) {
    std::vector<double> found;
    double mean = 0, square = 0, length = 0;
    for (int draw = 0; draw < draws; ++draw) {
        Ranking ranking =
            few_labels(rows, source, labels, seed + static_cast<std::uint64_t>(draw), shown);
        found.push_back(ranking.apgr());
        length += ranking.length_apgr() / draws;
    }
    for (double one : found) mean += one / draws;
    for (double one : found) square += (one - mean) * (one - mean) / (draws - 1);
    return text_of(
        "gain on %s, %zu labels of it: APGR %.3f +- %.3f over %d draws (length only %.3f, random "
        "0.500)",
        source.c_str(), labels, mean, std::sqrt(square), draws, length);
}

}  // namespace

std::vector<std::string> transfer_figures(const std::vector<RouterRow>& rows, std::uint64_t seed,
                                          Shown shown, const Progress& progress) {
    std::map<std::string, std::size_t> pairs;
    for (const RouterRow& row : rows)
        if (row.paired) ++pairs[row.source];
    std::vector<std::string> figures;
    for (const auto& [source, count] : pairs) {
        if (count < paired_rows_min) continue;
        progress("fitting without " + source);
        figures.push_back(left_out_figure(rows, source, shown));
    }
    for (const auto& [source, count] : pairs) {
        if (!source.starts_with("routellm/")) continue;
        for (std::size_t labels : label_counts) {
            if (count < labels + paired_rows_min) continue;
            progress(text_of("fitting with %zu labels of %s", labels, source.c_str()));
            figures.push_back(few_labels_figure(rows, source, labels, seed, shown));
        }
    }
    return figures;
}

}  // namespace sluice
