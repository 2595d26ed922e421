// Token counters of one attempt, disjoint: every token a vendor bills is in exactly one of them.
// Each dialect's reader maps its vendor's overlapping fields into these and checks the sum.
#pragma once

#include <cstdint>

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
struct Price {
    std::int64_t input = 0;
    std::int64_t cache_read = 0;
    std::int64_t cache_write = 0;
    std::int64_t cache_write_1h = 0;
    std::int64_t output = 0;  // reasoning tokens are output at every vendor in the book
};

// Exact. Saturates where the sum would pass int64.
Money cost_of(const Usage& usage, const Price& price);

}  // namespace sluice
