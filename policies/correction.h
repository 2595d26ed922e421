// What was learned, applied to what the classifier says of a request. Pure.
#pragma once

#include "policies/classifier.h"
#include "policies/online_fit.h"

namespace sluice {

// The prior's log-odds of a right answer, that corrections are added to.
void keep_prior(const Difficulty& difficulty, OnlineFeatures& kept);

// Moves the odds of both sides and, by as much, the gain; without weights nothing.
void correct(Difficulty& difficulty, const OnlineWeights* weights, const OnlineFeatures& kept);

}  // namespace sluice
