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
constexpr std::size_t label_counts[] = {100, 200, 1500};
constexpr std::uint64_t draws = 5;  // of the few labels

template <class... Args>
std::string text_of(const char* format, Args... args) {
    char out[256];
    std::snprintf(out, sizeof out, format, args...);
    return out;
}

Rankings left_out(const std::vector<RouterRow>& rows, const std::string& source, Shown shown) {
    std::vector<bool> used(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) used[i] = rows[i].source != source;
    // Near-duplicates of the source's rows in other sources would tell its answers.
    std::map<std::uint64_t, bool> inside;
    for (const RouterRow& row : rows)
        if (row.source == source) inside[row.cluster] = true;
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (inside.count(rows[i].cluster)) used[i] = false;
    FittedHeads fitted = fit_heads(rows, used);
    Rankings ranked;
    for (const RouterRow& row : rows)
        if (row.paired && row.source == source && is_shown(row, shown))
            ranked.add(row, blend(fitted.score(row), Calibrations{}).gain);
    return ranked;
}

// Learns from `labels` rows of the source, drawn by cluster, and ranks the rest of it.
Rankings few_labels(const std::vector<RouterRow>& rows, const std::string& source,
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
    Rankings ranked;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (used[i] || !rows[i].paired || rows[i].source != source) continue;
        if (!is_shown(rows[i], shown)) continue;
        HeadScores scores = fitted.score(rows[i]);
        scores.of[static_cast<std::size_t>(Head::problem)] =
            rows[i].target[static_cast<std::size_t>(Head::problem)] == 1 ? 6 : -6;
        ranked.add(rows[i], blend(scores, Calibrations{}).gain);
    }
    return ranked;
}

}  // namespace

std::vector<TransferFigures> measure_transfer(const std::vector<RouterRow>& rows,
                                              std::uint64_t seed, Shown shown,
                                              const Progress& progress) {
    std::map<std::string, std::size_t> pairs;
    for (const RouterRow& row : rows)
        if (row.paired && is_shown(row, shown)) ++pairs[row.source];
    std::vector<TransferFigures> figures;
    for (const auto& [source, count] : pairs) {
        if (count < paired_rows_min) continue;
        progress("fitting without " + source);
        Rankings ranked = left_out(rows, source, shown);
        figures.push_back({source, 0, ranking_figures({&ranked, 1})});
    }
    for (const auto& [source, count] : pairs) {
        if (!source.starts_with("routellm/")) continue;
        for (std::size_t labels : label_counts) {
            if (count < labels + paired_rows_min) continue;
            progress(text_of("fitting with %zu labels of %s", labels, source.c_str()));
            std::vector<Rankings> fits;
            for (std::uint64_t draw = 0; draw < draws; ++draw)
                fits.push_back(few_labels(rows, source, labels, seed + draw, shown));
            figures.push_back({source, labels, ranking_figures(fits)});
        }
    }
    return figures;
}

std::string transfer_line(const TransferFigures& one) {
    std::string how = "left out of the fit, ";
    if (one.labels > 0)
        how = text_of("%zu labels of it in the fit, %llu draws, ", one.labels,
                      static_cast<unsigned long long>(draws));
    return how + figure_line(one.source, one.ranks);
}

}  // namespace sluice
