// Linear passes over one row of logits: the sums that sampling needs. Four lanes of float through
// the compiler's vector types, sums in double a block, so the result does not depend on the
// machine's vector width. Any thread; no state.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sluice {

struct RowSummary {
    bool usable = false;   // no NaN, no +inf, at least one finite logit
    float top = 0.0F;      // largest logit
    float second = 0.0F;   // second largest; equals top on a tie
    double mass = 0.0;     // sum of exp(logit - top)
    float entropy = 0.0F;  // of the softmax, nats
};

RowSummary summarize_row(std::span<const float> row);

// Index of the largest value, the first of equals. The row has no NaN and is not empty.
std::size_t argmax_row(std::span<const float> row);

inline constexpr std::size_t softmax_block = 256;

// Sum over the row of exp((logit - top) * scale) for logits not below `floor`. `blocks`, when
// given, receives the sum of every run of softmax_block logits.
double softmax_mass(std::span<const float> row, float top, float scale, float floor,
                    std::vector<double>* blocks);

}  // namespace sluice
