#include "policies/train.h"

#include <algorithm>
#include <cmath>

#include "policies/cross_validate.h"
#include "policies/head_fit.h"

namespace sluice {
namespace {

// The heads that no classifier does without.
constexpr Head needed[] = {Head::reasoning, Head::local_ok, Head::problem,
                           Head::log_output_frontier};

void store(const LinearHead& fitted, std::size_t lane, Weights& weights) {
    double largest = 1e-9;
    for (double one : fitted.hashed) largest = std::max(largest, std::abs(one));
    double step = largest / 127;
    weights.bias[lane] = static_cast<float>(fitted.bias);
    weights.step[lane] = static_cast<float>(step);
    for (std::size_t i = 0; i < structural_count; ++i)
        weights.structural[i][lane] = static_cast<float>(fitted.structural[i]);
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket)
        weights.hashed[bucket * lane_count + lane] =
            fitted.hashed.empty()
                ? std::int8_t{0}
                : static_cast<std::int8_t>(std::lround(fitted.hashed[bucket] / step));
}

void store(const FittedHeads& fitted, Weights& weights) {
    weights.known = fitted.known;
    weights.forests = fitted.forests;
    for (std::size_t h = 0; h < head_count; ++h) store(fitted.heads[h], h, weights);
    std::copy(fitted.topics.step.begin(), fitted.topics.step.end(),
              weights.step.begin() + head_lanes);
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket)
        std::copy_n(
            fitted.topics.hashed.begin() + static_cast<std::ptrdiff_t>(bucket * topic_count),
            topic_count,
            weights.hashed.begin() + static_cast<std::ptrdiff_t>(bucket * lane_count + head_lanes));
}

}  // namespace

Result<Weights> train_router(RouterData data, const TrainOptions& options,
                             const std::function<void(const std::string&)>& progress) {
    std::vector<RouterRow>& rows = data.rows;
    for (Head head : needed) {
        auto count = static_cast<std::size_t>(std::count_if(
            rows.begin(), rows.end(), [&](const RouterRow& row) { return labelled(row, head); }));
        if (count < rows_per_head_min)
            return Error(Errc::bad_file,
                         "only " + std::to_string(count) + " rows say anything of '" +
                             std::string(head_names[static_cast<std::size_t>(head)]) +
                             "', it takes " + std::to_string(rows_per_head_min));
    }
    Weights weights;
    weights.command = options.command;
    weights.data = data.files;
    weights.seed = options.seed;
    weights.hashed.resize(std::size_t{bucket_count} * lane_count);
    prepare(rows, weights);
    OutOfFold found = out_of_fold(rows, options.seed, options.folds, progress);
    weights.calibration = found.calibrations;
    progress("measuring");
    Shown shown = options.kept_back ? Shown::kept_back : Shown::development;
    weights.figures = figures_of(rows, found, shown);
    if (options.transfer)
        for (const TransferFigures& one : measure_transfer(rows, options.seed, shown, progress))
            weights.figures.push_back(transfer_line(one));
    progress("fitting on all rows");
    store(fit_heads(rows, std::vector<bool>(rows.size(), true)), weights);
    return weights;
}

}  // namespace sluice
