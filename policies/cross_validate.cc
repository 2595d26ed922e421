#include "policies/cross_validate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "policies/calibrate.h"
#include "policies/router_metrics.h"

namespace sluice {
namespace {

template <class... Args>
std::string text_of(const char* format, Args... args) {
    char out[320];
    std::snprintf(out, sizeof out, format, args...);
    return out;
}

double target_of(const RouterRow& row, Head head) {
    return row.target[static_cast<std::size_t>(head)];
}

std::vector<int> folds_of(const std::vector<RouterRow>& rows, std::uint64_t seed, int folds) {
    std::vector<int> out;
    for (const RouterRow& row : rows) {
        std::uint64_t mixed = (row.cluster ^ seed) * 0x9e3779b97f4a7c15ULL;
        out.push_back(static_cast<int>((mixed >> 33) % static_cast<unsigned>(folds)));
    }
    return out;
}

// Judged difficulty weighs as much, in all, as what was measured of its kind.
void weigh_judged(std::vector<Outcome>& judged, std::size_t measured) {
    for (Outcome& one : judged)
        one.weight = static_cast<double>(measured) / static_cast<double>(judged.size());
}

// Judged and measured do not agree in detail: their calibration is a smooth one.
constexpr double rows_of_beta_judged = 1e6;

// By the measured outcomes of each kind, of the rows outside fold `held_out`. Those of code, maths
// and facts are of one sort of task each, in the middle of what is asked; there what was judged
// easy and hard counts, too.
Calibrations calibrate(const std::vector<RouterRow>& rows, const OutOfFold& found, int held_out) {
    Calibrations out{};
    for (std::size_t at = 0; at < domain_count; ++at) {
        auto domain = static_cast<Domain>(at);
        if (!is_calibrated(domain)) continue;
        std::vector<Outcome> measured, judged;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const RouterRow& row = rows[i];
            if (found.folds[i] == held_out || domain_of(found.scores[i]) != domain) continue;
            double said = local_ok_of(found.scores[i], domain);
            bool known = row.weak >= 0 && row.weak <= 1;
            if (known && row.reference)
                measured.push_back({said, row.weak});
            else if (!known && domain > Domain::problem && labelled(row, Head::local_ok))
                judged.push_back({said, target_of(row, Head::local_ok)});
        }
        if (measured.size() < calibration_rows_min) continue;
        weigh_judged(judged, measured.size());
        measured.insert(measured.end(), judged.begin(), judged.end());
        out[at] = judged.empty() ? fit_calibration(measured)
                                 : fit_calibration(measured, rows_of_beta_judged);
    }
    return out;
}

// One head's figures over the rows that have its label.
std::string head_figure(const std::vector<RouterRow>& rows, const OutOfFold& found, Head head,
                        Shown shown) {
    std::vector<double> target, model, length;
    std::vector<bool> positive;
    bool probability = is_probability(head);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!labelled(rows[i], head) || !is_shown(rows[i], shown)) continue;
        target.push_back(target_of(rows[i], head));
        positive.push_back(target.back() > 0.5);
        double score = found.scores[i][head];
        model.push_back(probability ? sigmoid(score) : score);
        length.push_back(static_cast<double>(rows[i].prompt.size()));
    }
    const char* name = head_names[static_cast<std::size_t>(head)].data();
    if (target.empty()) return text_of("%s: no rows", name);
    if (!probability) {
        std::vector<double> miss;
        for (std::size_t i = 0; i < target.size(); ++i)
            miss.push_back(std::exp(std::abs(target[i] - model[i])));
        std::nth_element(miss.begin(), miss.begin() + static_cast<long>(miss.size() / 2),
                         miss.end());
        return text_of("%s: %zu rows, rank correlation %.3f (length only %.3f), median miss x%.2f",
                       name, target.size(), spearman_of(target, model), spearman_of(target, length),
                       miss[miss.size() / 2]);
    }
    double by_length = auc_of(positive, length);
    return text_of("%s: %zu rows, AUC %.3f (length only %.3f), ECE %.3f", name, target.size(),
                   auc_of(positive, model), std::max(by_length, 1 - by_length),
                   ece_of(target, model));
}

}  // namespace

OutOfFold out_of_fold(const std::vector<RouterRow>& rows, std::uint64_t seed, int folds,
                      const Progress& progress) {
    OutOfFold out;
    out.folds = folds_of(rows, seed, folds);
    out.scores.resize(rows.size());
    out.difficulty.resize(rows.size());
    std::vector<bool> used(rows.size());
    for (int fold = 0; fold < folds; ++fold) {
        progress(text_of("fitting without fold %d of %d", fold + 1, folds));
        for (std::size_t i = 0; i < rows.size(); ++i) used[i] = out.folds[i] != fold;
        FittedHeads fitted = fit_heads(rows, used);
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (out.folds[i] == fold) out.scores[i] = fitted.score(rows[i]);
    }
    for (int fold = 0; fold < folds; ++fold) {
        Calibrations others = calibrate(rows, out, fold);
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (out.folds[i] == fold) out.difficulty[i] = blend(out.scores[i], others);
    }
    out.calibrations = calibrate(rows, out, -1);
    return out;
}

std::string figure_line(const std::string& source, const RankingFigures& one) {
    const RoutingIntervals &ours = one.gain, &length = one.length, &chance = one.random;
    return text_of(
        "gain on %s: %zu pairs, APGR %.3f [%.3f, %.3f] (length only %.3f [%.3f, %.3f], "
        "random %.3f [%.3f, %.3f]), CPT50 %.1f%% [%.1f, %.1f], CPT80 %.1f%% [%.1f, %.1f]",
        source.c_str(), one.pairs, ours.at.apgr, ours.low.apgr, ours.high.apgr, length.at.apgr,
        length.low.apgr, length.high.apgr, chance.at.apgr, chance.low.apgr, chance.high.apgr,
        ours.at.cpt50, ours.low.cpt50, ours.high.cpt50, ours.at.cpt80, ours.low.cpt80,
        ours.high.cpt80);
}

std::vector<std::string> figures_of(const std::vector<RouterRow>& rows, const OutOfFold& found,
                                    Shown shown) {
    std::vector<std::string> figures;
    for (std::size_t h = 0; h < head_count; ++h)
        figures.push_back(head_figure(rows, found, static_cast<Head>(h), shown));
    for (const RouterFigures& one : measure_routing(rows, found.difficulty, shown))
        figures.push_back(figure_line(one.source, one) +
                          (std::isnan(one.ece) ? "" : text_of(", ECE %.3f", one.ece)));
    return figures;
}

}  // namespace sluice
