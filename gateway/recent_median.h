// The median of the last few values, for what is to be expected next: one slow answer among many
// does not change it. Any thread, no lock: an update that another overtakes may be lost.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace sluice {

class RecentMedian {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t kept = 31;
    // What is older says nothing of now: else an upstream that was slow once would be avoided, and
    // so never be measured again.
    static constexpr std::chrono::minutes forgotten_after{10};

    void add(double value, Clock::time_point now) {
        if (!fresh(now)) count_.store(0, std::memory_order_relaxed);
        last_ns_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        std::uint32_t at = count_.fetch_add(1, std::memory_order_relaxed);
        values_[at % kept].store(value, std::memory_order_relaxed);
        std::array<double, kept> all{};
        std::size_t count = std::min<std::size_t>(at + 1, kept);
        for (std::size_t i = 0; i < count; ++i) all[i] = values_[i].load(std::memory_order_relaxed);
        auto middle = all.begin() + static_cast<std::ptrdiff_t>(count / 2);
        std::nth_element(all.begin(), middle, all.begin() + static_cast<std::ptrdiff_t>(count));
        median_.store(*middle, std::memory_order_relaxed);
    }
    // 0: nothing of late.
    double value(Clock::time_point now) const {
        return fresh(now) ? median_.load(std::memory_order_relaxed) : 0;
    }

private:
    bool fresh(Clock::time_point now) const {
        std::int64_t last = last_ns_.load(std::memory_order_relaxed);
        Clock::time_point then{Clock::duration(last)};
        return last != 0 && now - then < forgotten_after;
    }

    std::array<std::atomic<double>, kept> values_{};
    std::atomic<std::uint32_t> count_{0};
    std::atomic<std::int64_t> last_ns_{0};
    std::atomic<double> median_{0};
};

}  // namespace sluice
