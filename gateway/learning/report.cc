// GET /admin/router: everything that was learned, as JSON.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/log.h"
#include "gateway/learning/learning.h"

namespace sluice {
namespace {

constexpr std::size_t moved_shown = 12;  // weights of a side
constexpr std::string_view became_names[] = {"learned", "kept",    "over_allowance",
                                             "already", "unknown", "too_long"};

void add_bound(std::vector<MetricsGauges::LearningNow::Value>& out, const std::string& of,
               const RunningBound& bound, double confidence) {
    if (bound.count() < 2) return;
    out.push_back({of, "mean", bound.mean()});
    out.push_back({of, "low", bound.low(confidence)});
    out.push_back({of, "high", bound.high(confidence)});
}

std::string decimal(double value) {
    if (!std::isfinite(value)) return "null";
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

std::string quoted(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

std::string bound_json(const RunningBound& bound, double confidence) {
    return "{\"labels\":" + decimal(bound.count()) + ",\"mean\":" + decimal(bound.mean()) +
           ",\"low\":" + decimal(bound.low(confidence)) +
           ",\"high\":" + decimal(bound.high(confidence)) + "}";
}

std::string trial_json(const Trial& trial, double confidence) {
    std::string out = "{\"all\":" + bound_json(trial.all, confidence) + ",\"teams\":{";
    for (const Trial::Team& team : trial.teams)
        out += (out.back() == '{' ? "" : ",") + quoted(team.name) + ":" +
               bound_json(team.bound, confidence);
    return out + "}}";
}

std::string model_json(const LearnerModel& model) {
    return "{\"version\":" + std::to_string(model.version) +
           ",\"labels\":" + decimal(model.labels) +
           ",\"is\":" + (model.weights ? "\"learned\"" : "\"the shipped prior\"") + "}";
}

// The weights of one side that are furthest from the prior, by name; words only by their hash.
std::string moved_json(const std::vector<float>& weights) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (weights[i] != 0) order.push_back(i);
    std::size_t shown = std::min(order.size(), moved_shown);
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
        [&](std::size_t a, std::size_t b) { return std::abs(weights[a]) > std::abs(weights[b]); });
    std::string out = "{";
    for (std::size_t i = 0; i < shown; ++i)
        out += (i == 0 ? "" : ",") + quoted(learned_name(order[i])) + ":" +
               decimal(static_cast<double>(weights[order[i]]));
    return out + "}";
}

// How much each way to learn is believed.
std::string shares_json(const std::array<double, OnlineMix::ways>& shares) {
    std::string out = "{";
    for (std::size_t i = 0; i < shares.size(); ++i)
        out += (i == 0 ? "" : ",") + quoted(way_name(i)) + ":" + decimal(shares[i]);
    return out + "}";
}

std::string weights_json(const OnlineWeights& weights) {
    return "{\"prior_kept\":" + decimal(weights.prior_kept) + ",\"moved\":" +
           std::to_string(std::count_if(weights.of[0].begin(), weights.of[0].end(),
                                        [](float one) { return one != 0; })) +
           ",\"local\":" + moved_json(weights.of[0]) +
           ",\"frontier\":" + moved_json(weights.of[1]) + "}";
}

std::string shadow_json(const Shadow::Counts& counts) {
    return "{\"started\":" + std::to_string(counts.started) +
           ",\"judged\":" + std::to_string(counts.judged) +
           ",\"ties\":" + std::to_string(counts.ties) +
           ",\"failed\":" + std::to_string(counts.failed) +
           ",\"dropped_busy\":" + std::to_string(counts.dropped_busy) +
           ",\"dropped_money\":" + std::to_string(counts.dropped_money) +
           ",\"used_today_usd\":" + usd_text(counts.used_today) +
           ",\"spent_since_start_usd\":" + usd_text(counts.spent) + "}";
}

}  // namespace

MetricsGauges::LearningNow Learning::now() const {
    MetricsGauges::LearningNow out;
    for (std::size_t kind = 0; kind < kinds; ++kind)
        for (std::size_t became = 0; became < becomes; ++became)
            if (auto count = outcomes_[kind][became].load(std::memory_order_relaxed))
                out.feedback.push_back(
                    {std::string(outcome_kind_name(static_cast<OutcomeKind>(kind))),
                     std::string(became_names[became]), count});
    if (auto count = malformed_.load(std::memory_order_relaxed))
        out.feedback.push_back({"", "malformed", count});  // of what kind, nobody knows
    Shadow::Counts counts = shadow.counts();
    out.shadow = {{"judged", counts.judged},
                  {"tie", counts.ties},
                  {"failed", counts.failed},
                  {"dropped_busy", counts.dropped_busy},
                  {"dropped_money", counts.dropped_money}};
    out.shadow_cost_usd = static_cast<double>(counts.spent.pico_usd) * 1e-12;
    out.explored = explored_.load(std::memory_order_relaxed);
    std::lock_guard lock(mutex_);
    out.champion_version = static_cast<double>(learner_.champion().version);
    out.labels = {{"champion", "", learner_.champion().labels},
                  {"challenger", "", learner_.challenger_labels()}};
    double confidence = learner_.options().confidence;
    add_bound(out.advantages, "challenger", learner_.trial().all, confidence);
    add_bound(out.advantages, "champion", learner_.guard().all, confidence);
    return out;
}

std::string Learning::report() const {
    std::lock_guard lock(mutex_);
    double confidence = learner_.options().confidence;
    std::string out = "{\"classifier\":" + quoted(classifier_) +
                      ",\"champion\":" + model_json(learner_.champion()) +
                      ",\"before\":" + model_json(learner_.before()) +
                      ",\"base\":" + model_json(learner_.base()) +
                      ",\"challenger\":{\"labels\":" + decimal(learner_.challenger_labels()) +
                      ",\"shares\":" + shares_json(learner_.challenger().shares()) +
                      "},\"champion_follows\":" + (learner_.follows() ? "true" : "false") +
                      ",\"promotions\":" + std::to_string(learner_.promotions()) +
                      ",\"rollbacks\":" + std::to_string(learner_.rollbacks()) +
                      ",\"confidence\":" + decimal(confidence) +
                      ",\"challenger_less_base\":" + trial_json(learner_.trial(), confidence) +
                      ",\"champion_less_base\":" + trial_json(learner_.guard(), confidence) +
                      ",\"labels_since_start\":{";
    for (std::size_t i = 0; i < noted_.size(); ++i)
        out += (i == 0 ? "" : ",") + quoted(outcome_kind_name(static_cast<OutcomeKind>(i))) + ":" +
               std::to_string(noted_[i]);
    out += "},\"labels_over_allowance\":" + std::to_string(over_allowance_) +
           ",\"answers_not_remembered\":" +
           std::to_string(forgotten_.load(std::memory_order_relaxed)) +
           ",\"shadow\":" + shadow_json(shadow.counts()) +
           ",\"state\":{\"file\":" + quoted(section_.state_file) +
           ",\"saved\":" + (changed_ || saving_ ? "false" : "true") +
           ",\"saves\":" + std::to_string(saves_) + ",\"fault\":" + quoted(save_fault_) +
           ",\"refused\":" + quoted(refused_) + "}" +
           ",\"challenger_weights\":" + weights_json(learner_.challenger().weights()) +
           ",\"champion_weights\":";
    const auto& champion = learner_.champion().weights;
    return out + (champion ? weights_json(*champion) : "null") + "}";
}

}  // namespace sluice
