#include "policies/tree_lanes.h"

#include <cstring>

#include "policies/tree_groups.h"

namespace sluice {
namespace {

#if defined(__x86_64__)

// A number of each tree. Masks are -1 where it holds, 0 elsewhere.
using Floats = float __attribute__((vector_size(64)));
using Whole = std::int32_t __attribute__((vector_size(64)));
using Bytes = char __attribute__((vector_size(16)));
using Eight = float __attribute__((vector_size(32)));

// All inputs, in six registers.
struct Asked {
    Floats part[6];
};
static_assert(tree_inputs <= sizeof(Asked) / sizeof(float));

// inputs[at] > threshold.
[[gnu::target("avx512f")]] inline Whole above(const Asked& asked, Whole at, Floats threshold) {
    Floats value = __builtin_shuffle(asked.part[0], asked.part[1], at);  // by the lowest five bits
    Floats second = __builtin_shuffle(asked.part[2], asked.part[3], at);
    Floats third = __builtin_shuffle(asked.part[4], asked.part[5], at);
    value = (at & 32) != 0 ? second : value;
    value = (at & 64) != 0 ? third : value;
    return value > threshold;
}

// What the trees have at `node`.
[[gnu::target("avx512f")]] inline Whole inputs_at(const auto& group, std::size_t node) {
    Bytes bytes;
    std::memcpy(&bytes, group.input[node].data(), sizeof bytes);
    // __builtin_convertvector takes them out one by one.
    return __builtin_ia32_pmovzxbd512_mask(bytes, Whole{}, 0xffff);
}
[[gnu::target("avx512f")]] inline Floats floats_at(const auto& of_nodes, std::size_t node) {
    Floats floats;
    std::memcpy(&floats, of_nodes[node].data(), sizeof floats);
    return floats;
}

// Likewise at `node`, and where `right` holds at the node after it.
[[gnu::target("avx512f")]] inline Whole inputs_of_two(const auto& group, std::size_t node,
                                                      Whole right) {
    return right ? inputs_at(group, node + 1) : inputs_at(group, node);
}
[[gnu::target("avx512f")]] inline Floats floats_of_two(const auto& of_nodes, std::size_t node,
                                                       Whole right) {
    return right ? floats_at(of_nodes, node + 1) : floats_at(of_nodes, node);
}

// What the leaves say that three questions lead to.
[[gnu::target("avx512f")]] inline Floats leaves_of(const auto& group, const Asked& asked) {
    Whole one = above(asked, inputs_at(group, 1), floats_at(group.threshold, 1));
    Whole two = above(asked, inputs_of_two(group, 2, one), floats_of_two(group.threshold, 2, one));
    Whole input = one ? inputs_of_two(group, 6, two) : inputs_of_two(group, 4, two);
    Floats threshold =
        one ? floats_of_two(group.threshold, 6, two) : floats_of_two(group.threshold, 4, two);
    Whole three = above(asked, input, threshold);
    Floats left = two ? floats_of_two(group.leaf, 2, three) : floats_of_two(group.leaf, 0, three);
    Floats right = two ? floats_of_two(group.leaf, 6, three) : floats_of_two(group.leaf, 4, three);
    return one ? right : left;
}

#endif

}  // namespace

TreeLanes::TreeLanes(std::span<const Tree> trees) {
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx512f")) return;
    groups_ = in_groups<Group>(
        trees, lanes, [](Group& group, std::size_t lane, std::size_t node, const Tree& tree) {
            group.input[node][lane] = tree.input[node];
            group.threshold[node][lane] = tree.threshold[node];
        });
#else
    static_cast<void>(trees);
#endif
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] void TreeLanes::add_leaves(const TreeInputs& inputs,
                                                      std::array<float, 8>& sums) const {
    Asked asked{};
    std::memcpy(&asked, inputs.data(), sizeof inputs);
    Eight sum;
    std::memcpy(&sum, sums.data(), sizeof sum);
    for (const Group& group : groups_) {
        Floats leaves = leaves_of(group, asked);
        Eight halves[2];
        std::memcpy(halves, &leaves, sizeof leaves);
        sum += halves[0];
        sum += halves[1];
    }
    std::memcpy(sums.data(), &sum, sizeof sum);
}
#else
void TreeLanes::add_leaves(const TreeInputs&, std::array<float, 8>&) const {}
#endif

}  // namespace sluice
