// A forest laid out to be asked thirty-two trees at a time, where the processor has AVX2. Each
// input is first turned into its rank among the thresholds that the trees hold against it: a byte,
// so that all inputs lie in six registers and a question compares bytes. Immutable; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "policies/tree.h"

namespace sluice {

class TreeRanks {
public:
    TreeRanks() = default;
    // Stays empty where the processor cannot ask it, or where trees hold so many thresholds against
    // one input that a rank is no byte.
    explicit TreeRanks(std::span<const Tree> trees);

    bool empty() const { return groups_.empty(); }
    // Adds tree i's leaf to sums[i % 8], tree after tree: the very numbers that asking one tree
    // after another gives. Only where it is not empty.
    void add_leaves(const TreeInputs& inputs, std::array<float, 8>& sums) const;

private:
    static constexpr std::size_t trees_a_group = 32, nodes = 8;
    static constexpr std::size_t eights = (tree_inputs + 7) / 8;  // of inputs
    template <class Number>
    using Lanes = std::array<Number, trees_a_group>;
    struct alignas(32) Group {                          // of trees, [node] as in Tree
        std::array<Lanes<std::int8_t>, nodes> place{};  // of the input among the ranks
        std::array<Lanes<std::int8_t>, nodes> rank{};   // of the threshold
        std::array<Lanes<float>, nodes> leaf{};
    };
    std::vector<Group> groups_;
    // Rows of eight thresholds, one of each of eight inputs, ascending; first those of the first
    // eight inputs. Where an input has no more, infinity.
    std::vector<std::array<float, 8>> thresholds_;
    std::array<std::uint32_t, eights> rows_{};  // of thresholds_, of each eight inputs
};

}  // namespace sluice
