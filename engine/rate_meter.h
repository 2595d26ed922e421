// Tokens per second over the last few seconds. One thread counts, any thread reads, no locks.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace sluice {

class RateMeter {
public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::uint32_t window_seconds = 5;

    void count(Time now, std::uint32_t tokens);
    double per_second(Time now) const;

private:
    // One bucket a second, reused round and round: the second in the high half, its tokens in the
    // low half, so that a reader never sees one without the other.
    std::array<std::atomic<std::uint64_t>, 8> buckets_{};
};

}  // namespace sluice
