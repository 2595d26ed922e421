// An input is above the threshold of rank r (from 0) where it is above more than r thresholds.
#include "policies/tree_ranks.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "policies/tree_groups.h"

namespace sluice {
namespace {

#if defined(__x86_64__)

constexpr std::size_t rank_max = 126;    // of a threshold, in a byte with a sign
constexpr std::int8_t rank_never = 127;  // of a threshold that no input is above

// Where the rank of an input lies: of every thirty-two, in the order in which registers are packed,
// four bytes of each of eight registers at a time.
constexpr std::size_t place_of(std::size_t input) {
    std::size_t of_four = input / 8 % 4, lane = input % 8;
    return input / 32 * 32 + lane / 4 * 16 + of_four * 4 + lane % 4;
}

using Eight = float __attribute__((vector_size(32)));
using EightWhole = std::int32_t __attribute__((vector_size(32)));
using SixteenWhole = std::int16_t __attribute__((vector_size(32)));
using Bytes = char __attribute__((vector_size(32)));
using FewBytes = char __attribute__((vector_size(16)));
using Quarters = long long __attribute__((vector_size(32)));
using Halves = long long __attribute__((vector_size(16)));

// The ranks of all inputs: sixteen in both halves of a register.
struct Ranks {
    Bytes part[6];
};
static_assert((tree_inputs + 15) / 16 == 6);

[[gnu::target("avx2")]] inline Eight eight_inputs(const TreeInputs& inputs, std::size_t first) {
    static_assert(tree_inputs % 8 == 1);
    if (first + 8 > tree_inputs) return Eight{inputs[first]};
    Eight out;
    std::memcpy(&out, &inputs[first], sizeof out);
    return out;
}

[[gnu::target("avx2")]] inline EightWhole ranks_of(Eight inputs, const std::array<float, 8>* rows,
                                                   std::uint32_t count) {
    EightWhole ranks{};
    for (std::uint32_t i = 0; i < count; ++i) {
        Eight thresholds;
        std::memcpy(&thresholds, rows + i, sizeof thresholds);
        ranks -= inputs > thresholds;  // -1 where it is
    }
    return ranks;
}

[[gnu::target("avx2")]] inline Bytes pack(const EightWhole* four) {
    SixteenWhole low = __builtin_ia32_packssdw256(four[0], four[1]);
    SixteenWhole high = __builtin_ia32_packssdw256(four[2], four[3]);
    return __builtin_ia32_packsswb256(low, high);
}

// Where `mask`, whose highest bits count, holds, `right`.
[[gnu::target("avx2")]] inline Bytes either(Bytes mask, Bytes right, Bytes left) {
    return __builtin_ia32_pblendvb256(left, right, mask);
}
[[gnu::target("avx2")]] inline Eight either(Eight mask, Eight right, Eight left) {
    return __builtin_ia32_blendvps256(left, right, mask);
}

// The bits of each byte up by so many; what comes over from the byte before is below them.
template <int by>
[[gnu::target("avx2")]] inline Bytes moved_up(Bytes bytes) {
    return reinterpret_cast<Bytes>(reinterpret_cast<SixteenWhole>(bytes) << by);
}

[[gnu::target("avx2")]] inline Bytes ranks_at(const Ranks& ranks, Bytes places) {
    Bytes sixteen[6];
    for (std::size_t i = 0; i < 6; ++i)  // by the lowest four bits
        sixteen[i] = __builtin_ia32_pshufb256(ranks.part[i], places);
    Bytes bit_4 = moved_up<3>(places), bit_5 = moved_up<2>(places), bit_6 = moved_up<1>(places);
    Bytes first = either(bit_4, sixteen[1], sixteen[0]);
    Bytes second = either(bit_4, sixteen[3], sixteen[2]);
    Bytes third = either(bit_4, sixteen[5], sixteen[4]);
    return either(bit_6, third, either(bit_5, second, first));
}

[[gnu::target("avx2")]] inline Bytes bytes_at(const auto& of_nodes, std::size_t node) {
    Bytes bytes;
    std::memcpy(&bytes, of_nodes[node].data(), sizeof bytes);
    return bytes;
}
[[gnu::target("avx2")]] inline Bytes bytes_of_two(const auto& of_nodes, std::size_t node,
                                                  Bytes right) {
    return either(right, bytes_at(of_nodes, node + 1), bytes_at(of_nodes, node));
}
[[gnu::target("avx2")]] inline Bytes bytes_of_four(const auto& of_nodes, Bytes one, Bytes two) {
    return either(one, bytes_of_two(of_nodes, 6, two), bytes_of_two(of_nodes, 4, two));
}

// Eight bytes of a mask, as one of floats.
[[gnu::target("avx2")]] inline Eight mask_at(const Bytes& mask, std::size_t eight) {
    long long bytes = 0;
    std::memcpy(&bytes, reinterpret_cast<const char*>(&mask) + 8 * eight, sizeof bytes);
    return reinterpret_cast<Eight>(
        __builtin_ia32_pmovsxbd256(reinterpret_cast<FewBytes>(Halves{bytes, 0})));
}
[[gnu::target("avx2")]] inline Eight leaves_of_two(const auto& leaves, std::size_t eight,
                                                   std::size_t node, Eight right) {
    Eight one, other;
    std::memcpy(&one, leaves[node].data() + 8 * eight, sizeof one);
    std::memcpy(&other, leaves[node + 1].data() + 8 * eight, sizeof other);
    return either(right, other, one);
}

// Adds what the leaves say that three questions lead to.
[[gnu::target("avx2")]] inline void add_group(const auto& group, const Ranks& ranks, Eight& sum) {
    Bytes mask[3];
    mask[0] = ranks_at(ranks, bytes_at(group.place, 1)) > bytes_at(group.rank, 1);
    mask[1] = ranks_at(ranks, bytes_of_two(group.place, 2, mask[0])) >
              bytes_of_two(group.rank, 2, mask[0]);
    mask[2] = ranks_at(ranks, bytes_of_four(group.place, mask[0], mask[1])) >
              bytes_of_four(group.rank, mask[0], mask[1]);
    for (std::size_t eight = 0; eight < 4; ++eight) {
        Eight one = mask_at(mask[0], eight), two = mask_at(mask[1], eight);
        Eight three = mask_at(mask[2], eight);
        Eight left = either(two, leaves_of_two(group.leaf, eight, 2, three),
                            leaves_of_two(group.leaf, eight, 0, three));
        Eight right = either(two, leaves_of_two(group.leaf, eight, 6, three),
                             leaves_of_two(group.leaf, eight, 4, three));
        sum += either(one, right, left);
    }
}

// Of one input, ascending; those that nothing is above left out.
std::vector<float> thresholds_of(std::span<const Tree> trees, std::size_t input) {
    std::vector<float> out;
    for (const Tree& tree : trees)
        for (std::size_t node = 1; node < tree.input.size(); ++node)
            if (tree.input[node] == input &&
                tree.threshold[node] < std::numeric_limits<float>::infinity())
                out.push_back(tree.threshold[node]);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

#endif

}  // namespace

TreeRanks::TreeRanks(std::span<const Tree> trees) {
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2")) return;
    std::array<std::vector<float>, eights * 8> of_inputs;
    for (std::size_t input = 0; input < tree_inputs; ++input) {
        of_inputs[input] = thresholds_of(trees, input);
        if (of_inputs[input].size() > rank_max + 1) return;
        auto& rows = rows_[input / 8];
        rows = std::max(rows, static_cast<std::uint32_t>(of_inputs[input].size()));
    }
    for (std::size_t eight = 0; eight < eights; ++eight)
        for (std::size_t row = 0; row < rows_[eight]; ++row) {
            auto& thresholds = thresholds_.emplace_back();
            thresholds.fill(std::numeric_limits<float>::infinity());
            for (std::size_t lane = 0; lane < 8; ++lane)
                if (row < of_inputs[8 * eight + lane].size())
                    thresholds[lane] = of_inputs[8 * eight + lane][row];
        }
    auto put = [&](Group& group, std::size_t lane, std::size_t node, const Tree& tree) {
        const std::vector<float>& all = of_inputs[tree.input[node]];
        auto at = std::lower_bound(all.begin(), all.end(), tree.threshold[node]);
        bool never = at == all.end() || node == 0;
        group.place[node][lane] = static_cast<std::int8_t>(place_of(tree.input[node]));
        group.rank[node][lane] = never ? rank_never : static_cast<std::int8_t>(at - all.begin());
    };
    groups_ = in_groups<Group>(trees, trees_a_group, put);
#else
    static_cast<void>(trees);
#endif
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void TreeRanks::add_leaves(const TreeInputs& inputs,
                                                   std::array<float, 8>& sums) const {
    EightWhole whole[eights];
    const std::array<float, 8>* rows = thresholds_.data();
    for (std::size_t i = 0; i < eights; ++i) {
        whole[i] = ranks_of(eight_inputs(inputs, 8 * i), rows, rows_[i]);
        rows += rows_[i];
    }
    Ranks ranks;
    static_assert(eights % 4 == 0);
    for (std::size_t i = 0; i < 3; ++i) {
        auto packed = reinterpret_cast<Quarters>(pack(whole + 4 * i));
        ranks.part[2 * i] = reinterpret_cast<Bytes>(__builtin_ia32_permti256(packed, packed, 0x00));
        ranks.part[2 * i + 1] =
            reinterpret_cast<Bytes>(__builtin_ia32_permti256(packed, packed, 0x11));
    }
    Eight sum;
    std::memcpy(&sum, sums.data(), sizeof sum);
    for (const Group& group : groups_) add_group(group, ranks, sum);
    std::memcpy(sums.data(), &sum, sizeof sum);
}
#else
void TreeRanks::add_leaves(const TreeInputs&, std::array<float, 8>&) const {}
#endif

}  // namespace sluice
