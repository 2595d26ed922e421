#include "policies/policy.h"

#include <algorithm>

namespace sluice {

const PolicyTier* Policy::tier(std::string_view name) const {
    for (const PolicyTier& one : tiers)
        if (one.name == name) return &one;
    return nullptr;
}

const PolicyTier* Policy::tier_of(std::string_view upstream) const {
    for (const PolicyTier& one : tiers)
        if (std::find(one.upstreams.begin(), one.upstreams.end(), upstream) != one.upstreams.end())
            return &one;
    return nullptr;
}

const DifficultyBand* Policy::band(double difficulty) const {
    for (const DifficultyBand& one : bands)
        if (difficulty < one.below) return &one;
    return nullptr;
}

}  // namespace sluice
