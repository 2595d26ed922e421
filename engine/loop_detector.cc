#include "engine/loop_detector.h"

#include <algorithm>

namespace sluice {

bool LoopDetector::push(std::span<const TokenId> generated) {
    if (generated.empty()) return false;
    const bool looks = generated.size() % look_every == 0 && generated.size() >= long_tokens_min;
    return repeats_short(generated) || (looks && repeats_long(generated));
}

bool LoopDetector::repeats_short(std::span<const TokenId> generated) {
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

// From the newest token back: border[i] is the length of the longest proper prefix of the first
// i + 1 that is their suffix as well, so that their least period is i + 1 - border[i] (Knuth,
// Morris and Pratt 1977).
bool LoopDetector::repeats_long(std::span<const TokenId> generated) {
    const auto back = [&](std::size_t i) { return generated[generated.size() - 1 - i]; };
    const std::size_t count = std::min(generated.size(), window);
    std::array<std::uint16_t, window> border;
    border[0] = 0;
    for (std::size_t i = 1; i < count; ++i) {
        std::size_t length = border[i - 1];
        while (length > 0 && back(i) != back(length)) length = border[length - 1];
        if (back(i) == back(length)) ++length;
        border[i] = static_cast<std::uint16_t>(length);
        const std::size_t tokens = i + 1, period = tokens - length;
        if (tokens >= long_tokens_min && period <= long_period_max &&
            tokens >= long_rounds_min * period)
            return true;
    }
    return false;
}

}  // namespace sluice
