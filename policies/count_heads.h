// What a text's counts say of each head. Immutable; any thread.
#pragma once

#include <array>
#include <cstddef>

#include "policies/tree.h"
#include "policies/weights.h"

namespace sluice {

class CountHeads {
public:
    // From the means, scales, biases and rows of counts. In registers of so many bits at most, and
    // no wider than the processor's; the sums are the same.
    explicit CountHeads(const Weights& weights, int register_bits_max = 256);

    // Writes the standardised counts to the first of `inputs`; gives the heads' biases with what
    // each count adds, one count after the other.
    Weights::Lanes sum(const std::array<float, structural_count>& counts,
                       TreeInputs& inputs) const {
        Weights::Lanes sums{};
        add_up_(table_, counts, inputs, sums);
        return sums;
    }

private:
    struct Table {
        std::array<float, structural_count> mean, scale;
        Weights::Lanes bias;
        std::array<Weights::Lanes, structural_count> rows;
    };
    using Counts = std::array<float, structural_count>;
    template <class Floats>
    static void add_up(const Table& table, const Counts& counts, TreeInputs& inputs,
                       Weights::Lanes& sums);
    static void add_up_128(const Table& table, const Counts& counts, TreeInputs& inputs,
                           Weights::Lanes& sums);
    static void add_up_256(const Table& table, const Counts& counts, TreeInputs& inputs,
                           Weights::Lanes& sums);

    Table table_;
    void (*add_up_)(const Table&, const Counts&, TreeInputs&, Weights::Lanes&);
};

}  // namespace sluice
