// The weights of hashed words, a row of small integers for each bucket, laid out to be added up
// fast. Immutable; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "policies/weights.h"

namespace sluice {

class WordRows {
public:
    // From Weights::hashed. Registers of so many bits at most, and no wider than the processor's.
    explicit WordRows(std::span<const std::int8_t> hashed, int register_bits_max = 512);

    using Sums = std::array<std::int32_t, lane_count>;
    // What the rows of these buckets add up to, lane by lane. Exact.
    Sums sum(std::span<const std::uint16_t> buckets) const;

private:
    // A line of the cache: read as one, whatever its row. Values are moved up by 128, so that they
    // are never negative.
    struct alignas(64) Row {
        std::array<std::uint8_t, 64> lanes{};
    };
    static_assert(lane_count <= sizeof(Row::lanes));

    template <class Pairs>
    static void add_up(const Row* rows, std::span<const std::uint16_t> buckets, Sums& sums);
    static void add_up_128(const Row* rows, std::span<const std::uint16_t> buckets, Sums& sums);
    static void add_up_256(const Row* rows, std::span<const std::uint16_t> buckets, Sums& sums);
    static void add_up_512(const Row* rows, std::span<const std::uint16_t> buckets, Sums& sums);

    std::vector<Row> rows_;  // [bucket_count]
    void (*add_up_)(const Row*, std::span<const std::uint16_t>, Sums&);
};

}  // namespace sluice
