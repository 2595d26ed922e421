// Tiers compared by what they are worth to whoever asks:
//   value of a right answer x p(ok) - expected dollars - price of a second x expected seconds
// Money is pico-dollars; probabilities and seconds are the classifier's and the policy's figures.
// Pure. Lives for one decision.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policies/match.h"
#include "policies/policy.h"
#include "policies/route.h"

namespace sluice {

// The probability that a tier answers rightly, and its answer's tokens. The classifier gives both
// for the local tier and the frontier: `strength` is 0 for the one and 1 for the other, between
// them the figures go straight. The one place that reads what the classifier says of tiers.
double p_ok(const Difficulty& difficulty, double strength);
double output_tokens(const Difficulty& difficulty, double strength);

struct TierOrder {
    std::array<TierWorth, 32> tiers;  // the best first; those without an upstream last
    std::size_t count = 0;
    Money value;        // of a right answer to this request
    bool kept = false;  // the session's tier is first although another is worth more
};

// `able(tier)` gives the upstream of a tier that would be tried first, or nullptr.
template <class Able>
TierOrder order_by_value(const Policy& policy, const RouteInput& input, Facts& facts,
                         const std::optional<std::int64_t>& cap, double shift, Able able);

// The parts of it that do not depend on `able`.
Money value_of(const Scoring& scoring, Facts& facts, double shift);
TierWorth worth_of(const Scoring& scoring, const RouteInput& input, std::size_t tier,
                   const UpstreamView& view, Money value, const std::optional<std::int64_t>& cap);
void put_in_order(TierOrder& order, const Scoring& scoring, const RouteInput& input);

template <class Able>
TierOrder order_by_value(const Policy& policy, const RouteInput& input, Facts& facts,
                         const std::optional<std::int64_t>& cap, double shift, Able able) {
    TierOrder order;
    order.value = value_of(policy.scoring, facts, shift);
    for (std::size_t i = 0; i < policy.tiers.size(); ++i) {
        TierWorth& worth = order.tiers[order.count++];
        if (const UpstreamView* view = able(policy.tiers[i]); view != nullptr)
            worth = worth_of(policy.scoring, input, i, *view, order.value, cap);
        worth.tier = &policy.tiers[i];
    }
    put_in_order(order, policy.scoring, input);
    return order;
}

// "local is worth $0.0031 (p 0.78, $0.00, 1.2 s)"
std::string worth_text(const TierWorth& worth);

}  // namespace sluice
