// Measures the classifier by fitting it anew on part of the data and asking it about the rest,
// whole clusters of near-duplicates at a time. Pure, single thread, deterministic.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "policies/blend.h"
#include "policies/head_fit.h"
#include "policies/router_data.h"

namespace sluice {

using Progress = std::function<void(const std::string&)>;

// The rows that figures are made of.
enum class Shown { development, kept_back };
bool is_shown(const RouterRow& row, Shown shown);

struct OutOfFold {
    std::vector<int> folds;
    std::vector<HeadScores> scores;      // by heads that never saw the row's cluster
    std::vector<Difficulty> difficulty;  // calibrated on the other folds' scores
    Calibrations calibrations;           // on all scores: for weights to be shipped
};

// `rows` must be prepared.
OutOfFold out_of_fold(std::vector<RouterRow>& rows, std::uint64_t seed, int folds,
                      const Progress& progress);

// Figures of merit, a line each, for the weights' header.
std::vector<std::string> figures_of(const std::vector<RouterRow>& rows, const OutOfFold& found,
                                    std::uint64_t seed, Shown shown);

// Figures on sources that were left out of the fit whole, and on the choice and word-problem
// sources when 200 and 1,500 rows of theirs were in it: what a new customer may expect. `rows` must
// be prepared.
std::vector<std::string> transfer_figures(std::vector<RouterRow>& rows, std::uint64_t seed,
                                          Shown shown, const Progress& progress);

// A quarter of all clusters, by their hash. They are fitted on like others (outside their own
// fold), but no report shows figures of theirs unless it is asked for `Shown::kept_back`: what is
// chosen by looking at reports is not chosen on them. This holds from when it was written; before,
// figures over all of this data had been seen, so a file that is kept elsewhere is the better
// judge.
bool kept_back(const RouterRow& row);

}  // namespace sluice
