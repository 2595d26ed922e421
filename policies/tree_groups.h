// Trees laid side by side, node for node, to be asked several at a time.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "policies/tree.h"

namespace sluice {

// Groups of so many trees: their leaves, and what put(group, lane, node, tree) writes beside them.
// Trees that are not there add 0.
template <class Group, class Put>
std::vector<Group> in_groups(std::span<const Tree> trees, std::size_t trees_a_group,
                             const Put& put) {
    std::vector<Group> groups((trees.size() + trees_a_group - 1) / trees_a_group);
    for (std::size_t i = 0; i < trees.size(); ++i) {
        Group& group = groups[i / trees_a_group];
        const std::size_t lane = i % trees_a_group;
        for (std::size_t node = 0; node < group.leaf.size(); ++node) {
            group.leaf[node][lane] = trees[i].leaf[node];
            put(group, lane, node, trees[i]);
        }
    }
    return groups;
}

}  // namespace sluice
