// Measures routing on labelled pairs: does the gain send the right calls to the strong model, is
// the difficulty what it says, do decisions stand noise, and what does one cost? Pure but for the
// clock of measure_speed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policies/classifier.h"
#include "policies/router_data.h"
#include "policies/router_ranking.h"

namespace sluice {

// A quarter of all clusters, by their hash. They are fitted on like others (outside their own
// fold), but no report shows figures of theirs unless it is asked for `Shown::kept_back`: what is
// chosen by looking at reports is not chosen on them. This holds from when it was written; before,
// figures over all of this data had been seen, so a file that is kept elsewhere is the better
// judge.
bool kept_back(const RouterRow& row);

enum class Shown { development, kept_back, all };
bool is_shown(const RouterRow& row, Shown shown);

// Of one source of pairs. AUC is of "the weak model fails" (below half, or, where quality is not
// in [0, 1], below the strong one) by the difficulty. ECE is the difficulty's, of text of the
// calibrated kinds whose answers were right or wrong; NaN with fewer than 100 of them. The second
// ECE is what is left of it once the difficulty is calibrated on this source's own outcomes, those
// of other clusters: its local model may be better or worse than the one that the weights speak of,
// which no text tells. The third is what so many answers of a perfectly calibrated difficulty show
// by chance.
struct RouterFigures : RankingFigures {  // ranked by Difficulty::gain
    std::string source;
    double auc = 0, ece = 0, ece_own = 0, ece_chance = 0;
};

// Sources by name; those with fewer than 20 pairs are left out. `said` is of each row.
std::vector<RouterFigures> measure_routing(std::span<const RouterRow> rows,
                                           std::span<const Difficulty> said, Shown shown);

// Of all sources together: what `ece` and `ece_chance` are of one.
struct CalibrationFigures {
    std::size_t outcomes = 0;
    double ece = 0, ece_chance = 0;
};
CalibrationFigures measure_calibration(std::span<const RouterRow> rows,
                                       std::span<const Difficulty> said, Shown shown);

// Shares of the rows whose gain, under noise, lands on the other side of their source's median.
struct FlipFigures {
    std::string source;
    std::size_t prompts = 0;  // the first 1,000 shown
    double typos = 0;         // a slip in every twentieth longer word
    double letter_case = 0;   // all small
    double spaces = 0;        // doubled, and a line break behind
    double greeting = 0;      // "Hi, " before, " Thanks!" behind
    double all() const { return (typos + letter_case + spaces + greeting) / 4; }
};
std::vector<FlipFigures> measure_flips(const Classifier& classifier,
                                       std::span<const RouterRow> rows, Shown shown);

struct RouterSpeed {
    std::size_t bytes = 0, prompts = 0;
    double p50_us = 0, p99_us = 0;  // of the quietest of `speed_passes` over all of them
    double p50_usual_us = 0;        // the median pass's
};
constexpr std::size_t speed_passes = 25;

// One thread, each prompt once a pass, by the steady clock; prompts of `bytes` are cut from
// `prompts` of all sources laid end to end. Where they are shorter than that, `prompts` is 0 and no
// time means anything. What else runs on the machine's cores slows whole passes down.
RouterSpeed measure_speed(const Classifier& classifier, std::span<const std::string_view> prompts,
                          std::size_t bytes);

}  // namespace sluice
