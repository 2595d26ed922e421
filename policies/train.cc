#include "policies/train.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "policies/blend.h"
#include "policies/router_metrics.h"

namespace sluice {
namespace {

constexpr std::size_t rows_per_head_min = 20;
constexpr std::size_t paired_rows_min = 100;  // fewer say nothing about routing
constexpr std::size_t log_bytes_feature = 0;

Loss loss_of(Head head) { return head == Head::log_output ? Loss::squared : Loss::logistic; }

double target_of(const RouterRow& row, Head head) {
    return row.target[static_cast<std::size_t>(head)];
}

bool labelled(const RouterRow& row, Head head) { return !std::isnan(target_of(row, head)); }

// A source of 7,000 prompts weighs more than one of 300, but not as much more as it is larger.
void weigh_by_source(std::vector<RouterRow>& rows) {
    std::map<std::string, double> sizes;
    for (const RouterRow& row : rows) sizes[row.source] += 1;
    for (RouterRow& row : rows) row.weight /= std::sqrt(sizes[row.source]);
}

void standardise(std::vector<RouterRow>& rows, Weights& weights) {
    std::array<double, structural_count> sum{}, square{};
    double total = 0;
    for (const RouterRow& row : rows) {
        total += row.weight;
        for (std::size_t i = 0; i < structural_count; ++i) {
            auto value = static_cast<double>(row.features.structural[i]);
            sum[i] += row.weight * value;
            square[i] += row.weight * value * value;
        }
    }
    for (std::size_t i = 0; i < structural_count; ++i) {
        double mean = sum[i] / total;
        double deviation = std::sqrt(std::max(square[i] / total - mean * mean, 0.0));
        weights.mean[i] = static_cast<float>(mean);
        weights.scale[i] = deviation < 1e-6 ? 0.0F : static_cast<float>(1 / deviation);
    }
    for (RouterRow& row : rows)
        for (std::size_t i = 0; i < structural_count; ++i)
            row.features.structural[i] = standardised(weights, i, row.features.structural[i]);
}

// The labelled rows outside `held_out` (-1: all), with weights of mean 1.
std::vector<FitExample> examples_of(const std::vector<RouterRow>& rows,
                                    const std::vector<int>& folds, Head head, int held_out) {
    std::vector<FitExample> examples;
    double total = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (folds[i] == held_out || !labelled(rows[i], head)) continue;
        examples.push_back({&rows[i].features, target_of(rows[i], head), rows[i].weight});
        total += rows[i].weight;
    }
    for (FitExample& one : examples) one.weight *= static_cast<double>(examples.size()) / total;
    return examples;
}

std::vector<int> folds_of(const std::vector<RouterRow>& rows, const TrainOptions& options) {
    std::vector<int> folds;
    for (const RouterRow& row : rows) {
        std::uint64_t mixed = (row.cluster ^ options.seed) * 0x9e3779b97f4a7c15ULL;
        folds.push_back(static_cast<int>((mixed >> 33) % static_cast<unsigned>(options.folds)));
    }
    return folds;
}

// A score for every row from heads that never saw its cluster.
std::vector<double> out_of_fold(const std::vector<RouterRow>& rows, const std::vector<int>& folds,
                                Head head, int fold_count, FitShape shape) {
    std::vector<double> scores(rows.size());
    for (int fold = 0; fold < fold_count; ++fold) {
        LinearHead fitted = fit_head(examples_of(rows, folds, head, fold), loss_of(head), shape);
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (folds[i] == fold) scores[i] = fitted.score(rows[i].features);
    }
    return scores;
}

double random_of(std::size_t i, std::uint64_t seed) {
    std::uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15ULL + seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    return static_cast<double>((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53;
}

struct Scores {
    std::vector<double> model, length, random;
};

template <class... Args>
std::string text_of(const char* format, Args... args) {
    char out[256];
    std::snprintf(out, sizeof out, format, args...);
    return out;
}

// One head's figures over the rows that have its label.
std::string head_figure(const std::vector<RouterRow>& rows, Head head, const Scores& all) {
    std::vector<double> target, model, length, random;
    std::vector<bool> positive;
    bool squared = loss_of(head) == Loss::squared;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!labelled(rows[i], head)) continue;
        target.push_back(target_of(rows[i], head));
        positive.push_back(target.back() > 0.5);
        model.push_back(squared ? all.model[i] : sigmoid(all.model[i]));
        length.push_back(squared ? all.length[i] : sigmoid(all.length[i]));
        random.push_back(all.random[i]);
    }
    const char* name = head_names[static_cast<std::size_t>(head)].data();
    if (squared) {
        std::vector<double> miss;
        for (std::size_t i = 0; i < target.size(); ++i)
            miss.push_back(std::exp(std::abs(target[i] - model[i])));
        std::nth_element(miss.begin(), miss.begin() + static_cast<long>(miss.size() / 2),
                         miss.end());
        return text_of("%s: %zu rows, rank correlation %.3f (length only %.3f), median miss x%.2f",
                       name, target.size(), spearman_of(target, model), spearman_of(target, length),
                       miss[miss.size() / 2]);
    }
    return text_of(
        "%s: %zu rows, AUC %.3f (length only %.3f, random %.3f), ECE %.3f (length only "
        "%.3f)",
        name, target.size(), auc_of(positive, model), auc_of(positive, length),
        auc_of(positive, random), ece_of(target, model), ece_of(target, length));
}

// How well the gain ranks the pairs of each source.
void gain_figures(const std::vector<RouterRow>& rows, const std::vector<double>& gain,
                  const std::vector<double>& random, std::vector<std::string>& figures) {
    std::map<std::string, std::vector<std::size_t>> sources;
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].paired) sources[rows[i].source].push_back(i);
    for (const auto& [source, members] : sources) {
        if (members.size() < paired_rows_min) continue;
        std::vector<double> score, length, chance, weak, strong;
        for (std::size_t i : members) {
            score.push_back(gain[i]);
            length.push_back(static_cast<double>(rows[i].features.structural[log_bytes_feature]));
            chance.push_back(random[i]);
            weak.push_back(rows[i].weak);
            strong.push_back(rows[i].strong);
        }
        RoutingFigures found = routing_figures(score, weak, strong);
        figures.push_back(text_of(
            "gain on %s: %zu pairs, APGR %.3f (length only %.3f, random %.3f), CPT50 %.1f%%, "
            "CPT80 %.1f%%",
            source.c_str(), members.size(), found.apgr, routing_figures(length, weak, strong).apgr,
            routing_figures(chance, weak, strong).apgr, found.cpt50, found.cpt80));
    }
}

