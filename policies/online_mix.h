// Several ways to learn from the same labels at once, each believed by how well it foretold them.
// What comes out is one correction again: in log-odds, the sum of the ways by their shares.
//
//   prior   the shipped classifier as it is
//   level   its odds moved and stretched as a whole, safe after few labels
//   near    the prior corrected by counts and words, pulled towards it
//   fresh   counts and words alone, from nothing: where the prior knows nothing of such requests
//
// A share grows by the likelihood that the way gave to an outcome before it learned from it: Bayes'
// mixture, so that what is foretold loses at most the logarithm of the number of ways against the
// best of them. Likelihoods fade over the last `remembered` outcomes, so that a way that fell
// behind comes back when the world changes, but not within a day of lies. Foretold odds count as no
// surer than `surest`, which bounds what one label can say. Deterministic; one thread.
#pragma once

#include <array>
#include <string_view>

#include "policies/online_fit.h"

namespace sluice {

class OnlineMix {
public:
    static constexpr std::size_t fits = 3;
    static constexpr std::size_t ways = fits + 1;  // the prior comes first

    struct State {
        std::array<OnlineWeights, fits> of;
        std::array<double, ways> evidence{};  // log likelihood, faded, less the best way's
    };

    // Goes on from what was learnt before.
    OnlineMix();
    explicit OnlineMix(const State& start);

    // As OnlineFit's; `part` of the outcome, 0 .. 1, is this side's.
    void learn(Side side, const OnlineFeatures& features, double ok, double weight = 1,
               double part = 1);

    OnlineWeights weights() const;  // the sum
    double gain(const OnlineFeatures& features) const;
    State state() const;
    std::array<double, ways> shares() const;  // sum to 1

private:
    using Odds = std::array<double, ways>;
    Odds foretold(Side side, const OnlineFeatures& features) const;
    double sum(const Odds& odds) const;
    void weigh(const Odds& odds, double ok, double part);

    std::array<OnlineFit, fits> fits_;
    std::array<double, ways> evidence_;
};

constexpr double evidence_least = -1e5;  // of a way; other states are refused

std::string_view way_name(std::size_t way);

// Of a state: its sum of the ways.
OnlineWeights weights_of(const OnlineMix::State& state);

}  // namespace sluice
