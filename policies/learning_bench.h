// Measures learning from a recorded stream: labelled pairs of one source, which the prior has never
// seen, come as requests of which a share is labelled; what was learned ranks pairs of the same
// source that are kept back. Deterministic; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "policies/learner.h"
#include "policies/router_data.h"
#include "policies/router_metrics.h"

namespace sluice {

struct LearningBenchOptions {
    std::size_t requests = 20'000;
    std::size_t label_every = 10;  // requests
    bool served_only = false;      // a label is of the answer that was served; else of both tiers'
    std::uint64_t seed = 1;        // the order of the stream
    std::uint64_t split = 0;       // which pairs are kept back
    bool drift = false;            // short prompts first: the stream changes under way
    std::size_t pairs_min = 1'000;
    LearnerOptions learner;
};

struct LearningPoint {
    std::size_t labels = 0;
    double challenger = 0, champion = 0;  // APGR on the pairs kept back; the champion serves
};

// APGR throughout, with 95 % intervals by bootstrap over clusters of near-duplicates.
struct LearningFigures {
    std::string source;
    std::size_t prior_pairs = 0, stream_pairs = 0, kept_pairs = 0, requests = 0, labels = 0;
    std::uint64_t promotions = 0, rollbacks = 0;
    std::size_t promoted_at = 0;                   // labels, first; 0: never
    std::array<double, OnlineMix::ways> shares{};  // of the challenger, in the end
    ApgrInterval random, length, prior;
    ApgrInterval challenger, champion;  // after all labels
    ApgrInterval offline;               // trained at one time on the same labels, from nothing
    ApgrInterval challenger_less_offline, champion_less_offline;
    std::size_t worst_at = 0, champion_worst_at = 0;  // labels
    ApgrInterval worst_less_prior, champion_worst_less_prior;
    std::vector<LearningPoint> points;
};

// Of each source with pairs_min pairs in [0, 1], the prior being fitted to the other sources; and
// of "mixed", all sources together, the prior being fitted to a third of it.
std::vector<LearningFigures> measure_learning(RouterData data, const LearningBenchOptions& options);

}  // namespace sluice
