// From what the heads predict to what policies read. Pure.
#pragma once

#include <array>

#include "policies/classifier.h"
#include "policies/weights.h"

namespace sluice {

// What the model gives for one text.
struct HeadScores {
    std::array<double, head_count> of{};  // log-odds, standard deviations, logarithm of tokens
    std::uint32_t options = 0;            // lettered options, a line each
    bool familiar = true;                 // enough of its words were met in training
    double log_bytes = 0;                 // natural logarithm of the text's length, up to a limit
    // P(right) by the forests of the text's kind, where that kind has any.
    struct Odds {
        bool known = false;
        double local = 0.5, frontier = 0.5, trust = 0;
    };
    Odds closed;  // of its options or as a word problem
    Odds open;    // as other text

    double operator[](Head head) const { return of[static_cast<std::size_t>(head)]; }
};

using Calibrations = std::array<Calibration, domain_count>;

// By its options, or the kind of text that is likeliest.
Domain domain_of(const HeadScores& scores);

// Of text without options: how much it is taken for a word problem.
double problem_share(const HeadScores& scores);

// The scores of `weights`' forests for a text, into `scores`, whose heads, options and log_bytes
// are there. `inputs` are the counts and topics; the predicted steps are filled in here.
void ask_forests(const std::array<KindForests, kind_count>& forests, TreeInputs& inputs,
                 HeadScores& scores);

// Kinds of text whose difficulty is calibrated on outcomes: code, mathematics and facts as far as
// a text is like those that were measured, since a sum says nothing of a proof. Of what is written,
// and of no known kind, only hard examples were measured.
constexpr bool is_calibrated(Domain domain) { return domain <= Domain::factual; }

Domain domain_of(const HeadScores& scores);

// P(a local answer is right), not yet calibrated. Of other text than code, exams and word problems
// the log-odds move by 1.25 at most (mathematics 0.6), up where it wants reasoning, down where not:
// whether something needs working out carries over to new text well, fine difficulty badly. Among
// code, which all needs it, that would tell easy from hard worse.
double local_ok_of(const HeadScores& scores, Domain domain);

// score: 1 - P(a local answer is right), where is_calibrated() by the outcomes of that kind of
//   text; elsewhere it ranks and is no probability.
// gain: P(the frontier is right) - P(local is right) by the forests of the text's kind, where such
//   text was measured. What a strong model adds does not carry over to text that was not: there
//   the need of reasoning ranks, and length a little; multiple choice and word problems are taken
//   to gain what those that we know gain on average, longer ones more, exams by their need of
//   reasoning, too.
Difficulty blend(const HeadScores& scores, const Calibrations& calibrations);

}  // namespace sluice
