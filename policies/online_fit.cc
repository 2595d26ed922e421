#include "policies/online_fit.h"

#include <algorithm>
#include <cmath>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr std::size_t window = 4'096;  // labels
constexpr int gone_over = 16;          // earlier labels with each new one
constexpr int newton_steps = 8;
constexpr double structural_unit = 31;
constexpr double deviations_max = 4;
constexpr double prior_max = 4;  // log-odds, as a feature

enum Group : std::size_t { bias, prior, app, count, word };
constexpr std::size_t app_at = 2;
constexpr std::size_t structural_at = app_at + learned_apps;
constexpr std::size_t words_at = structural_at + structural_count;

constexpr std::size_t index(Side side) { return static_cast<std::size_t>(side); }

// Calls each(group, weight's place, feature's value).
template <class Each>
void each_feature(const OnlineFeatures& features, Side side, Each each) {
    each(bias, std::size_t{0}, 1.0);
    double given = static_cast<double>(features.prior[index(side)]);
    each(prior, std::size_t{1}, std::clamp(given, -prior_max, prior_max));
    each(app, app_at + features.app % learned_apps, 1.0);
    for (std::size_t i = 0; i < structural_count; ++i)
        if (features.structural[i] != 0)
            each(count, structural_at + i, features.structural[i] / structural_unit);
    if (features.word_count == 0) return;
    double value = 1 / std::sqrt(static_cast<double>(features.word_count));
    for (std::size_t i = 0; i < features.word_count; ++i)
        each(word, words_at + features.words[i] % learned_words, value);
}

}  // namespace

void keep_words(std::span<const std::uint16_t> buckets, OnlineFeatures& out) {
    std::size_t kept = std::min(buckets.size(), words_kept_max);
    for (std::size_t i = 0; i < kept; ++i) out.words[i] = buckets[i * buckets.size() / kept];
    out.word_count = static_cast<std::uint16_t>(kept);
}

void keep_structural(std::span<const float, structural_count> standardised, OnlineFeatures& out) {
    for (std::size_t i = 0; i < structural_count; ++i) {
        double value =
            std::clamp(static_cast<double>(standardised[i]), -deviations_max, deviations_max);
        out.structural[i] = static_cast<std::int8_t>(std::lround(value * structural_unit));
    }
}

std::string learned_name(std::size_t place) {
    if (place < app_at) return place == 0 ? "bias" : "prior";
    if (place < structural_at) return "app " + std::to_string(place - app_at);
    if (place >= words_at) return "word " + std::to_string(place - words_at);
    return "count " + std::string(structural_names()[place - structural_at]);
}

double OnlineWeights::log_odds(Side side, const OnlineFeatures& features) const {
    const std::vector<float>& w = of[index(side)];
    double sum = prior_kept * static_cast<double>(features.prior[index(side)]);
    if (w.empty()) return sum;
    each_feature(features, side, [&](Group, std::size_t at, double value) {
        sum += value * static_cast<double>(w[at]);
    });
    return sum;
}

double OnlineWeights::p_ok(Side side, const OnlineFeatures& features) const {
    return sigmoid(log_odds(side, features));
}

double OnlineWeights::gain(const OnlineFeatures& features) const {
    return p_ok(Side::frontier, features) - p_ok(Side::local, features);
}

OnlineFit::OnlineFit(OnlineWeights start, OnlineScales scales)
    : squared_scales_{scales.bias * scales.bias, scales.prior * scales.prior,
                      scales.app * scales.app, scales.count * scales.count,
                      scales.word * scales.word},
      shared_(scales.shared),
      weights_(std::move(start)) {
    for (std::vector<float>& one : weights_.of) one.resize(learned_count, 0.0F);
}

void OnlineFit::learn(Side side, const OnlineFeatures& features, double ok, double weight) {
    Label label;
    label.features = features;
    label.side = side;
    label.ok = std::clamp(ok, 0.0, 1.0);
    label.weight = std::clamp(weight, 0.0, label_weight_max);
    each_feature(features, side, [&](Group group, std::size_t, double value) {
        label.norm += value * value * squared_scales_[group];
    });
    if (last_.size() < window) {
        last_.push_back(label);
        settle(last_.back());
    } else {
        Label& place = last_[oldest_];
        place = label;
        settle(place);
        oldest_ = (oldest_ + 1) % window;
    }
    for (int i = 0; i < gone_over; ++i) {
        random_ = random_ * 1'664'525 + 1'013'904'223;  // Numerical Recipes' generator
        settle(last_[(random_ >> 8) % last_.size()]);
    }
}

// The pressure at which it is target - probability, all others left as they are. That equation
// has one root, since its left side falls and its right side does not.
void OnlineFit::settle(Label& label) {
    double reach = label.norm * label.weight;
    double others = weights_.log_odds(label.side, label.features) - reach * label.pressure;
    double pressure = label.pressure;
    for (int i = 0; i < newton_steps; ++i) {
        double p = sigmoid(others + reach * pressure);
        pressure -= (pressure - label.ok + p) / (1 + p * (1 - p) * reach);
        pressure = std::clamp(pressure, label.ok - 1, label.ok);
    }
    double change = (pressure - label.pressure) * label.weight;
    label.pressure = pressure;
    std::vector<float>& own = weights_.of[index(label.side)];
    std::vector<float>& other = weights_.of[1 - index(label.side)];
    auto add = [](float& weight, double moved) {
        weight = static_cast<float>(
            std::clamp(static_cast<double>(weight) + moved, -weight_max, weight_max));
    };
    each_feature(label.features, label.side, [&](Group group, std::size_t at, double value) {
        double moved = change * value * squared_scales_[group];
        add(own[at], moved);
        add(other[at], shared_ * moved);
    });
}

}  // namespace sluice
