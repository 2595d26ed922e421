// Where a route goes, while it is being chosen. Part of policies/route.cc. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "policies/policy.h"

namespace sluice {

constexpr std::size_t choice_tiers_max = 32;

// Tiers in the order in which they are tried.
struct Choice {
    std::array<const PolicyTier*, choice_tiers_max> tiers{};
    std::size_t count = 0;
    std::string_view upstream;            // before the others of its tier
    std::size_t upstream_at = 0;          // which tier that is
    bool alone = false;                   // nothing of it but this upstream
    bool by_value = false;                // then the tiers are put in order by it
    bool by_band = false;                 // the policy's own choice, by difficulty
    bool stayed = false;                  // with the session's upstream
    double shift = 0;                     // for the day's pace
    const PolicyTier* across = nullptr;   // the other side of a threshold that is near
    const PolicyTier* instead = nullptr;  // explored: the one of the two that was not chosen
    const RuleEffects* effects = nullptr;
    std::string rule_name;
    std::string where;  // " allowed by rule 'x'", where that narrows the route
    std::string reason;

    void then(const PolicyTier* tier) {
        auto end = tiers.begin() + static_cast<std::ptrdiff_t>(count);
        if (tier != nullptr && std::find(tiers.begin(), end, tier) == end) tiers[count++] = tier;
    }
    // The dearer ones after it, then the cheaper ones, nearest first.
    void then_others(const Policy& policy) {
        if (count == 0) return;
        const PolicyTier* first = policy.tiers.data();
        const PolicyTier* chosen = tiers[0];
        for (const PolicyTier* next = chosen + 1; next != first + policy.tiers.size(); ++next)
            then(next);
        for (const PolicyTier* before = chosen; before != first;) then(--before);
    }
    void begin_with(const PolicyTier* tier) {
        auto end = tiers.begin() + static_cast<std::ptrdiff_t>(count);
        auto found = std::find(tiers.begin(), end, tier);
        if (found == end) found = tiers.begin() + static_cast<std::ptrdiff_t>(count++);
        *found = tier;
        std::rotate(tiers.begin(), found, found + 1);
        if (found != tiers.begin()) {
            upstream_at = 1;
            return;
        }
        upstream = {};
        alone = false;
    }
};

}  // namespace sluice
