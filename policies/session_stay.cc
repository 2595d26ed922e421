#include "policies/session_stay.h"

#include <algorithm>
#include <cmath>

#include "policies/dollars.h"
#include "policies/value.h"

namespace sluice {
namespace {

// Saturates, as a price of any size may meet any prompt.
Money tokens_at(std::int64_t tokens, std::int64_t pico_each) {
    __int128 product = static_cast<__int128>(tokens) * pico_each;
    return Money{static_cast<std::int64_t>(std::min<__int128>(product, INT64_MAX))};
}

Money less(Money a, Money b) { return a + Money{-b.pico_usd}; }

}  // namespace

Usage expected_usage(const Scoring& scoring, const RouteInput& input, std::size_t tier,
                     const UpstreamView& view, const std::optional<std::int64_t>& cap,
                     std::int64_t cached) {
    const Scoring::Tier& figures = scoring.tiers[tier];
    double expected = output_tokens(input.difficulty, figures.strength);
    auto output = static_cast<std::int64_t>(expected * figures.output_factor);
    Usage usage;
    usage.in_cache_read = std::min(cached, prompt_tokens(input, view));
    usage.in_uncached = prompt_tokens(input, view) - usage.in_cache_read;
    usage.out_text = std::min(output, output_tokens_assumed(input.request, *view.upstream, cap));
    return usage;
}

std::int64_t cached_prefix(const RouteInput& input) {
    return std::min(input.session.prefix_tokens, input.input_tokens);
}

Money compute_cost(const UpstreamView& view, std::int64_t tokens) {
    double hours = view.prompt_token_s * static_cast<double>(tokens) / 3'600;
    double pico = static_cast<double>(view.upstream->machine_hour.pico_usd) * hours;
    return Money{pico < 9e18 ? std::llround(pico) : INT64_MAX};
}

Money cache_loss(const UpstreamView& view, std::int64_t prefix, std::int64_t input_tokens) {
    const TokenPrice& price = view.upstream->price.of(input_tokens);
    std::int64_t anew = std::max(price.cache_write, price.input);
    Money loss = tokens_at(prefix, std::max<std::int64_t>(anew - price.cache_read, 0));
    return loss + compute_cost(view, prefix);
}

SessionStay session_stay(const Policy& policy, const RouteInput& input,
                         const std::optional<std::int64_t>& cap, TierView own, TierView other) {
    const std::int64_t prefix = cached_prefix(input);
    auto cost = [&](const TierView& at, std::int64_t cached) {
        auto tier = static_cast<std::size_t>(at.tier - policy.tiers.data());
        return cost_of(expected_usage(policy.scoring, input, tier, *at.view, cap, cached),
                       at.view->upstream->price);
    };
    const std::int64_t price_there = other.view->upstream->price.of(input.input_tokens).input;
    const Money read_anew = tokens_at(prefix, price_there);
    SessionStay stay;
    stay.own = own;
    stay.other = other;
    stay.saved = less(cost(own, prefix), less(cost(other, 0), read_anew));
    stay.lost = read_anew + compute_cost(*other.view, prefix) +
                cache_loss(*own.view, prefix, input.input_tokens) + policy.scoring.switch_cost;
    stay.stays = stay.saved <= stay.lost;
    return stay;
}

std::string SessionStay::text() const {
    auto at = [](const TierView& one) {
        return one.view->upstream->name + " (" + one.tier->name + ")";
    };
    std::string from = at(own), to = at(other);
    std::string said = stays ? "its session stays with " + from + ": moving to " + to + " would"
                             : "its session leaves " + from + ": moving to " + to + " would";
    return said + " save $" + short_usd(saved.pico_usd) + " and lose $" + short_usd(lost.pico_usd);
}

}  // namespace sluice
