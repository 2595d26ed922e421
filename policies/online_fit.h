// Learns from outcomes of one's own traffic: for each side, the local tier and the frontier, a
// linear correction of the log-odds that the shipped classifier gives to a right answer. A
// correction of zero is the shipped prior, and every weight is pulled towards it.
//
// Follows the regularised leader over the labels it keeps: logistic loss plus |w|^2 / 2, each
// feature scaled by how far its weight may be expected to go (OnlineScales). It is solved by dual
// coordinate ascent (Yu, Huang and Lin, Machine Learning 85, 2011): a label has one number, its
// pressure, between its target - 1 and its target, and w is the sum of pressure x weight x scaled
// features. There is no rate to tune, and a label can never press harder than its weight. Each new
// label is followed by a few earlier ones gone over again; those that no longer fit the window keep
// the pressure they have. Deterministic. One thread learns; what is published is an immutable copy.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "policies/features.h"

namespace sluice {

constexpr std::size_t words_kept_max = 192;  // of a text's hashed words
constexpr std::size_t learned_words = 4'096;
constexpr std::size_t learned_apps = 256;
// In this order: the bias, the prior's log-odds, apps, counts, hashed words.
constexpr std::size_t learned_count = 2 + learned_apps + structural_count + learned_words;

enum class Side : std::uint8_t { local, frontier };
constexpr std::size_t side_count = 2;

// What is kept of a request to learn from its outcome: no text, hashes of words only.
struct OnlineFeatures {
    std::array<std::int8_t, structural_count> structural{};  // standard deviations x 31
    std::array<std::uint16_t, words_kept_max> words;         // the first word_count
    std::uint16_t word_count = 0;
    std::uint16_t app = 0;
    std::array<float, side_count> prior{};  // log-odds of a right answer, by the classifier
};

// Of long texts an even sample of the words is kept.
void keep_words(std::span<const std::uint16_t> buckets, OnlineFeatures& out);
void keep_structural(std::span<const float, structural_count> standardised, OnlineFeatures& out);

// "bias", "prior", "app 17", "count log_bytes", "word 1234": a weight by its place, for people.
std::string learned_name(std::size_t place);

struct OnlineWeights {
    std::array<std::vector<float>, side_count> of;  // [learned_count] each; empty: all zero
    double prior_kept = 1;  // how much of the prior's log-odds they are added to

    double log_odds(Side side, const OnlineFeatures& features) const;
    double p_ok(Side side, const OnlineFeatures& features) const;
    // p_ok of the frontier less that of the local tier.
    double gain(const OnlineFeatures& features) const;
};

// Standard deviations of what a weight is expected to become, in log-odds.
struct OnlineScales {
    double bias = 0.3, prior = 0.1, app = 0.3, count = 0.05, word = 0.4;
    // Correlation of the two sides' weights: what one side's answers teach, the other learns too.
    double shared = 0.5;
};

class OnlineFit {
public:
    // Goes on from what was learnt before, which is then as it is.
    explicit OnlineFit(OnlineWeights start = {}, OnlineScales scales = {});

    // `ok` in [0, 1]; `weight` at most label_weight_max, usually 1 / propensity.
    void learn(Side side, const OnlineFeatures& features, double ok, double weight = 1);
    const OnlineWeights& weights() const { return weights_; }

private:
    struct Label {
        OnlineFeatures features;
        Side side = Side::local;
        double ok = 0, weight = 1;
        double norm = 0;  // of its scaled features, squared
        double pressure = 0;
    };
    void settle(Label& label);

    std::array<double, 5> squared_scales_;
    double shared_;
    OnlineWeights weights_;
    std::vector<Label> last_;  // the window, a ring once it is full
    std::size_t oldest_ = 0;
    std::uint32_t random_ = 1;
};

constexpr double label_weight_max = 10;
constexpr double weight_max = 5;  // of one feature, in log-odds; other states are refused

}  // namespace sluice
