#include "policies/explore.h"

#include <algorithm>

namespace sluice {

const PolicyTier* tier_across(const Policy& policy, const DifficultyBand& band, double score) {
    const LearningPolicy& learning = policy.learning;
    if (learning.explore_percent <= 0) return nullptr;
    double below = &band == &policy.bands.front() ? 2 : score - (&band - 1)->below;
    double above = &band == &policy.bands.back() ? 2 : band.below - score;
    if (std::min(below, above) > learning.explore_band) return nullptr;
    const DifficultyBand& other = below < above ? *(&band - 1) : *(&band + 1);
    return other.tier == band.tier ? nullptr : policy.tier(other.tier);
}

const PolicyTier* second_near(const Policy& policy, const TierOrder& order) {
    const LearningPolicy& learning = policy.learning;
    if (learning.explore_percent <= 0 || order.count < 2) return nullptr;
    const TierWorth &best = order.tiers[0], &second = order.tiers[1];
    if (second.upstream == nullptr) return nullptr;
    auto apart =
        static_cast<double>(best.worth.pico_usd) - static_cast<double>(second.worth.pico_usd);
    bool near = apart <= learning.explore_band * static_cast<double>(order.value.pico_usd);
    return near ? second.tier : nullptr;
}

}  // namespace sluice
