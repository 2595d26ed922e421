#include "policies/golden/result.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr double nothing = 1e-9;  // below it a difference is rounding

bool right_or_wrong(double score) { return score == 0 || score == 1; }

}  // namespace

int MeasuredTier::measured() const {
    return static_cast<int>(std::count_if(scores.begin(), scores.end(),
                                          [](const auto& one) { return one.has_value(); }));
}

int MeasuredTier::right() const {
    return static_cast<int>(std::count_if(scores.begin(), scores.end(),
                                          [](const auto& one) { return one && *one > 0.5; }));
}

double MeasuredTier::mean() const {
    double sum = 0;
    for (const auto& one : scores) sum += one.value_or(0);
    return measured() == 0 ? 0 : sum / measured();
}

const MeasuredTier* GoldenResult::tier(std::string_view name) const {
    for (const MeasuredTier& one : tiers)
        if (one.tier == name) return &one;
    return nullptr;
}

std::string_view verdict_text(Verdict verdict) {
    switch (verdict) {
        case Verdict::holds:
            return "holds";
        case Verdict::unsure:
            return "unsure";
        case Verdict::loses:
            return "loses";
    }
    return "?";
}

Comparison compare_scores(const Scores& first, const Scores& second, double tolerance) {
    Comparison out;
    std::vector<double> differences;
    out.exact = true;
    for (std::size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
        if (!first[i] || !second[i]) continue;
        double difference = *second[i] - *first[i];
        differences.push_back(difference);
        if (difference < -nothing) ++out.lost;
        if (difference > nothing) ++out.won;
        out.difference += difference;
        out.exact = out.exact && right_or_wrong(*first[i]) && right_or_wrong(*second[i]);
    }
    out.pairs = static_cast<int>(differences.size());
    if (out.pairs > 0) out.difference /= out.pairs;
    if (out.exact) {
        out.interval = paired_interval(out.lost, out.won, out.pairs);
        out.p = mcnemar_exact(out.lost, out.won);
    } else {
        Bootstrap drawn = paired_bootstrap(differences);
        out.interval = drawn.mean;
        out.p = drawn.p;
    }
    if (out.difference < -tolerance - nothing)
        out.verdict = Verdict::loses;
    else if (out.pairs > 0 && out.interval.low >= -tolerance)
        out.verdict = Verdict::holds;
    return out;
}

}  // namespace sluice
