// Whether a configuration may serve, by what its golden set's last result says. Pure; any thread.
//
// The rule: the result is of this golden file and of what is configured now, with no answer
// missing; and against the result of the version before, on the cases that both measured, neither a
// tier of the same name nor the policy as a whole (each case scored by the tier that it is routed
// to; a refused one is wrong) has a mean score that is lower by more than the tolerance.
#pragma once

#include <string>
#include <vector>

#include "policies/golden/golden_set.h"
#include "policies/golden/result.h"

namespace sluice {

struct ConfiguredTier {
    std::string tier;
    std::string identity;
};

// What is to be let in.
struct GateCandidate {
    const GoldenSet& set;
    std::vector<ConfiguredTier> tiers;  // those that can answer
    std::vector<std::string> routed;    // parallel to the set's cases; "" = refused
    double tolerance = 0.02;
};

// Errors: bad_config, saying what is missing, of what, or how much is lost.
Status fresh_enough(const GateCandidate& candidate, const GoldenResult& result);
// `result` is of the candidate; `before` of what served before it, with its own routes.
Status good_enough(const GateCandidate& candidate, const GoldenResult& result,
                   const GoldenResult& before);

// Scores of `of` put in the order of `as`: the same case by id and digest; none where it has none.
// Of judge_compare there are none: they are relative to another tier of their own run.
Scores aligned(const GoldenResult& as, const GoldenResult& of, const Scores& scores);
// Each case's score on the tier that `routed` names.
Scores routed_scores(const GoldenResult& result, const std::vector<std::string>& routed);

}  // namespace sluice
