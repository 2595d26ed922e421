#include "policies/linear_fit.h"

#include <algorithm>
#include <cmath>
#include <deque>

namespace sluice {
namespace {

constexpr std::size_t history_max = 8;
constexpr int steps_max = 80;
constexpr int halvings_max = 30;
constexpr double variance_least = 1e-5;   // a count that varies less tells nothing
constexpr double gradient_enough = 2e-4;  // of the gradient at the start

using Vector = std::vector<double>;  // bias, structural, hashed
constexpr std::size_t structural_at = 1, hashed_at = structural_at + structural_count;

double dot(const Vector& a, const Vector& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

void add_scaled(Vector& to, double factor, const Vector& what) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * what[i];
}

// log(1 + e^x) without overflow.
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

class Objective {
public:
    Objective(std::span<const FitExample> examples, Loss loss, FitShape shape)
        : examples_(examples), loss_(loss), shape_(shape) {
        find_scales();
    }

    LinearHead head_of(const Vector& at) const {
        LinearHead head;
        head.bias = at[0];
        for (std::size_t i = 0; i < shape_.structural_used; ++i) {
            head.structural[i] = at[structural_at + i] * scale_[i];
            head.bias -= head.structural[i] * mean_[i];
        }
        head.hashed.assign(at.begin() + hashed_at, at.end());
        return head;
    }

    std::size_t size() const { return hashed_at + (shape_.hashed ? std::size_t{bucket_count} : 0); }

    double operator()(const Vector& at, Vector& gradient) const {
        std::fill(gradient.begin(), gradient.end(), 0.0);
        double total = 0;
        for (const FitExample& example : examples_) {
            double score = score_of(at, *example.row);
            double slope = 0;
            switch (loss_) {
                case Loss::logistic:
                    total += example.weight * (softplus(score) - example.target * score);
                    slope = sigmoid(score) - example.target;
                    break;
                case Loss::squared:
                    slope = score - example.target;
                    total += example.weight * slope * slope / 2;
                    break;
            }
            spread(gradient, *example.row, example.weight * slope);
        }
        for (std::size_t i = 1; i < at.size(); ++i) {
            total += shape_.shrink * at[i] * at[i] / 2;
            gradient[i] += shape_.shrink * at[i];
        }
        return total;
    }

private:
    void find_scales() {
        double total = 0;
        Values square{};
        for (const FitExample& example : examples_) {
            total += example.weight;
            for (std::size_t i = 0; i < structural_count; ++i) {
                auto value = static_cast<double>(example.row->structural[i]);
                mean_[i] += example.weight * value;
                square[i] += example.weight * value * value;
            }
        }
        for (std::size_t i = 0; i < structural_count; ++i) {
            mean_[i] /= total;
            double variance = square[i] / total - mean_[i] * mean_[i];
            bool used = variance >= variance_least && (shape_.length || !tells_length(i));
            scale_[i] = used ? 1 / std::sqrt(variance) : 0;
        }
    }

    double value_of(const FitRow& row, std::size_t i) const {
        return (static_cast<double>(row.structural[i]) - mean_[i]) * scale_[i];
    }

    double score_of(const Vector& at, const FitRow& row) const {
        double sum = at[0];
        for (std::size_t i = 0; i < shape_.structural_used; ++i)
            sum += at[structural_at + i] * value_of(row, i);
        if (!shape_.hashed || row.buckets.empty()) return sum;
        double words = 0;
        for (std::uint16_t bucket : row.buckets) words += at[hashed_at + bucket];
        return sum + words / std::sqrt(static_cast<double>(row.buckets.size()));
    }

    void spread(Vector& gradient, const FitRow& row, double slope) const {
        gradient[0] += slope;
        for (std::size_t i = 0; i < shape_.structural_used; ++i)
            gradient[structural_at + i] += slope * value_of(row, i);
        if (!shape_.hashed || row.buckets.empty()) return;
        double each = slope / std::sqrt(static_cast<double>(row.buckets.size()));
        for (std::uint16_t bucket : row.buckets) gradient[hashed_at + bucket] += each;
    }

    std::span<const FitExample> examples_;
    Loss loss_;
    FitShape shape_;
    using Values = std::array<double, structural_count>;
    Values mean_{}, scale_{};
};

struct Curvature {
    Vector step, change;  // of the point, of the gradient
    double inverse = 0;   // 1 / (step . change)
};

// The two-loop recursion: minus the inverse Hessian's estimate times the gradient.
Vector direction_of(const std::deque<Curvature>& history, const Vector& gradient) {
    Vector direction = gradient;
    std::vector<double> alpha(history.size());
    for (std::size_t i = history.size(); i-- > 0;) {
        alpha[i] = history[i].inverse * dot(history[i].step, direction);
        add_scaled(direction, -alpha[i], history[i].change);
    }
    if (!history.empty()) {
        const Curvature& last = history.back();
        double scale = 1 / (last.inverse * dot(last.change, last.change));
        for (double& one : direction) one *= scale;
    }
    for (std::size_t i = 0; i < history.size(); ++i) {
        double beta = history[i].inverse * dot(history[i].change, direction);
        add_scaled(direction, alpha[i] - beta, history[i].step);
    }
    for (double& one : direction) one = -one;
    return direction;
}

Vector minimise(const Objective& objective) {
    Vector at(objective.size(), 0.0), gradient(at.size()), next(at.size()), slope(at.size());
    double value = objective(at, gradient);
    double enough = gradient_enough * std::sqrt(dot(gradient, gradient));
    std::deque<Curvature> history;
    for (int step = 0; step < steps_max; ++step) {
        double norm = std::sqrt(dot(gradient, gradient));
        if (norm <= enough || norm == 0) break;
        Vector direction = direction_of(history, gradient);
        double descent = dot(direction, gradient);
        double length = history.empty() ? 1 / norm : 1;
        double found = 0;
        int halving = 0;
        for (; halving < halvings_max; ++halving, length /= 2) {
            next = at;
            add_scaled(next, length, direction);
            found = objective(next, slope);
            if (found <= value + 1e-4 * length * descent) break;
        }
        if (halving == halvings_max) break;
        Curvature curve{next, slope, 0};
        add_scaled(curve.step, -1, at);
        add_scaled(curve.change, -1, gradient);
        double bend = dot(curve.step, curve.change);
        if (bend > 1e-12) {
            curve.inverse = 1 / bend;
            history.push_back(std::move(curve));
            if (history.size() > history_max) history.pop_front();
        }
        at.swap(next);
        gradient.swap(slope);
        value = found;
    }
    return at;
}

}  // namespace

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double LinearHead::score(const FitRow& row) const {
    double sum = bias;
    for (std::size_t i = 0; i < structural_count; ++i)
        sum += structural[i] * static_cast<double>(row.structural[i]);
    if (hashed.empty() || row.buckets.empty()) return sum;
    double words = 0;
    for (std::uint16_t bucket : row.buckets) words += hashed[bucket];
    return sum + words / std::sqrt(static_cast<double>(row.buckets.size()));
}

LinearHead fit_head(std::span<const FitExample> examples, Loss loss, FitShape shape) {
    Objective objective(examples, loss, shape);
    return objective.head_of(minimise(objective));
}

}  // namespace sluice
