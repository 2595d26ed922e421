// Fits the classifier's heads on some of the labelled prompts. Pure, single thread, deterministic.
#pragma once

#include <array>
#include <vector>

#include "policies/blend.h"
#include "policies/linear_fit.h"
#include "policies/router_data.h"
#include "policies/weights.h"

namespace sluice {

struct FittedHeads {
    std::array<LinearHead, head_count> heads;
    std::vector<std::uint8_t> known;  // words met, as in Weights

    HeadScores score(const RouterRow& row) const;
};

// A source of 7,000 prompts weighs more than one of 300, but not as much more as it is larger; and
// features become standard deviations, whose means and scales go into `weights`.
void prepare(std::vector<RouterRow>& rows, Weights& weights);

bool labelled(const RouterRow& row, Head head);

// Learns from the rows that are `used`. Heads without at least rows_per_head_min labels stay
// empty; those of an exam are then those of a choice. The heads of word problems build on `steps`,
// so they write RouterRow::features.stacked.
constexpr std::size_t rows_per_head_min = 20;
// `outcomes_only` leaves the heads empty that do not predict outcomes.
FittedHeads fit_heads(std::vector<RouterRow>& rows, const std::vector<bool>& used,
                      bool outcomes_only = false);

}  // namespace sluice
