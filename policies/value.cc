#include "policies/value.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "policies/dollars.h"
#include "policies/session_stay.h"

namespace sluice {
namespace {

constexpr double output_tokens_unknown = 500;  // where the classifier does not say

Money times(Money money, double factor) {
    return Money{std::llround(static_cast<double>(money.pico_usd) * factor)};
}

}  // namespace

double p_ok(const Difficulty& difficulty, double strength) {
    double local = 1 - difficulty.score;
    return std::clamp(local + strength * (difficulty.ok_frontier - local), 0.0, 1.0);
}

double output_tokens(const Difficulty& difficulty, double strength) {
    double local = difficulty.expected_output_tokens;
    double frontier = difficulty.expected_output_tokens_frontier;
    if (local <= 0) return output_tokens_unknown;
    return frontier <= 0 ? local : local + strength * (frontier - local);
}

Money value_of(const Scoring& scoring, Facts& facts, double shift) {
    Money value = scoring.value;
    for (const Scoring::For& one : scoring.values)
        if (facts.hold(one.match)) {
            value = one.value;
            break;
        }
    return shift == 0 ? value : times(value, value_factor(shift));
}

TierWorth worth_of(const Scoring& scoring, const RouteInput& input, std::size_t tier,
                   const UpstreamView& view, Money value, const std::optional<std::int64_t>& cap) {
    const Scoring::Tier& figures = scoring.tiers[tier];
    const Upstream& upstream = *view.upstream;
    bool same =
        input.session.upstream != 0 && input.session.upstream == upstream_mark(upstream.name);
    Usage usage = expected_usage(scoring, input, tier, view, cap, same ? cached_prefix(input) : 0);
    TierWorth worth;
    worth.upstream = &upstream;
    worth.p_ok = p_ok(input.difficulty, figures.strength);
    worth.cost = cost_of(usage, upstream.price);
    double first = view.first_token_s > 0 ? view.first_token_s : figures.first_token_s;
    double each = view.token_s > 0 ? view.token_s : figures.token_s;
    worth.seconds = first + view.prompt_token_s * static_cast<double>(usage.in_uncached) +
                    each * static_cast<double>(usage.out_text);
    worth.worth = times(value, worth.p_ok);
    worth.worth += Money{-worth.cost.pico_usd};
    worth.worth += times(scoring.per_second, -worth.seconds);
    if (same) worth.leaving = cache_loss(view, usage.in_cache_read, input.input_tokens);
    return worth;
}

void put_in_order(TierOrder& order, const Scoring& scoring, const RouteInput& input) {
    auto begin = order.tiers.begin(), end = begin + static_cast<std::ptrdiff_t>(order.count);
    // Of equal ones the cheaper tier first, as the tiers are: each is put behind its betters.
    for (auto next = begin; next != end; ++next) {
        auto better = [&](const TierWorth& one) {
            if (one.upstream == nullptr || next->upstream == nullptr)
                return next->upstream == nullptr;
            return one.worth >= next->worth;
        };
        std::rotate(std::find_if_not(begin, next, better), next, next + 1);
    }
    if (input.session.upstream == 0) return;
    auto own = std::find_if(begin, end, [&](const TierWorth& one) {
        return one.upstream != nullptr &&
               upstream_mark(one.upstream->name) == input.session.upstream;
    });
    if (own == end || own == begin) return;
    Money gain = begin->worth + Money{-own->worth.pico_usd};
    if (gain > scoring.switch_cost + own->leaving) return;
    order.kept = true;
    std::rotate(begin, own, own + 1);
}

std::string worth_text(const TierWorth& worth) {
    if (worth.upstream == nullptr) return worth.tier->name + " cannot take it";
    char figures[64];
    std::snprintf(figures, sizeof figures, " (p %.2f, ", worth.p_ok);
    std::string out = worth.tier->name + " is worth $" + short_usd(worth.worth.pico_usd) + figures;
    std::snprintf(figures, sizeof figures, ", %.1f s)", worth.seconds);
    return out + "$" + short_usd(worth.cost.pico_usd) + figures;
}

}  // namespace sluice