void cross_validate(const std::vector<RouterRow>& rows, const TrainOptions& options,
                    std::vector<std::string>& figures,
                    const std::function<void(const std::string&)>& progress) {
    std::vector<int> folds = folds_of(rows, options);
    std::vector<HeadScores> predicted(rows.size());
    std::vector<double> gain(rows.size()), random(rows.size()), score, share;
    for (std::size_t i = 0; i < rows.size(); ++i) random[i] = random_of(i, options.seed);
    for (std::size_t h = 0; h < head_count; ++h) {
        Head head = static_cast<Head>(h);
        progress("cross-validating " + std::string(head_names[h]));
        Scores scores;
        scores.model = out_of_fold(rows, folds, head, options.folds, FitShape{});
        scores.length =
            out_of_fold(rows, folds, head, options.folds, FitShape{false, log_bytes_feature + 1});
        scores.random = random;
        figures.push_back(head_figure(rows, head, scores));
        for (std::size_t i = 0; i < rows.size(); ++i) predicted[i].of[h] = scores.model[i];
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        predicted[i].choice = rows[i].choice;
        Difficulty difficulty = blend(predicted[i]);
        gain[i] = difficulty.gain;
        if (!labelled(rows[i], Head::failing_share)) continue;
        score.push_back(difficulty.score);
        share.push_back(target_of(rows[i], Head::failing_share));
    }
    figures.push_back(
        text_of("score against failing share: %zu rows, rank correlation %.3f, ECE "
                "%.3f (it ranks, it is no probability)",
                score.size(), spearman_of(share, score), ece_of(share, score)));
    gain_figures(rows, gain, random, figures);
}

void store(const LinearHead& fitted, std::size_t lane, Weights& weights) {
    double largest = 1e-9;
    for (double one : fitted.hashed) largest = std::max(largest, std::abs(one));
    double step = largest / 127;
    weights.bias[lane] = static_cast<float>(fitted.bias);
    weights.step[lane] = static_cast<float>(step);
    for (std::size_t i = 0; i < structural_count; ++i)
        weights.structural[i][lane] = static_cast<float>(fitted.structural[i]);
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket)
        weights.hashed[bucket * head_lanes + lane] =
            static_cast<std::int8_t>(std::lround(fitted.hashed[bucket] / step));
}

}  // namespace

Result<Weights> train_router(RouterData data, const TrainOptions& options,
                             const std::function<void(const std::string&)>& progress) {
    std::vector<RouterRow>& rows = data.rows;
    for (std::size_t h = 0; h < head_count; ++h) {
        auto count = static_cast<std::size_t>(std::count_if(
            rows.begin(), rows.end(),
            [&](const RouterRow& row) { return labelled(row, static_cast<Head>(h)); }));
        if (count < rows_per_head_min)
            return Error(Errc::bad_file, "only " + std::to_string(count) +
                                             " rows say anything of '" +
                                             std::string(head_names[h]) + "', it takes " +
                                             std::to_string(rows_per_head_min));
    }
    Weights weights;
    weights.command = options.command;
    weights.data = data.files;
    weights.seed = options.seed;
    weights.hashed.resize(std::size_t{bucket_count} * head_lanes);
    weigh_by_source(rows);
    standardise(rows, weights);
    if (options.folds > 1) cross_validate(rows, options, weights.figures, progress);
    std::vector<int> no_folds(rows.size(), 0);
    for (std::size_t h = 0; h < head_count; ++h) {
        Head head = static_cast<Head>(h);
        progress("training " + std::string(head_names[h]) + " on all rows");
        store(fit_head(examples_of(rows, no_folds, head, -1), loss_of(head)), h, weights);
    }
    return weights;
}

}  // namespace sluice
