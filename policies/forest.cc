#include "policies/forest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr std::size_t bins = 32;
constexpr std::size_t leaves = 8;
constexpr double hessian_least = 1e-6;
constexpr std::size_t edge_sample = 4'000;  // rows that quantiles are read from

struct Sums {
    double gradient = 0, hessian = 0;
    int rows = 0;

    Sums& operator+=(const Sums& other) {
        gradient += other.gradient;
        hessian += other.hessian;
        rows += other.rows;
        return *this;
    }
};

Sums operator-(Sums a, const Sums& b) {
    a.gradient -= b.gradient;
    a.hessian -= b.hessian;
    a.rows -= b.rows;
    return a;
}

// The line, a bias in front. Inputs are standardised over the examples while it is fitted.
constexpr std::size_t line_size = tree_inputs + 1;
constexpr int newton_steps = 8;
using Line = std::array<double, line_size>;
using Curvature = std::vector<Line>;

// Solves a x = b for a symmetric positive definite, by Cholesky's method; `a` is overwritten.
Line solve(Curvature& a, Line b) {
    for (std::size_t i = 0; i < line_size; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = a[i][j];
            for (std::size_t k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
            a[i][j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / a[j][j];
        }
    }
    for (std::size_t i = 0; i < line_size; ++i) {
        for (std::size_t k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (std::size_t i = line_size; i-- > 0;) {
        for (std::size_t k = i + 1; k < line_size; ++k) b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
    return b;
}

// Means and one over deviations, of inputs that hardly vary 0.
void find_scales(std::span<const ForestExample> examples, Line& mean, Line& scale) {
    constexpr double variance_least = 1e-5;
    double total = 0;
    Line square{};
    for (const ForestExample& one : examples) {
        total += one.weight;
        for (std::size_t i = 0; i < tree_inputs; ++i) {
            auto value = static_cast<double>((*one.inputs)[i]);
            mean[i + 1] += one.weight * value;
            square[i + 1] += one.weight * value * value;
        }
    }
    for (std::size_t i = 1; i < line_size; ++i) {
        mean[i] /= total;
        double variance = square[i] / total - mean[i] * mean[i];
        scale[i] = variance < variance_least ? 0 : 1 / std::sqrt(variance);
    }
    mean[0] = 0;
}

Line newton_step(std::span<const ForestExample> examples, double shrink, const Line& mean,
                 const Line& scale, const Line& towards, const Line& at) {
    Curvature curvature(line_size, Line{});
    Line slope{}, x{};
    for (const ForestExample& one : examples) {
        x[0] = 1;
        for (std::size_t i = 1; i < line_size; ++i)
            x[i] = (static_cast<double>((*one.inputs)[i - 1]) - mean[i]) * scale[i];
        double score = 0;
        for (std::size_t i = 0; i < line_size; ++i) score += at[i] * x[i];
        double p = sigmoid(score), bend = one.weight * std::max(p * (1 - p), hessian_least);
        for (std::size_t i = 0; i < line_size; ++i) {
            slope[i] += one.weight * (one.target - p) * x[i];
            for (std::size_t j = 0; j <= i; ++j) curvature[i][j] += bend * x[i] * x[j];
        }
    }
    for (std::size_t i = 1; i < line_size; ++i) {
        slope[i] -= shrink * (at[i] - towards[i]);
        curvature[i][i] += shrink;
    }
    return solve(curvature, slope);
}

void fit_line(std::span<const ForestExample> examples, const ForestShape& shape, Forest& forest) {
    Line mean{}, scale{}, towards{};
    find_scales(examples, mean, scale);
    for (std::size_t i = 1; i < line_size; ++i)
        if (scale[i] > 0) towards[i] = static_cast<double>(shape.line_towards[i - 1]) / scale[i];
    Line at = towards;
    for (int step = 0; step < newton_steps; ++step) {
        Line move = newton_step(examples, shape.line_shrink, mean, scale, towards, at);
        for (std::size_t i = 0; i < line_size; ++i) at[i] += move[i];
    }
    double base = at[0];
    for (std::size_t i = 1; i < line_size; ++i) {
        forest.line[i - 1] = static_cast<float>(at[i] * scale[i]);
        base -= at[i] * scale[i] * mean[i];
    }
    forest.base = static_cast<float>(base);
}

struct Split {
    double worth = 0;
    std::size_t input = 0, bin = 0;  // bins up to this one go left
};

class Booster {
public:
    Booster(std::span<const ForestExample> examples, const ForestShape& shape)
        : examples_(examples), shape_(shape), binned_(examples.size() * tree_inputs) {
        find_edges();
        for (std::size_t row = 0; row < examples.size(); ++row)
            for (std::size_t i = 0; i < tree_inputs; ++i)
                binned_[row * tree_inputs + i] = bin_of(i, (*examples[row].inputs)[i]);
    }

    Forest fit() {
        Forest forest;
        if (shape_.line)
            fit_line(examples_, shape_, forest);
        else
            forest.base = mean_log_odds();
        for (const ForestExample& one : examples_)
            margin_.push_back(static_cast<double>(forest.log_odds(*one.inputs)));
        slope_.resize(examples_.size());
        at_.resize(examples_.size());
        for (int i = 0; i < shape_.trees; ++i) forest.trees.push_back(grow());
        return forest;
    }

private:
    float mean_log_odds() const {
        double total = 0, right = 0;
        for (const ForestExample& one : examples_) {
            total += one.weight;
            right += one.weight * one.target;
        }
        double mean = std::clamp(right / total, 0.001, 0.999);
        return static_cast<float>(std::log(mean / (1 - mean)));
    }

    void find_edges() {
        std::size_t step = examples_.size() / edge_sample + 1;
        std::vector<float> values;
        for (std::size_t i = 0; i < tree_inputs; ++i) {
            values.clear();
            for (std::size_t row = 0; row < examples_.size(); row += step)
                values.push_back((*examples_[row].inputs)[i]);
            std::sort(values.begin(), values.end());
            for (std::size_t bin = 0; bin + 1 < bins; ++bin)
                edges_[i][bin] = values[(bin + 1) * (values.size() - 1) / bins];
        }
    }

    std::uint8_t bin_of(std::size_t input, float value) const {
        auto& edges = edges_[input];
        auto above = std::lower_bound(edges.begin(), edges.end(), value);
        return static_cast<std::uint8_t>(above - edges.begin());
    }

    Tree grow() {
        for (std::size_t row = 0; row < examples_.size(); ++row) {
            const ForestExample& one = examples_[row];
            double p = sigmoid(margin_[row]);
            slope_[row] = {one.weight * (p - one.target),
                           one.weight * std::max(p * (1 - p), hessian_least), 1};
            at_[row] = 1;
        }
        Tree tree;
        tree.threshold.fill(std::numeric_limits<float>::infinity());
        for (std::size_t first = 1; first < leaves; first *= 2)
            if (first < std::size_t{1} << shape_.depth)
                split_level(first, tree);
            else
                for (std::uint8_t& at : at_) at = static_cast<std::uint8_t>(2 * at);
        std::array<Sums, leaves> sums{};
        for (std::size_t row = 0; row < examples_.size(); ++row)
            sums[at_[row] - leaves] += slope_[row];
        for (std::size_t i = 0; i < leaves; ++i)
            tree.leaf[i] =
                static_cast<float>(-shape_.rate * sums[i].gradient / (sums[i].hessian + shrink()));
        for (std::size_t row = 0; row < examples_.size(); ++row)
            margin_[row] += static_cast<double>(tree.leaf[at_[row] - leaves]);
        return tree;
    }

    // Asks a question at each of the nodes `first` to 2 * first - 1.
    void split_level(std::size_t first, Tree& tree) {
        sums_.assign(first * tree_inputs * bins, Sums{});
        for (std::size_t row = 0; row < examples_.size(); ++row) {
            Sums* node = &sums_[(at_[row] - first) * tree_inputs * bins];
            const std::uint8_t* bin = &binned_[row * tree_inputs];
            for (std::size_t i = 0; i < tree_inputs; ++i) node[i * bins + bin[i]] += slope_[row];
        }
        for (std::size_t node = first; node < 2 * first; ++node) {
            Split best = best_split(&sums_[(node - first) * tree_inputs * bins]);
            if (best.worth <= 0) continue;
            tree.input[node] = static_cast<std::uint8_t>(best.input);
            tree.threshold[node] = edges_[best.input][best.bin];
        }
        for (std::size_t row = 0; row < examples_.size(); ++row) {
            std::size_t node = at_[row];
            bool right = (*examples_[row].inputs)[tree.input[node]] > tree.threshold[node];
            at_[row] = static_cast<std::uint8_t>(2 * node + (right ? 1 : 0));
        }
    }

    Split best_split(const Sums* of_inputs) const {
        Split best;
        for (std::size_t i = 0; i < tree_inputs; ++i) {
            const Sums* one = of_inputs + i * bins;
            Sums all, left;
            for (std::size_t bin = 0; bin < bins; ++bin) all += one[bin];
            for (std::size_t bin = 0; bin + 1 < bins; ++bin) {
                left += one[bin];
                Sums right = all - left;
                if (left.rows < shape_.rows_per_leaf) continue;
                if (right.rows < shape_.rows_per_leaf) break;
                double worth = worth_of(left) + worth_of(right) - worth_of(all);
                if (worth > best.worth + 1e-12) best = {worth, i, bin};
            }
        }
        return best;
    }

    double worth_of(const Sums& sums) const {
        return sums.gradient * sums.gradient / (sums.hessian + shrink());
    }
    // In units of the hessian: that of a row whose answer is a toss-up.
    double shrink() const { return shape_.shrink; }

    std::span<const ForestExample> examples_;
    ForestShape shape_;
    std::vector<std::uint8_t> binned_;  // [rows][tree_inputs]
    std::array<std::array<float, bins - 1>, tree_inputs> edges_{};
    std::vector<double> margin_;
    std::vector<Sums> slope_, sums_;
    std::vector<std::uint8_t> at_;
};

}  // namespace

void Forest::pack(int register_bits_max) {
    packed = register_bits_max >= 512 ? TreeLanes(trees) : TreeLanes();
    flat = std::all_of(line.begin(), line.end(), [](float one) { return one == 0; });
    ranked = packed.empty() && register_bits_max >= 256 ? TreeRanks(trees) : TreeRanks();
}

// Eight sums side by side: one after the other, each would wait for the one before.
float Forest::log_odds(const TreeInputs& inputs) const {
    std::array<float, 8> sums{base};
    if (!flat) add_line(inputs, sums);
    if (!packed.empty())
        packed.add_leaves(inputs, sums);
    else if (!ranked.empty())
        ranked.add_leaves(inputs, sums);
    else
        add_leaves(inputs, sums);
    return std::accumulate(sums.begin(), sums.end(), 0.0F);
}

void Forest::add_line(const TreeInputs& inputs, std::array<float, 8>& sums) const {
    constexpr std::size_t whole = tree_inputs / 8 * 8;
    for (std::size_t i = 0; i < whole; i += sums.size())
        for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += line[i + k] * inputs[i + k];
    for (std::size_t i = whole; i < tree_inputs; ++i) sums[0] += line[i] * inputs[i];
}

void Forest::add_leaves(const TreeInputs& inputs, std::array<float, 8>& sums) const {
    for (std::size_t i = 0; i < trees.size(); ++i) {
        const Tree& tree = trees[i];
        std::size_t node = 1;
        for (int depth = 0; depth < 3; ++depth)
            node = 2 * node + (inputs[tree.input[node]] > tree.threshold[node] ? 1 : 0);
        sums[i % sums.size()] += tree.leaf[node - leaves];
    }
}

Forest fit_forest(std::span<const ForestExample> examples, const ForestShape& shape) {
    return examples.empty() ? Forest{} : Booster(examples, shape).fit();
}

}  // namespace sluice
