// Measures the classifier by fitting it anew on part of the data and asking it about the rest,
// whole clusters of near-duplicates at a time. Pure, single thread, deterministic.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "policies/blend.h"
#include "policies/head_fit.h"
#include "policies/router_bench.h"
#include "policies/router_data.h"

namespace sluice {

using Progress = std::function<void(const std::string&)>;

struct OutOfFold {
    std::vector<int> folds;
    std::vector<HeadScores> scores;      // by heads that never saw the row's cluster
    std::vector<Difficulty> difficulty;  // calibrated on the other folds' scores
    Calibrations calibrations;           // on all scores: for weights to be shipped
};

// `rows` must be prepared.
OutOfFold out_of_fold(const std::vector<RouterRow>& rows, std::uint64_t seed, int folds,
                      const Progress& progress);

// Figures of merit, a line each, for the weights' header: of the heads, then of each source.
std::vector<std::string> figures_of(const std::vector<RouterRow>& rows, const OutOfFold& found,
                                    Shown shown);

std::string figure_line(const std::string& source, const RankingFigures& figures);

// What a new customer may expect: figures on sources that were left out of the fit whole, and on
// the choice and word-problem sources when so many rows of theirs were in it (several draws of
// them). `rows` must be prepared.
struct TransferFigures {
    std::string source;
    std::size_t labels = 0;  // of the source that were learnt; 0: none of it
    RankingFigures ranks;
};
std::vector<TransferFigures> measure_transfer(const std::vector<RouterRow>& rows,
                                              std::uint64_t seed, Shown shown,
                                              const Progress& progress);
std::string transfer_line(const TransferFigures& figures);

}  // namespace sluice
