#include "engine/loop_detector.h"

#include <algorithm>

namespace sluice {

bool LoopDetector::push(std::span<const TokenId> generated) {
    if (generated.empty()) return false;
    const TokenId newest = generated.back();
    const TokenId* at = &generated.back();
    const std::size_t periods = std::min(period_max, generated.size() - 1);
    std::int32_t longest = 0;
    for (std::size_t period = 1; period <= periods; ++period) {
        const std::int32_t equal =
            at[-static_cast<std::ptrdiff_t>(period)] == newest ? equal_[period] + 1 : 0;
        equal_[period] = equal;
        // The first round of a cycle equals nothing before it.
        longest = std::max(longest, equal == 0 ? 0 : equal + static_cast<std::int32_t>(period));
    }
    return longest >= tokens_min;
}

}  // namespace sluice
