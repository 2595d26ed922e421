// Fits one linear head over structural features and hashed words: minimises
//   sum_i weight_i * loss(target_i, score_i) + shrink * |w|^2 / 2
// by L-BFGS (Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.4) from zero, so the
// same rows give the same weights. The bias is not shrunk; a count's w is that of its standard
// deviations among these examples. Single thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "policies/features.h"

namespace sluice {

// One row's features, standardised; a hashed word's value is 1 / sqrt(how many the row has).
struct FitRow {
    std::array<float, structural_count> structural;
    std::vector<std::uint16_t> buckets;
};

struct FitExample {
    const FitRow* row = nullptr;
    double target = 0;
    double weight = 1;
};

enum class Loss {
    logistic,  // target in [0, 1], the head gives a probability
    squared,   // any target
};

struct LinearHead {
    double bias = 0;
    std::array<double, structural_count> structural{};
    std::vector<double> hashed;  // [bucket_count], or none

    double score(const FitRow& row) const;
};

// `hashed` false leaves words out; `structural_used` takes only the first so many counts; `length`
// false leaves those out that tell how long a text is.
struct FitShape {
    bool hashed = true;
    std::size_t structural_used = structural_count;
    double shrink = 1;
    bool length = true;
};

LinearHead fit_head(std::span<const FitExample> examples, Loss loss, FitShape shape = {});

double sigmoid(double x);

}  // namespace sluice
