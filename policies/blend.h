// From what the heads predict to what policies read. Pure.
#pragma once

#include <array>

#include "policies/classifier.h"
#include "policies/weights.h"

namespace sluice {

// What each head gives for one text: log-odds, or the logarithm of tokens. `choice` is whether the
// text offers lettered options, two at least, a line each.
struct HeadScores {
    std::array<double, head_count> of{};
    bool choice = false;

    double operator[](Head head) const { return of[static_cast<std::size_t>(head)]; }
};

// score: the expected share of reference models that fail, its log-odds moved by one unit at most,
//   up where the text wants reasoning, down where it does not. Why: fine difficulty is learnt from
//   exams and carries over badly to other text; whether something needs working out carries over
//   well, and small local models lose more there than the reference models do on average. So the
//   score ranks and is spread over [0, 1]; the calibrated share itself is the head's.
// gain: by the kind of text, since what a strong model adds carries over from kind to kind even
//   worse: multiple choice and word problems have heads of their own, P(strong is right) - P(weak
//   is right); for the rest the need of reasoning ranks, times the score.
Difficulty blend(const HeadScores& scores);

}  // namespace sluice
