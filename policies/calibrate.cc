#include "policies/calibrate.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr double probability_least = 1e-4;
constexpr double beta_shrink = 0.01;
constexpr std::size_t rows_a_knot = 50;  // at least

// What beta calibration (Kull, Silva Filho and Flach 2017) makes of p: its log-odds are
// a * ln p - b * ln(1 - p) + c.
class Beta {
public:
    explicit Beta(std::span<const Outcome> outcomes) {
        std::vector<FitRow> rows(outcomes.size());
        std::vector<FitExample> examples;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            double p = std::clamp(outcomes[i].p, probability_least, 1 - probability_least);
            rows[i].structural.fill(0);
            rows[i].structural[0] = static_cast<float>(std::log(p));
            rows[i].structural[1] = static_cast<float>(-std::log1p(-p));
            examples.push_back({&rows[i], outcomes[i].ok, outcomes[i].weight});
        }
        fitted_ = fit_head(examples, Loss::logistic, {false, 2, beta_shrink});
        if (fitted_.structural[0] < 0 || fitted_.structural[1] < 0) {  // would turn the order round
            for (FitRow& row : rows) row.structural[0] += row.structural[1];
            fitted_ = fit_head(examples, Loss::logistic, {false, 1, beta_shrink});
            fitted_.structural[1] = fitted_.structural[0] = std::max(fitted_.structural[0], 0.0);
        }
    }
    double operator()(double p) const {
        p = std::clamp(p, probability_least, 1 - probability_least);
        return sigmoid(fitted_.structural[0] * std::log(p) -
                       fitted_.structural[1] * std::log1p(-p) + fitted_.bias);
    }

private:
    LinearHead fitted_;
};

struct Bin {
    double p = 0, ok = 0, weight = 0;

    Bin& operator+=(const Bin& other) {
        p += other.p;
        ok += other.ok;
        weight += other.weight;
        return *this;
    }
    double mean_p() const { return p / weight; }
    double mean_ok() const { return ok / weight; }
};

// As many outcomes in each, in the order of what was said.
std::vector<Bin> bins_of(std::span<const Outcome> outcomes) {
    std::vector<Outcome> sorted(outcomes.begin(), outcomes.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Outcome& a, const Outcome& b) { return a.p < b.p; });
    const std::size_t count =
        std::clamp(sorted.size() / rows_a_knot, std::size_t{1}, Calibration::knots);
    std::vector<Bin> bins(count);
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const Outcome& one = sorted[i];
        const double p = std::clamp(one.p, probability_least, 1 - probability_least);
        bins[i * count / sorted.size()] += Bin{one.weight * p, one.weight * one.ok, one.weight};
    }
    return bins;
}

// Isotonic regression: neighbours in the wrong order become one (pool adjacent violators, Ayer and
// others 1955).
std::vector<Bin> in_order(const std::vector<Bin>& bins) {
    std::vector<Bin> pooled;
    for (const Bin& bin : bins) {
        pooled.push_back(bin);
        while (pooled.size() > 1) {
            const Bin last = pooled.back();
            const Bin& before = pooled[pooled.size() - 2];
            // As they will be stored: doubles that differ may be one float.
            if (static_cast<float>(before.mean_ok()) < static_cast<float>(last.mean_ok()) &&
                static_cast<float>(before.mean_p()) < static_cast<float>(last.mean_p()))
                break;
            pooled.pop_back();
            pooled.back() += last;
        }
    }
    return pooled;
}

}  // namespace

Calibration fit_calibration(std::span<const Outcome> all, double rows_of_beta) {
    std::vector<Outcome> outcomes;
    std::copy_if(all.begin(), all.end(), std::back_inserter(outcomes),
                 [](const Outcome& one) { return one.weight > 0; });
    if (outcomes.size() < calibration_rows_min) return {};
    const Beta beta(outcomes);
    std::vector<Bin> bins = bins_of(outcomes);
    for (Bin& bin : bins) {
        const double p = bin.mean_p();
        bin += {rows_of_beta * p, rows_of_beta * beta(p), rows_of_beta};
    }
    Calibration out;
    std::size_t knot = 0;
    for (const Bin& bin : in_order(bins)) {
        out.said[knot] = static_cast<float>(bin.mean_p());
        out.right[knot++] = static_cast<float>(bin.mean_ok());
    }
    return out;
}

double calibrated(double p, const Calibration& calibration) {
    p = std::clamp(p, probability_least, 1 - probability_least);
    double said = 0, right = 0;  // at the knot before
    for (std::size_t knot = 0; knot < Calibration::knots; ++knot) {
        const auto next = static_cast<double>(calibration.said[knot]);
        const auto next_right = static_cast<double>(calibration.right[knot]);
        if (p <= next) return right + (next_right - right) * (p - said) / (next - said);
        said = next;
        right = next_right;
    }
    return right + (1 - right) * (p - said) / (1 - said);
}

bool is_usable(const Calibration& calibration) {
    float said = 0, right = 0;
    for (std::size_t knot = 0; knot < Calibration::knots; ++knot) {
        const float next = calibration.said[knot], next_right = calibration.right[knot];
        const bool above = next > said && next_right >= right && next <= 1 && next_right <= 1;
        const bool at_the_end = said == 1 && right == 1 && next == 1 && next_right == 1;
        if (!above && !at_the_end) return false;
        said = next;
        right = next_right;
    }
    return true;
}

}  // namespace sluice
