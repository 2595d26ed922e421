#include "policies/correction.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr double sure = 0.002;  // odds are kept this far from never and always

float log_odds(double p) {
    double kept = std::clamp(p, sure, 1 - sure);
    return static_cast<float>(std::log(kept / (1 - kept)));
}

}  // namespace

void keep_prior(const Difficulty& difficulty, OnlineFeatures& kept) {
    kept.prior = {log_odds(1 - difficulty.score), log_odds(difficulty.ok_frontier)};
}

void correct(Difficulty& difficulty, const OnlineWeights* weights, const OnlineFeatures& kept) {
    if (weights == nullptr) return;
    double local = weights->p_ok(Side::local, kept);
    double frontier = weights->p_ok(Side::frontier, kept);
    double local_moved = local - (1 - difficulty.score);
    double frontier_moved = frontier - difficulty.ok_frontier;
    difficulty.score = 1 - local;
    difficulty.ok_frontier = frontier;
    difficulty.gain += frontier_moved - local_moved;
}

}  // namespace sluice
