// Which of two ways to rank requests is worth more, from outcomes that were recorded while one of
// them decided. Pure.
//
// A way to rank gives each request a gain: how much likelier the frontier's answer is right. Its
// worth for one request, where the true gain is D and a step up costs as much as c right answers,
// is D - c if its gain is above c, else nothing. Averaged over every c from 0 to 1 that is
// gain x D - gain^2 / 2 (no gain: 0). So the estimate needs no price, holds for all of them
// alike, and is highest for the true gain: right order and right size both count.
//
// D is known where both tiers' answers were judged. Where one was, and the other could have been,
// it is the doubly robust estimate (Dudik, Langford and Li, ICML 2011): the model's gain, plus what
// the answer's outcome adds over its expectation, divided by the logged propensity.
#pragma once

#include <cstdint>

namespace sluice {

double worth_of_gain(double gain, double true_gain);

// One judged answer. `p_local` and `p_frontier` are a model's, fixed before the outcome was known.
double gain_doubly_robust(bool frontier, double ok, double propensity, double p_local,
                          double p_frontier);

// The mean of a difference that comes one at a time, with bounds that hold at every count at once
// with the stated probability, so that looking after each one is allowed: the asymptotic
// confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), tightest at
// `tight_at`.
class RunningBound {
public:
    void add(double difference);
    double count() const { return count_; }
    double mean() const;
    double low(double confidence) const;  // -infinity before two have come
    double high(double confidence) const;
    struct Sums {
        double count = 0, sum = 0, squares = 0;
    };
    Sums sums() const { return {count_, sum_, squares_}; }
    void restore(const Sums& sums);

private:
    double reach(double confidence) const;
    double count_ = 0, sum_ = 0, squares_ = 0;
};

}  // namespace sluice
