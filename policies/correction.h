// What was learned, applied to what the classifier says of a request. Pure.
#pragma once

#include "policies/classifier.h"
#include "policies/match.h"
#include "policies/online_fit.h"

namespace sluice {

// The prior's log-odds of a right answer, that corrections are added to.
void keep_prior(const Difficulty& difficulty, OnlineFeatures& kept);

// Moves the odds of both sides and, by as much, the gain; without weights nothing.
void correct(Difficulty& difficulty, const OnlineWeights* weights, const OnlineFeatures& kept);

// What was said of a request in its time, said anew: the correction that it had then, if any, is
// taken off by the prior that was kept, and what is learned now is put on.
void correct_anew(Difficulty& difficulty, const OnlineWeights* weights, const OnlineFeatures& kept);

// The app that asks, by its tag or its system prompt; another may have the same number.
std::uint16_t app_of(const Labels& labels, const ChatRequest& chat);

// What a gateway that has learned `weights` says of a request; `kept` gets what it can learn from.
Difficulty classify_learned(const Classifier& classifier, const OnlineWeights* weights,
                            const ChatRequest& chat, const Labels& labels, OnlineFeatures& kept);

}  // namespace sluice
