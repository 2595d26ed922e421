// From what the heads predict to what policies read. Pure.
#pragma once

#include <array>

#include "policies/classifier.h"
#include "policies/weights.h"

namespace sluice {

// What each head gives for one text: log-odds, standard deviations of steps, or the logarithm of
// tokens.
struct HeadScores {
    std::array<double, head_count> of{};
    std::uint32_t options = 0;  // lettered options, a line each
    bool familiar = true;

    double operator[](Head head) const { return of[static_cast<std::size_t>(head)]; }
};

using Calibrations = std::array<Calibration, domain_count>;

// By its options, or the kind of text that is likeliest.
Domain domain_of(const HeadScores& scores);

// P(a local answer is right) by the heads of the text's kind, not yet calibrated.
double local_ok_of(const HeadScores& scores);

// The probability that `calibration` makes of `p`.
double calibrated(double p, const Calibration& calibration);

// score: 1 - P(a local answer is right), calibrated on outcomes for multiple choice and word
//   problems. For other text, whose difficulty was only judged, the log-odds move by 1.25 at
//   most, up where it wants reasoning, down where not: whether something needs working out carries
//   over to new text well, fine difficulty badly. There the score ranks and is no probability.
// gain: by the kind of text, since what a strong model adds carries over from kind to kind even
//   worse than difficulty does: multiple choice and word problems have heads of their own, P(the
//   frontier is right) - P(local is right). For the rest, and for text of unfamiliar words, the
//   need of reasoning ranks: it carries over best.
Difficulty blend(const HeadScores& scores, const Calibrations& calibrations);

}  // namespace sluice
