#include "providers/usage.h"

#include <limits>

namespace sluice {

namespace {

Money cost_at(const Usage& usage, const TokenPrice& price) {
    auto product = [](std::int64_t tokens, std::int64_t pico) {
        return static_cast<__int128>(tokens) * pico;
    };
    __int128 sum =
        product(usage.in_uncached, price.input) + product(usage.in_cache_read, price.cache_read) +
        product(usage.in_cache_write, price.cache_write) +
        product(usage.in_cache_write_1h, price.cache_write_1h) +
        product(usage.out_text, price.output) + product(usage.out_reasoning, price.output);
    constexpr std::int64_t high = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t low = std::numeric_limits<std::int64_t>::min();
    if (sum > high) return Money{high};
    if (sum < low) return Money{low};
    return Money{static_cast<std::int64_t>(sum)};
}

}  // namespace

const TokenPrice& Price::of(std::int64_t input_tokens) const {
    const TokenPrice* found = this;
    for (const LongPromptPrice& longer : long_prompts)
        if (input_tokens > longer.above_input_tokens) found = &longer.price;
    return *found;
}

Money cost_of(const Usage& usage, const Price& price) {
    return cost_at(usage, price.of(usage.input()));
}

Money cost_at_most(std::int64_t input_tokens, std::int64_t output_tokens, const Price& price) {
    Usage usage;
    usage.in_uncached = input_tokens;
    usage.out_text = output_tokens;
    return cost_at(usage, price.of(longer_than_estimated(input_tokens)));
}

}  // namespace sluice
