// One decision tree and what it looks at.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "policies/features.h"

namespace sluice {

constexpr std::size_t topic_count = 32;

// What trees look at: the counts, standardised, then the topics, then the predicted steps.
constexpr std::size_t tree_inputs = structural_count + topic_count + 1;
using TreeInputs = std::array<float, tree_inputs>;

// Three questions deep. At node n (from 1) an input at or below the threshold goes to 2n, above it
// to 2n + 1; nodes 8 to 15 are the leaves.
struct Tree {
    std::array<std::uint8_t, 8> input{};  // [1] to [7]
    std::array<float, 8> threshold{};     // likewise
    std::array<float, 8> leaf{};
};

}  // namespace sluice
