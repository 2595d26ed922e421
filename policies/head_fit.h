// Fits the classifier's heads on some of the labelled prompts. Pure, single thread, deterministic.
#pragma once

#include <array>
#include <vector>

#include "policies/blend.h"
#include "policies/linear_fit.h"
#include "policies/router_data.h"
#include "policies/topics.h"
#include "policies/weights.h"

namespace sluice {

struct FittedHeads {
    std::array<LinearHead, head_count> heads;
    Topics topics;
    std::array<KindForests, kind_count> forests;
    std::vector<std::uint8_t> known;  // words met, as in Weights

    HeadScores score(const RouterRow& row) const;
};

// Where texts of a kind were asked of several pairs of models, one source's outcomes say little of
// another's pair: the source with most outcomes of a kind with options or of word problems is what
// that kind speaks of. A source of 7,000 prompts weighs more than one of 300, but not as much more
// as it is larger; and features become standard deviations, whose means and scales go into
// `weights`.
void prepare(std::vector<RouterRow>& rows, Weights& weights);

bool labelled(const RouterRow& row, Head head);

// Learns from the rows that are `used`. Heads without at least rows_per_head_min labels stay empty,
// as do the forests of kinds with fewer than reference_rows_min outcomes of their pair of models:
// what other models got right says too little.
constexpr std::size_t rows_per_head_min = 20;
constexpr std::size_t reference_rows_min = 100;
// `outcomes_only` leaves the heads empty that the forests do not need.
FittedHeads fit_heads(const std::vector<RouterRow>& rows, const std::vector<bool>& used,
                      bool outcomes_only = false);

}  // namespace sluice
