// Trains the request classifier from labelled prompts and measures it by cross-validation.
// Deterministic: the same rows, seed and program give the same weights. One thread; some
// minutes for 31,000 prompts.
#pragma once

#include <functional>
#include <string>

#include "policies/router_data.h"
#include "policies/weights.h"

namespace sluice {

struct TrainOptions {
    std::string command;  // goes into the weights' header
    std::uint64_t seed = 1;
    int folds = 5;           // of the cross-validation, by cluster; at least 2
    bool kept_back = false;  // figures of the clusters that are kept back, instead of the others
    bool transfer = false;   // also measure on sources left out, and with few labels of them
};

// `progress` is told what is being done, a line each. The figures are in the weights' header.
// Errors: bad_file when the rows say too little of a head to train it.
Result<Weights> train_router(RouterData data, const TrainOptions& options,
                             const std::function<void(const std::string&)>& progress);

}  // namespace sluice
