#include "engine/rate_meter.h"

#include <algorithm>

namespace sluice {
namespace {

double seconds_of(RateMeter::Time at) {
    return std::chrono::duration<double>(at.time_since_epoch()).count();
}

}  // namespace

void RateMeter::count(Time now, std::uint32_t tokens) {
    auto second = static_cast<std::uint32_t>(seconds_of(now));
    auto& bucket = buckets_[second % buckets_.size()];
    std::uint64_t value = bucket.load(std::memory_order_relaxed);
    if (value >> 32 != second) value = static_cast<std::uint64_t>(second) << 32;
    bucket.store(value + tokens, std::memory_order_relaxed);
}

double RateMeter::per_second(Time now) const {
    double at = seconds_of(now);
    auto second = static_cast<std::uint32_t>(at);
    std::uint64_t tokens = 0;
    std::uint32_t first = second;
    for (const auto& bucket : buckets_) {
        std::uint64_t value = bucket.load(std::memory_order_relaxed);
        auto begin = static_cast<std::uint32_t>(value >> 32);
        if (value == 0 || begin > second || second - begin >= window_seconds) continue;
        tokens += value & 0xFFFFFFFFU;
        first = std::min(first, begin);
    }
    // Work that began a moment ago is not measured against the seconds before it.
    return static_cast<double>(tokens) / std::max(1.0, at - first);
}

}  // namespace sluice
