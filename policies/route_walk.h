// Walks the upstreams of a route in order and keeps those that can take the call. Part of
// policies/route.cc. Pure; lives for one decision.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/match.h"
#include "policies/route.h"

namespace sluice {

// Why an upstream was skipped. `absent`, `confined` and `down` say nothing about the request.
enum class Skip {
    none,
    absent,
    confined,
    down,
    tools,
    images,
    json_schema,
    price,
    window,
    cost,
    budget
};

class RouteWalk {
public:
    RouteWalk(const RouteInput& input, const Facts& facts, FleetHealth health,
              const RuleEffects* effects);

    // `first` is tried before the tier's others; with `alone` nothing else of it is.
    void tier(const PolicyTier& tier, std::string_view first, bool alone);
    void confined(const PolicyTier& tier, const std::string& by);
    // The upstream of a tier that would be tried first, an up one before those that are down.
    const UpstreamView* first_able(const PolicyTier& tier) const;
    // The one of this mark (upstream_mark) where it is up and can take the call.
    const UpstreamView* able_now(std::uint32_t mark) const;
    bool any() const { return !up_.empty() || !down_.empty(); }
    bool short_of_money() const;  // one was skipped for what the budgets have left

    // When all that could take the call are down, trying them is better than refusing.
    void move_into(Route& route);
    // The one reason that all enabled upstreams were skipped for, if it is one. `where` goes into
    // the sentence: " allowed by rule 'x'".
    Error nothing_left(const std::string& where) const;

private:
    struct Skipped {
        Skip why;
        std::string text;
    };
    void try_upstream(std::string_view name, const PolicyTier& tier);
    Skip refusal(const UpstreamView& view) const;
    std::string refusal_text(Skip why, const UpstreamView& view) const;
    std::int64_t window_needed(const UpstreamView& view) const;
    Money cost_ceiling(const Upstream& upstream) const;
    Attempt attempt(const Upstream& upstream, const PolicyTier& tier) const;
    void skip(Skip why, std::string_view name, std::string said);

    const RouteInput& input_;
    const Facts& facts_;
    FleetHealth health_;
    const RuleEffects* effects_;  // may be nullptr
    std::optional<std::int64_t> cap_;
    std::vector<Attempt> up_;
    std::vector<Attempt> down_;
    std::vector<Skipped> skipped_;
};

}  // namespace sluice
