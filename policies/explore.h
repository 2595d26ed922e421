// What is near enough to a threshold that the other side may be tried. Part of policies/route.cc,
// which holds when it may. Pure.
#pragma once

#include "policies/policy.h"
#include "policies/value.h"

namespace sluice {

// The tier on the other side of the nearer of a band's bounds; nullptr where none is near, or the
// policy tries nothing.
const PolicyTier* tier_across(const Policy& policy, const DifficultyBand& band, double score);

// By value: the second best, where it is worth nearly as much as the best.
const PolicyTier* second_near(const Policy& policy, const TierOrder& order);

}  // namespace sluice
