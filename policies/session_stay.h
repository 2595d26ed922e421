// What a conversation's cached prompt is worth in dollars, and whether it stays where it is cached:
// only where a change saves more than it loses. Money is pico-dollars. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "policies/policy.h"
#include "policies/route.h"

namespace sluice {

// What its answer here is expected to use; of the prompt so many tokens are read from a cache.
Usage expected_usage(const Scoring& scoring, const RouteInput& input, std::size_t tier,
                     const UpstreamView& view, const std::optional<std::int64_t>& cap,
                     std::int64_t cached);

// The session's tokens that this request reads again.
std::int64_t cached_prefix(const RouteInput& input);

// What it costs the embedded engine to work out a prefix: the machine's time, which its price per
// output token does not show. 0 for others, and where the speed is not known.
Money compute_cost(const UpstreamView& view, std::int64_t tokens);

// What coming back to this upstream would cost once its cache is gone, beyond reading from it.
Money cache_loss(const UpstreamView& view, std::int64_t prefix, std::int64_t input_tokens);

struct TierView {
    const PolicyTier* tier = nullptr;
    const UpstreamView* view = nullptr;
};

struct SessionStay {
    bool stays = false;
    Money saved;  // by this request elsewhere, without what it reads anew there
    Money lost;   // read anew there, written anew here on coming back, and the policy's switch_usd
    TierView own, other;
    // "stays with far (frontier): moving to open-a (open) would save $0.0100 and lose $0.0500"
    std::string text() const;
};

// `own` is where the session was answered last, `other` where the request would go by itself.
SessionStay session_stay(const Policy& policy, const RouteInput& input,
                         const std::optional<std::int64_t>& cap, TierView own, TierView other);

}  // namespace sluice
