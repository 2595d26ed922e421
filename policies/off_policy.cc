#include "policies/off_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

constexpr double tight_at = 1'000;        // labels
constexpr double propensity_min = 0.005;  // bounds what one outcome can say
constexpr double count_min = 2;

}  // namespace

double worth_of_gain(double gain, double true_gain) {
    double sent = std::clamp(gain, 0.0, 1.0);
    return sent * true_gain - sent * sent / 2;
}

double gain_doubly_robust(bool frontier, double ok, double propensity, double p_local,
                          double p_frontier) {
    double expected = frontier ? p_frontier : p_local;
    double surprise = (ok - expected) / std::max(propensity, propensity_min);
    return p_frontier - p_local + (frontier ? surprise : -surprise);
}

void RunningBound::add(double difference) {
    count_ += 1;
    sum_ += difference;
    squares_ += difference * difference;
}

void RunningBound::restore(const Sums& sums) {
    count_ = sums.count;
    sum_ = sums.sum;
    squares_ = sums.squares;
}

double RunningBound::mean() const { return count_ == 0 ? 0 : sum_ / count_; }

double RunningBound::reach(double confidence) const {
    if (count_ < count_min) return std::numeric_limits<double>::infinity();
    double variance = std::max(squares_ / count_ - mean() * mean(), 0.0);
    double alpha = 1 - confidence;
    // rho^2 that makes the bound tightest at tight_at, as given there.
    double inside = -2 * std::log(alpha);
    double rho2 = (inside + std::log(inside + 1)) / tight_at;
    double spread = count_ * rho2 + 1;
    return std::sqrt(variance * 2 * spread / (count_ * count_ * rho2) *
                     std::log(1 + std::sqrt(spread) / (2 * alpha)));
}

double RunningBound::low(double confidence) const { return mean() - reach(confidence); }
double RunningBound::high(double confidence) const { return mean() + reach(confidence); }

}  // namespace sluice
