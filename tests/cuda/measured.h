// How far results were from what they should be. The worst of each kind is said on stderr when all
// tests have run: bounds are tightened by what GPUs really give.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/device.h"
#include "tests/engine/transformers_golden.h"

namespace sluice {

struct Measured {
    double worst = 0;
    double bound = 0;
};
inline std::map<std::string, Measured>& all_measured() {
    static std::map<std::string, Measured> all;
    return all;
}
inline void keep_measured(const std::string& what, double value, double bound) {
    Measured& known = all_measured()[what];
    known = {std::max(known.worst, value), bound};
}
inline void say_measured() {
    for (const auto& [what, one] : all_measured())
        std::fprintf(stderr, "measured: %s: %.3g, at most %.3g\n", what.c_str(), one.worst,
                     one.bound);
}

// What an element of a product may be off, as a part of the root mean square of all, beside 2^-8 of
// itself. Where weights are rounded to f16, errors are about 2e-4 of a sum's size, of which the
// largest of millions reach four times that.
constexpr double near_of_products = 1e-3;

// Products of one kind.
class Nearness {
public:
    explicit Nearness(std::string kind) : kind_(std::move(kind)) {}
    Nearness(const Nearness&) = delete;
    Nearness& operator=(const Nearness&) = delete;
    ~Nearness() {
        keep_measured(kind_ + ", (error - 2^-8 |want|) / rms", worst_, near_of_products);
    }

    void require(double got, double want, double size) {
        const double part = (std::abs(got - want) - std::abs(want) / 256) / size;
        if (!(part <= near_of_products))
            FAIL("got " << got << ", want " << want << " of size " << size);
        worst_ = std::max(worst_, part);
    }

private:
    std::string kind_;
    double worst_ = 0;
};

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
