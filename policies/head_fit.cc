#include "policies/head_fit.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sluice {
namespace {

// Few outcomes of word problems are known: their heads see counts and predicted steps alone, and
// are shrunk more.
constexpr FitShape problem_shape{false, structural_count, 100};
// The predicted steps are shrunk less than a count: they already are a summary.
constexpr double stacked_scale = 4;
constexpr double absent_log_odds = -6;  // of a kind of text that the data never shows

bool is_outcome(Head head) {
    switch (head) {
        case Head::choice_local:
        case Head::choice_frontier:
        case Head::exam_local:
        case Head::exam_frontier:
        case Head::problem_local:
        case Head::problem_frontier:
            return true;
        case Head::reasoning:
        case Head::local_ok:
        case Head::problem:
        case Head::steps:
        case Head::code:
        case Head::maths:
        case Head::factual:
        case Head::writing:
        case Head::log_output_local:
        case Head::log_output_frontier:
            return false;
    }
    return false;
}

double target_of(const RouterRow& row, Head head) {
    return row.target[static_cast<std::size_t>(head)];
}

// What kind of text it is must not be guessed from its length: long easy letters are many in
// practice and few in the data.
FitShape shape_of(Head head) {
    FitShape shape;
    switch (head) {
        case Head::reasoning:
        case Head::problem:
        case Head::code:
        case Head::maths:
        case Head::factual:
        case Head::writing:
            shape.length = false;
            return shape;
        case Head::problem_local:
        case Head::problem_frontier:
            return problem_shape;
        case Head::local_ok:
        case Head::choice_local:
        case Head::choice_frontier:
        case Head::exam_local:
        case Head::exam_frontier:
        case Head::steps:
        case Head::log_output_local:
        case Head::log_output_frontier:
            return shape;
    }
    return shape;
}

// With weights of mean 1.
std::vector<FitExample> examples_of(const std::vector<RouterRow>& rows,
                                    const std::vector<bool>& used, Head head) {
    std::vector<FitExample> examples;
    double total = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!used[i] || !labelled(rows[i], head)) continue;
        double weight = rows[i].weight * (is_outcome(head) ? rows[i].outcome_weight : 1);
        examples.push_back({&rows[i].features, target_of(rows[i], head), weight});
        total += weight;
    }
    for (FitExample& one : examples) one.weight *= static_cast<double>(examples.size()) / total;
    return examples;
}

LinearHead fit_one(const std::vector<RouterRow>& rows, const std::vector<bool>& used, Head head) {
    auto examples = examples_of(rows, used, head);
    if (examples.size() < rows_per_head_min) {
        LinearHead empty;
        empty.bias = is_outcome(head) || !is_probability(head) ? 0 : absent_log_odds;
        return empty;
    }
    return fit_head(examples, is_probability(head) ? Loss::logistic : Loss::squared,
                    shape_of(head));
}

struct Spread {
    double mean = 0, deviation = 1;
};

// Lets word problems' rows see what `steps` says of them.
Spread stack(std::vector<RouterRow>& rows, const LinearHead& steps) {
    double count = 0, sum = 0, square = 0;
    for (RouterRow& row : rows) {
        row.features.stacked = 0;
        if (target_of(row, Head::problem) != 1) continue;
        double score = steps.score(row.features);
        row.features.stacked = static_cast<float>(score);
        count += 1;
        sum += score;
        square += score * score;
    }
    if (count == 0) return {};
    Spread spread{sum / count, 1};
    double variance = square / count - spread.mean * spread.mean;
    if (variance > 1e-12) spread.deviation = std::sqrt(variance);
    for (RouterRow& row : rows)
        if (target_of(row, Head::problem) == 1)
            row.features.stacked = static_cast<float>(
                stacked_scale * (static_cast<double>(row.features.stacked) - spread.mean) /
                spread.deviation);
    return spread;
}

// The same head without its stacked part: a sum of linear heads is one.
LinearHead unstacked(LinearHead head, const LinearHead& steps, Spread spread) {
    double each = head.stacked * stacked_scale / spread.deviation;
    head.bias += each * (steps.bias - spread.mean);
    for (std::size_t i = 0; i < structural_count; ++i)
        head.structural[i] += each * steps.structural[i];
    head.hashed = steps.hashed;
    for (double& one : head.hashed) one *= each;
    head.stacked = 0;
    return head;
}

std::vector<std::uint8_t> known_words(const std::vector<RouterRow>& rows,
                                      const std::vector<bool>& used) {
    std::vector<std::uint8_t> once(known_bytes), twice(known_bytes);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!used[i]) continue;
        for (std::uint32_t word : rows[i].words) {
            std::size_t byte = word / 8 % known_bytes;
            auto bit = static_cast<std::uint8_t>(1U << word % 8);
            twice[byte] = static_cast<std::uint8_t>(twice[byte] | (once[byte] & bit));
            once[byte] = static_cast<std::uint8_t>(once[byte] | bit);
        }
    }
    return twice;
}

}  // namespace

bool labelled(const RouterRow& row, Head head) { return !std::isnan(target_of(row, head)); }

HeadScores FittedHeads::score(const RouterRow& row) const {
    HeadScores out;
    FitRow plain = row.features;
    plain.stacked = 0;
    for (std::size_t h = 0; h < head_count; ++h) out.of[h] = heads[h].score(plain);
    out.options = row.options;
    out.familiar = known_share(row.words, known) >= familiar_share;
    return out;
}

void prepare(std::vector<RouterRow>& rows, Weights& weights) {
    std::map<std::string, double> sizes;
    for (const RouterRow& row : rows) sizes[row.source] += 1;
    std::array<double, structural_count> sum{}, square{};
    double total = 0;
    for (RouterRow& row : rows) {
        row.weight /= std::sqrt(sizes[row.source]);
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

FittedHeads fit_heads(std::vector<RouterRow>& rows, const std::vector<bool>& used,
                      bool outcomes_only) {
    FittedHeads out;
    out.known = known_words(rows, used);
    for (RouterRow& row : rows) row.features.stacked = 0;
    auto at = [&](Head head) -> LinearHead& { return out.heads[static_cast<std::size_t>(head)]; };
    for (std::size_t h = 0; h < head_count; ++h) {
        Head head = static_cast<Head>(h);
        bool wanted = !outcomes_only || is_outcome(head) || head == Head::steps;
        if (wanted && head != Head::problem_local && head != Head::problem_frontier)
            at(head) = fit_one(rows, used, head);
    }
    Spread spread = stack(rows, at(Head::steps));
    for (Head head : {Head::problem_local, Head::problem_frontier})
        at(head) = unstacked(fit_one(rows, used, head), at(Head::steps), spread);
    for (RouterRow& row : rows) row.features.stacked = 0;
    if (at(Head::exam_local).hashed.empty()) {
        at(Head::exam_local) = at(Head::choice_local);
        at(Head::exam_frontier) = at(Head::choice_frontier);
    }
    return out;
}

}  // namespace sluice
