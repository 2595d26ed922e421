#include "policies/online_mix.h"

#include <algorithm>
#include <cmath>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr std::string_view names[] = {"prior", "level", "near", "fresh"};
constexpr double remembered = 8'192;  // outcomes
constexpr double surest = 3.89;       // log-odds of 0.98

// Standard deviations: bias, prior, app, count, word; what the sides share.
constexpr std::array<OnlineScales, OnlineMix::fits> scales{
    OnlineScales{0.3, 0.3, 0, 0, 0, 0.5},
    OnlineScales{0.3, 0.1, 0.3, 0.05, 0.4, 0.8},
    OnlineScales{1, 0, 0.3, 0.1, 0.6, 0.5},
};
constexpr std::size_t fresh = 2;  // among the fits

OnlineFeatures without_prior(const OnlineFeatures& features) {
    OnlineFeatures out = features;
    out.prior = {};
    return out;
}

double loss_of(double log_odds, double ok) {
    double z = std::clamp(log_odds, -surest, surest);
    return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))) - ok * z;
}

void add_scaled(std::vector<float>& to, double factor, const std::vector<float>& what) {
    if (what.empty()) return;
    to.resize(learned_count, 0.0F);
    for (std::size_t i = 0; i < what.size(); ++i)
        to[i] += static_cast<float>(factor * static_cast<double>(what[i]));
}

std::array<double, OnlineMix::ways> shares_of(std::array<double, OnlineMix::ways> evidence) {
    double total = 0;
    for (double& one : evidence) total += one = std::exp(one);
    for (double& one : evidence) one /= total;
    return evidence;
}

// `fit(i)` gives the weights of one.
template <class Fit>
OnlineWeights summed(const std::array<double, OnlineMix::ways>& shares, Fit fit) {
    OnlineWeights out;
    out.prior_kept = 1 - shares[1 + fresh];
    for (std::size_t i = 0; i < OnlineMix::fits; ++i)
        for (std::size_t side = 0; side < side_count; ++side)
            add_scaled(out.of[side], shares[1 + i], fit(i).of[side]);
    return out;
}

}  // namespace

std::string_view way_name(std::size_t way) { return names[way]; }

OnlineWeights weights_of(const OnlineMix::State& state) {
    return summed(shares_of(state.evidence),
                  [&](std::size_t i) -> const OnlineWeights& { return state.of[i]; });
}

OnlineMix::OnlineMix() : OnlineMix(State()) {}

OnlineMix::OnlineMix(const State& start)
    : fits_{OnlineFit(start.of[0], scales[0]), OnlineFit(start.of[1], scales[1]),
            OnlineFit(start.of[2], scales[2])},
      evidence_(start.evidence) {}

OnlineMix::Odds OnlineMix::foretold(Side side, const OnlineFeatures& features) const {
    Odds out{static_cast<double>(features.prior[static_cast<std::size_t>(side)])};
    for (std::size_t i = 0; i < fits; ++i)
        out[1 + i] =
            fits_[i].weights().log_odds(side, i == fresh ? without_prior(features) : features);
    return out;
}

double OnlineMix::sum(const Odds& odds) const {
    double out = 0;
    auto by = shares();
    for (std::size_t i = 0; i < ways; ++i) out += by[i] * odds[i];
    return out;
}

double OnlineMix::gain(const OnlineFeatures& features) const {
    return sigmoid(sum(foretold(Side::frontier, features))) -
           sigmoid(sum(foretold(Side::local, features)));
}

void OnlineMix::learn(Side side, const OnlineFeatures& features, double ok, double weight,
                      double part) {
    weigh(foretold(side, features), ok, part);
    for (std::size_t i = 0; i < fits; ++i)
        fits_[i].learn(side, i == fresh ? without_prior(features) : features, ok, weight * part);
}

void OnlineMix::weigh(const Odds& odds, double ok, double part) {
    for (std::size_t i = 0; i < ways; ++i)
        evidence_[i] = evidence_[i] * (1 - 1 / remembered) - part * loss_of(odds[i], ok);
    double best = *std::max_element(evidence_.begin(), evidence_.end());
    for (double& one : evidence_) one -= best;
}

std::array<double, OnlineMix::ways> OnlineMix::shares() const { return shares_of(evidence_); }

OnlineWeights OnlineMix::weights() const {
    return summed(shares(),
                  [&](std::size_t i) -> const OnlineWeights& { return fits_[i].weights(); });
}

OnlineMix::State OnlineMix::state() const {
    State out;
    out.evidence = evidence_;
    for (std::size_t i = 0; i < fits; ++i) out.of[i] = fits_[i].weights();
    return out;
}

}  // namespace sluice
