// Small forests of decision trees over a text's counts and topics: they find what a line through
// the counts cannot (short *and* without numbers), and evaluate in well under a microsecond. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "policies/tree.h"
#include "policies/tree_lanes.h"
#include "policies/tree_ranks.h"

namespace sluice {

constexpr std::size_t trees_max = 100;

// The log-odds are the base, a line through the inputs, and a leaf of every tree. Without trees it
// knows nothing.
struct Forest {
    float base = 0;
    TreeInputs line{};
    std::vector<Tree> trees;  // trees_max at most
    TreeLanes packed = {};    // the same trees, after pack(), by what the processor can do
    TreeRanks ranked = {};    // likewise
    bool flat = false;        // whether the line is known to be 0 throughout

    // Once the trees are all there: asking them is faster then, and gives the same. In registers of
    // so many bits at most.
    void pack(int register_bits_max = 512);
    bool empty() const { return trees.empty(); }
    float log_odds(const TreeInputs& inputs) const;

private:
    void add_line(const TreeInputs& inputs, std::array<float, 8>& sums) const;
    void add_leaves(const TreeInputs& inputs, std::array<float, 8>& sums) const;
};

struct ForestExample {
    const TreeInputs* inputs = nullptr;
    double target = 0;  // in [0, 1]
    double weight = 1;
};

struct ForestShape {
    int trees = 32;             // as many as TreeRanks asks at once
    int depth = 3;              // 1 to 3
    int rows_per_leaf = 40;     // at least
    double rate = 0.1;          // of a tree's correction that is taken
    double shrink = 5;          // of a leaf, in units of the rows' curvature
    bool line = false;          // whether trees correct a line or only a base
    double line_shrink = 200;   // of the line, likewise, over standard deviations
    TreeInputs line_towards{};  // the line that it is pulled to
};

// Fits the base, or the line by ridge-penalised logistic regression (Newton's method; the penalty
// is on the way from `line_towards`), then boosts trees from it on the logistic loss by Newton's
// method (Friedman 2001; Chen and Guestrin 2016), thresholds from 31 quantiles of each input. The
// same examples give the same forest.
Forest fit_forest(std::span<const ForestExample> examples, const ForestShape& shape);

}  // namespace sluice
