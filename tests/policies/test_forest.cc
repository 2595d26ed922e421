// Forests of small trees and the topics that they look at, on data made here.
#include "policies/forest.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "policies/linear_fit.h"
#include "policies/topics.h"

namespace sluice {
namespace {

double odds(const Forest& forest, const TreeInputs& inputs) {
    return sigmoid(static_cast<double>(forest.log_odds(inputs)));
}

// Right where exactly one of two inputs is high: no line tells that.
struct Crossed {
    std::vector<TreeInputs> inputs = std::vector<TreeInputs>(800);
    std::vector<ForestExample> examples;

    Crossed() {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            bool a = i % 2 == 0, b = i / 2 % 2 == 0;
            inputs[i][4] = a ? 1.0F : -1.0F;
            inputs[i][60] = b ? 0.5F : -0.5F;
            examples.push_back({&inputs[i], a != b ? 1.0 : 0.0, 1});
        }
    }
};

}  // namespace

TEST_CASE("trees find what no line can, and a shallow one cannot", "[forest]") {
    Crossed crossed;
    ForestShape shape;
    // Neither input says anything alone, so the first question is drawn at a small imbalance.
    crossed.examples[0].weight = crossed.examples[4].weight = 3;
    Forest forest = fit_forest(crossed.examples, shape);
    CHECK(forest.trees.size() == 32);
    CHECK(odds(forest, crossed.inputs[1]) > 0.9);
    CHECK(odds(forest, crossed.inputs[2]) > 0.9);
    CHECK(odds(forest, crossed.inputs[0]) < 0.1);
    shape.depth = 1;
    forest = fit_forest(crossed.examples, shape);
    CHECK(std::abs(odds(forest, crossed.inputs[1]) - 0.5) < 0.1);
}

TEST_CASE("a packed forest says what it said before, to the last bit", "[forest]") {
    std::mt19937 chance(3);
    auto number = [&] { return static_cast<float>(chance() % 20'001) / 5'000 - 2; };
    // All trees asking of one input hold more thresholds against it than a byte can count.
    for (auto [trees, asked] : {std::pair<std::size_t, std::size_t>{1, tree_inputs},
                                {15, tree_inputs},
                                {16, tree_inputs},
                                {17, tree_inputs},
                                {32, tree_inputs},
                                {33, 3},
                                {80, tree_inputs},
                                {18, 1},
                                {19, 1},
                                {100, 1},
                                {100, tree_inputs}}) {
        Forest forest;
        forest.base = number();
        if (trees % 2 == 0)  // else it is flat
            for (float& one : forest.line) one = number();
        forest.trees.resize(trees);
        for (Tree& tree : forest.trees)
            for (std::size_t node = 0; node < tree.input.size(); ++node) {
                tree.input[node] = static_cast<std::uint8_t>(chance() % asked);
                tree.threshold[node] =
                    chance() % 8 == 0 ? std::numeric_limits<float>::infinity() : number();
                tree.leaf[node] = number();
            }
        for (int text = 0; text < 50; ++text) {
            TreeInputs inputs;
            for (float& one : inputs) one = number();
            const Tree& first = forest.trees[0];
            if (first.threshold[1] < 5) inputs[first.input[1]] = first.threshold[1];  // not above
            for (int bits : {128, 256, 512}) {
                Forest packed = forest;
                packed.pack(bits);
                INFO(trees << " trees, " << asked << " inputs, " << bits << " bits");
                CHECK(packed.log_odds(inputs) == forest.log_odds(inputs));
            }
        }
    }
}

TEST_CASE("the line of a forest is a ridge-penalised logistic regression", "[forest]") {
    // One input, +1 and -1 equally often, right 3 times in 4 and 1 time in 4: without a penalty the
    // log-odds are ln 3 and -ln 3.
    std::vector<TreeInputs> inputs(400);
    std::vector<ForestExample> examples;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        bool high = i % 2 == 0, right = i / 2 % 4 != 0;
        inputs[i][7] = high ? 1.0F : -1.0F;
        examples.push_back({&inputs[i], right == high ? 1.0 : 0.0, 1});
    }
    ForestShape shape;
    shape.trees = 0;
    shape.line = true;
    shape.line_shrink = 1e-6;
    Forest forest = fit_forest(examples, shape);
    CHECK(forest.empty());
    CHECK(forest.line[7] == Approx(std::log(3)).epsilon(1e-3));
    CHECK(forest.line[8] == 0);
    CHECK(std::abs(forest.base) < 1e-3);
    shape.line_shrink = 1'000;
    CHECK(fit_forest(examples, shape).line[7] < 0.2F);
    shape.line_shrink = 1e6;
    shape.line_towards[7] = 0.7F;
    CHECK(fit_forest(examples, shape).line[7] == Approx(0.7F).epsilon(1e-2));
}

TEST_CASE("nothing to learn from gives no forest", "[forest]") {
    CHECK(fit_forest({}, ForestShape{}).empty());
    CHECK(Forest{}.log_odds(TreeInputs{}) == 0);
}

TEST_CASE("topics tell texts of different words apart, and come out the same again", "[forest]") {
    std::mt19937 random(3);
    std::vector<FitRow> rows(300);
    std::vector<const FitRow*> all;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::uint16_t from = i % 2 == 0 ? 100 : 5'000;  // of two vocabularies of 50 words
        for (int word = 0; word < 12; ++word)
            rows[i].buckets.push_back(static_cast<std::uint16_t>(from + random() % 50));
        all.push_back(&rows[i]);
    }
    Topics topics = find_topics(all);
    CHECK(find_topics(all).hashed == topics.hashed);
    bool told = false;
    for (std::size_t k = 0; k < topic_count; ++k) {
        double one = 0, other = 0, square = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            auto value = static_cast<double>(topics.of(rows[i])[k]);
            (i % 2 == 0 ? one : other) += value / 150;
            square += value * value / 300;
        }
        told = told ||
               std::abs(one - other) > 1.5 * std::sqrt(square - std::pow((one + other) / 2, 2));
    }
    CHECK(told);
    CHECK(topics.of(FitRow{})[0] == 0);
}

}  // namespace sluice
