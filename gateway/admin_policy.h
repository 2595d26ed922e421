// GET /admin/policy: what decides at the moment, and how the money stands, as one JSON object. For
// administrators' keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/fleet.h"

namespace sluice {

class DayPace;

// {"live":{"version","owner","file"},"rolled_back":{"from","by","why","at"}|null,
//  "candidate":{"version","owner","file","what"}|null,
//  "pace":{"shift","forecast_ratio"}|null,
//  "damaged":["damaged: FILE:...", ...],    of the kept versions and their notes
//  "budgets":[{"scope","limit_usd","spent_usd","held_usd","resets"}]}
std::string admin_policy_json(const Snapshot& snapshot, const DayPace& pace,
                              const std::vector<std::string>& damaged, std::int64_t unix_seconds);

}  // namespace sluice
