// Registers are written out, since the compiler would turn the rows round.
#include "policies/count_heads.h"

#include <cstring>

namespace sluice {
namespace {

// Of a register of 128 or 256 bits.
using Floats128 = float __attribute__((vector_size(16)));
using Floats256 = float __attribute__((vector_size(32)));

}  // namespace

template <class Floats>
[[gnu::always_inline]] inline void CountHeads::add_up(const Table& table, const Counts& counts,
                                                      TreeInputs& inputs, Weights::Lanes& sums) {
    constexpr std::size_t lanes = sizeof(Floats) / sizeof(float);
    static_assert(structural_count % lanes == 0);
    const Floats most = structural_clip - Floats{}, least = -most;
    for (std::size_t i = 0; i < structural_count; i += lanes) {
        Floats value, mean, scale;
        std::memcpy(&value, &counts[i], sizeof value);
        std::memcpy(&mean, &table.mean[i], sizeof mean);
        std::memcpy(&scale, &table.scale[i], sizeof scale);
        Floats standard = (value - mean) * scale;
        standard = standard < least ? least : standard;
        standard = standard > most ? most : standard;
        std::memcpy(&inputs[i], &standard, sizeof standard);
    }
    constexpr std::size_t registers = (head_count + lanes - 1) / lanes;
    Floats total[registers], row;
    for (std::size_t r = 0; r < registers; ++r) {
        std::memcpy(&row, &table.bias[lanes * r], sizeof row);
        total[r] = row;
    }
    for (std::size_t i = 0; i < structural_count; ++i)
        for (std::size_t r = 0; r < registers; ++r) {
            std::memcpy(&row, &table.rows[i][lanes * r], sizeof row);
            total[r] += inputs[i] * row;
        }
    // One register at a time: all as one array would have them kept in memory all along.
    for (std::size_t r = 0; r < registers; ++r) {
        row = total[r];
        std::memcpy(&sums[lanes * r], &row, sizeof row);
    }
}

void CountHeads::add_up_128(const Table& table, const Counts& counts, TreeInputs& inputs,
                            Weights::Lanes& sums) {
    add_up<Floats128>(table, counts, inputs, sums);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void CountHeads::add_up_256(const Table& table, const Counts& counts,
                                                    TreeInputs& inputs, Weights::Lanes& sums) {
    add_up<Floats256>(table, counts, inputs, sums);
}
#endif

CountHeads::CountHeads(const Weights& weights, [[maybe_unused]] int register_bits_max)
    : table_{weights.mean, weights.scale, weights.bias, weights.structural}, add_up_(add_up_128) {
#if defined(__x86_64__)
    if (register_bits_max >= 256 && __builtin_cpu_supports("avx2")) add_up_ = add_up_256;
#endif
}

}  // namespace sluice
