#include "policies/head_fit.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sluice {
namespace {

constexpr double others_most = 0.1;  // outcomes of other pairs of models weigh so much in all
constexpr double rows_half_trusted = 1'000;  // outcomes that make a gain half trusted
constexpr double apart_shrink = 600;    // of what tells the frontier's line from the local one's
constexpr double absent_log_odds = -6;  // of a kind of text that the data never shows

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
        case Head::local_ok:
        case Head::measured:
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
        examples.push_back({&rows[i].features, target_of(rows[i], head), rows[i].weight});
        total += rows[i].weight;
    }
    for (FitExample& one : examples) one.weight *= static_cast<double>(examples.size()) / total;
    return examples;
}

LinearHead fit_one(const std::vector<RouterRow>& rows, const std::vector<bool>& used, Head head) {
    auto examples = examples_of(rows, used, head);
    if (examples.size() < rows_per_head_min) {
        LinearHead empty;
        empty.bias = is_probability(head) ? absent_log_odds : 0;
        return empty;
    }
    return fit_head(examples, is_probability(head) ? Loss::logistic : Loss::squared,
                    shape_of(head));
}

TreeInputs inputs_of(const RouterRow& row, const Topics& topics) {
    TreeInputs out{};
    std::copy(row.features.structural.begin(), row.features.structural.end(), out.begin());
    auto about = topics.of(row.features);
    std::copy(about.begin(), about.end(), out.begin() + structural_count);
    return out;
}

bool has_outcomes(const RouterRow& row) {
    return row.weak >= 0 && row.weak <= 1 && row.strong >= 0 && row.strong <= 1;
}

// The fewer outcomes there are, the less is read into them.
ForestShape shape_of(std::size_t reference_rows) {
    constexpr std::size_t many = 2'000, rows_per_tree = 20, trees_least = 10;
    ForestShape shape;
    if (reference_rows >= many) return shape;
    shape.line = true;
    shape.depth = 2;
    shape.trees = static_cast<int>(std::clamp<std::size_t>(
        reference_rows / rows_per_tree, trees_least, static_cast<std::size_t>(shape.trees)));
    return shape;
}

KindForests fit_kind(const std::vector<const RouterRow*>& rows,
                     const std::vector<TreeInputs>& inputs) {
    std::size_t reference = 0;
    double total = 0, of_reference = 0;
    for (const RouterRow* row : rows) {
        total += row->weight;
        of_reference += row->reference ? row->weight : 0;
        reference += row->reference ? 1 : 0;
    }
    if (reference < reference_rows_min) return {};
    double others =
        std::min(1.0, others_most * of_reference / std::max(total - of_reference, 1e-9));
    double scale =
        static_cast<double>(rows.size()) / (of_reference + others * (total - of_reference));
    std::vector<ForestExample> local, frontier;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        double weight = rows[i]->weight * scale * (rows[i]->reference ? 1 : others);
        local.push_back({&inputs[i], rows[i]->weak, weight});
        frontier.push_back({&inputs[i], rows[i]->strong, weight});
    }
    ForestShape shape = shape_of(reference);
    auto known = static_cast<double>(reference);
    KindForests out;
    out.local = fit_forest(local, shape);
    // What is hard for one model is hard for the other: few outcomes move the frontier's line away
    // from the local one's by what they are sure of.
    shape.line_towards = out.local.line;
    shape.line_shrink = apart_shrink;
    out.frontier = fit_forest(frontier, shape);
    out.trust = static_cast<float>(known / (known + rows_half_trusted));
    return out;
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

void mark_reference(std::vector<RouterRow>& rows) {
    std::array<std::map<std::string, std::size_t>, kind_count> outcomes;
    auto of_kind = [&](const RouterRow& row) -> auto& {
        return outcomes[static_cast<std::size_t>(row.kind)];
    };
    for (const RouterRow& row : rows)
        if (has_outcomes(row)) ++of_kind(row)[row.source];
    for (RouterRow& row : rows) {
        std::size_t most = 0;
        for (const auto& [source, count] : of_kind(row)) most = std::max(most, count);
        row.reference = row.kind == Kind::open || of_kind(row)[row.source] == most;
    }
}

}  // namespace

bool labelled(const RouterRow& row, Head head) { return !std::isnan(target_of(row, head)); }

HeadScores FittedHeads::score(const RouterRow& row) const {
    HeadScores out;
    for (std::size_t h = 0; h < head_count; ++h) out.of[h] = heads[h].score(row.features);
    out.options = row.options;
    out.log_bytes = row.log_bytes;
    TreeInputs inputs = inputs_of(row, topics);
    ask_forests(forests, inputs, out);
    out.familiar = known_share(row.words, known) >= familiar_share;
    return out;
}

void prepare(std::vector<RouterRow>& rows, Weights& weights) {
    mark_reference(rows);
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

FittedHeads fit_heads(const std::vector<RouterRow>& rows, const std::vector<bool>& used,
                      bool outcomes_only) {
    FittedHeads out;
    out.known = known_words(rows, used);
    for (std::size_t h = 0; h < head_count; ++h) {
        Head head = static_cast<Head>(h);
        if (!outcomes_only || head == Head::steps) out.heads[h] = fit_one(rows, used, head);
    }
    std::vector<const FitRow*> texts;
    std::array<std::vector<const RouterRow*>, kind_count> measured;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!used[i]) continue;
        texts.push_back(&rows[i].features);
        if (has_outcomes(rows[i]))
            measured[static_cast<std::size_t>(rows[i].kind)].push_back(&rows[i]);
    }
    out.topics = find_topics(texts);
    const LinearHead& steps = out.heads[static_cast<std::size_t>(Head::steps)];
    for (std::size_t kind = 0; kind < kind_count; ++kind) {
        std::vector<TreeInputs> inputs;
        for (const RouterRow* row : measured[kind]) {
            inputs.push_back(inputs_of(*row, out.topics));
            inputs.back().back() = static_cast<float>(steps.score(row->features));
        }
        out.forests[kind] = fit_kind(measured[kind], inputs);
    }
    return out;
}

}  // namespace sluice
