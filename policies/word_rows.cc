// Two bytes are added at a time, as one number of 16 bits, and the upper bytes once more on their
// own; what the lower ones add up to is then the difference. That takes no widening.
#include "policies/word_rows.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace sluice {
namespace {

constexpr std::size_t safe = 257;       // rows x 255 < 2^16
constexpr std::size_t rows_ahead = 16;  // rows lie all over the table, larger than a near cache
constexpr std::int32_t moved_up = 128;

// Of a register of 128, 256 or 512 bits.
using Pairs128 = std::uint16_t __attribute__((vector_size(16)));
using Pairs256 = std::uint16_t __attribute__((vector_size(32)));
using Pairs512 = std::uint16_t __attribute__((vector_size(64)));

}  // namespace

template <class Pairs>
[[gnu::always_inline]] inline void WordRows::add_up(const Row* rows,
                                                    std::span<const std::uint16_t> buckets,
                                                    Sums& sums) {
    constexpr std::size_t registers = (lane_count + sizeof(Pairs) - 1) / sizeof(Pairs);
    Pairs both[registers]{}, upper[registers]{};
    auto add = [&](const Row& row) {
        for (std::size_t r = 0; r < registers; ++r) {
            Pairs pairs;
            std::memcpy(&pairs, &row.lanes[sizeof pairs * r], sizeof pairs);
            both[r] += pairs;
            upper[r] += pairs >> 8;
        }
    };
    const std::size_t count = buckets.size(), ahead = std::min(count, rows_ahead);
#pragma GCC unroll 4
    for (std::size_t i = 0; i + ahead < count; ++i) {
        __builtin_prefetch(&rows[buckets[i + ahead]]);
        add(rows[buckets[i]]);
    }
#pragma GCC unroll 4
    for (std::uint16_t bucket : buckets.last(ahead)) add(rows[bucket]);
    std::array<std::uint16_t, sizeof both / 2> even, odd;
    for (std::size_t r = 0; r < registers; ++r) both[r] -= upper[r] << 8;
    std::memcpy(even.data(), both, sizeof both);
    std::memcpy(odd.data(), upper, sizeof upper);
    const std::int32_t moved = moved_up * static_cast<std::int32_t>(count);
    for (std::size_t pair = 0; pair < lane_count / 2; ++pair) {
        sums[2 * pair] += even[pair] - moved;
        sums[2 * pair + 1] += odd[pair] - moved;
    }
}

void WordRows::add_up_128(const Row* rows, std::span<const std::uint16_t> buckets, Sums& sums) {
    add_up<Pairs128>(rows, buckets, sums);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void WordRows::add_up_256(const Row* rows,
                                                  std::span<const std::uint16_t> buckets,
                                                  Sums& sums) {
    add_up<Pairs256>(rows, buckets, sums);
}
[[gnu::target("avx512bw")]] void WordRows::add_up_512(const Row* rows,
                                                      std::span<const std::uint16_t> buckets,
                                                      Sums& sums) {
    add_up<Pairs512>(rows, buckets, sums);
}
#endif

WordRows::WordRows(std::span<const std::int8_t> hashed, [[maybe_unused]] int register_bits_max)
    : rows_(bucket_count), add_up_(add_up_128) {
    assert(hashed.size() == std::size_t{bucket_count} * lane_count);
    for (std::size_t i = 0; i < hashed.size(); ++i)
        rows_[i / lane_count].lanes[i % lane_count] =
            static_cast<std::uint8_t>(hashed[i] + moved_up);
#if defined(__x86_64__)
    if (register_bits_max >= 256 && __builtin_cpu_supports("avx2")) add_up_ = add_up_256;
    if (register_bits_max >= 512 && __builtin_cpu_supports("avx512bw")) add_up_ = add_up_512;
#endif
}

WordRows::Sums WordRows::sum(std::span<const std::uint16_t> buckets) const {
    Sums sums{};
    for (std::size_t i = 0; i < std::min(rows_ahead, buckets.size()); ++i)
        __builtin_prefetch(&rows_[buckets[i]]);
    for (; !buckets.empty(); buckets = buckets.subspan(std::min(safe, buckets.size())))
        add_up_(rows_.data(), buckets.first(std::min(safe, buckets.size())), sums);
    return sums;
}

}  // namespace sluice
