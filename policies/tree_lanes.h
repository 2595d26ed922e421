// A forest laid out to be asked sixteen trees at a time, where the processor has AVX-512. Immutable
// once packed; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "policies/tree.h"

namespace sluice {

class TreeLanes {
public:
    TreeLanes() = default;
    // Stays empty where the processor cannot ask it.
    explicit TreeLanes(std::span<const Tree> trees);

    bool empty() const { return groups_.empty(); }
    // Adds tree i's leaf to sums[i % 8], tree after tree: the very numbers that asking one tree
    // after another gives. Only where it is not empty.
    void add_leaves(const TreeInputs& inputs, std::array<float, 8>& sums) const;

private:
    static constexpr std::size_t lanes = 16, nodes = 8;
    template <class Number>
    using Lanes = std::array<Number, lanes>;
    struct alignas(64) Group {  // of trees, [node] as in Tree
        std::array<Lanes<std::uint8_t>, nodes> input{};
        std::array<Lanes<float>, nodes> threshold{};
        std::array<Lanes<float>, nodes> leaf{};
    };
    std::vector<Group> groups_;
};

}  // namespace sluice
