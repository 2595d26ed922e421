// What a test measured, a line on stderr: bounds are tightened by what GPUs really give.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/device.h"
#include "tests/engine/transformers_golden.h"

namespace sluice {

inline void say_measured(const std::string& what, double value, double bound) {
    std::fprintf(stderr, "measured: %s: %.3g, at most %.3g\n", what.c_str(), value, bound);
}

// How far the device's 20 best tokens are from the logits that they should have been chosen by.
struct BestDifference {
    double kl = 0;      // with the term that makes a part of a distribution's never negative
    double widest = 0;  // of logprobs that are not rare
};

inline BestDifference best_difference(const Sampled& sampled, const std::vector<double>& logits) {
    const std::vector<double> want = log_softmax_of(logits);
    BestDifference out;
    REQUIRE_FALSE(sampled.failed);
    REQUIRE(sampled.logprobs.top.size() == 20);
    for (const TokenLogprob& one : sampled.logprobs.top) {
        const double p = want[static_cast<std::size_t>(one.token)];
        const auto q = static_cast<double>(one.logprob);
        out.kl += std::exp(p) * (p - q) + std::exp(q) - std::exp(p);
        if (p > std::log(1e-3)) out.widest = std::max(out.widest, std::abs(p - q));
    }
    return out;
}

}  // namespace sluice
