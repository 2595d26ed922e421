// Token counters of one attempt, disjoint: every token a vendor bills is in exactly one of them.
// Each dialect's reader maps its vendor's overlapping fields into these and checks the sum.
#pragma once

#include <cstdint>
#include <vector>

#include "providers/money.h"

namespace sluice {

struct Usage {
    std::int64_t in_uncached = 0;        // prompt tokens at the full input price
    std::int64_t in_cache_read = 0;      // prompt tokens read from the vendor's cache
    std::int64_t in_cache_write = 0;     // prompt tokens written to it (Anthropic: 5 minutes)
    std::int64_t in_cache_write_1h = 0;  // Anthropic: 1 hour
    std::int64_t out_text = 0;           // completion tokens but reasoning
    std::int64_t out_reasoning = 0;      // reasoning tokens
    bool estimated = false;              // the vendor gave none: counted by us

    std::int64_t input() const {
        return in_uncached + in_cache_read + in_cache_write + in_cache_write_1h;
    }
    std::int64_t output() const { return out_text + out_reasoning; }
};

// Pico-dollars per token of each kind.
struct TokenPrice {
    std::int64_t input = 0;
    std::int64_t cache_read = 0;
    std::int64_t cache_write = 0;
    std::int64_t cache_write_1h = 0;
    std::int64_t output = 0;  // reasoning tokens are output at every vendor in the book
};

// What a request costs whose prompt has more than `above_input_tokens` tokens, cached ones
// included.
struct LongPromptPrice {
    std::int64_t above_input_tokens = 0;
    TokenPrice price;
};

// A model's price. Vendors that charge more for long prompts charge it for every token of such a
// request, not only for those beyond the mark.
struct Price : TokenPrice {
    std::vector<LongPromptPrice> long_prompts;  // by above_input_tokens, ascending
    std::int64_t input_tokens_max = 0;          // of longer prompts it is unknown; 0 = of none

    // The price of every token of a request; of one that is longer than known, the last known.
    const TokenPrice& of(std::int64_t input_tokens) const;
    bool known_for(std::int64_t input_tokens) const {
        return input_tokens_max == 0 || input_tokens <= input_tokens_max;
    }
};

// Exact. Saturates where the sum would pass int64.
Money cost_of(const Usage& usage, const Price& price);

// Estimates of a prompt's tokens can be short by this much: what must not be too low takes the
// price of a prompt that is longer by it.
constexpr std::int64_t longer_than_estimated(std::int64_t input_tokens) {
    return input_tokens + input_tokens / 4;
}

// The most a request may cost: no cache, and the price of a prompt longer than estimated.
Money cost_at_most(std::int64_t input_tokens, std::int64_t output_tokens, const Price& price);

}  // namespace sluice
