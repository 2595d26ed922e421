// Keeping a day's spend, or the share of the dear tiers, near what the policy wants: the thresholds
// between tiers move a little with every batch of requests. Pure: state and what was seen in, state
// out; the gateway keeps one state, `replay` and `simulate` run their own.
//
// `shift` is one number for both ways of deciding. Above 0 the dear tiers are held back: a request
// of difficulty d counts as (d - shift) / (1 - shift) against the bands, so a threshold t stands at
// t + shift (1 - t); by value a right answer counts for (1 - shift) of its worth. Below 0 they are
// let in: d / (1 + shift), and the worth / (1 + shift). Order is kept either way, and since shift
// stays below 1 the hardest requests go where they did.
//
// How far it moves: what a request has cost of late, against what the rest of the day may still
// cost over the requests that are still expected, by the hours of the days before. A target, not a
// limit: what must not be passed is a budget of the configuration.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "providers/money.h"

namespace sluice {

struct Policy;

// The policy's section `pace`.
struct Pace {
    Money spend_per_day;        // wanted; 0 where a share is
    double share = 0;           // at most, of requests that `tier` or a dearer one answers
    std::string tier;           // "" where spend is wanted
    double raise_max = 0.9;     // shift stays from -lower_max
    double lower_max = 0;       //   to raise_max
    std::int64_t offset_s = 0;  // of its days, from UTC
    bool operator==(const Pace&) const = default;
    bool active() const { return share > 0 || spend_per_day.pico_usd > 0; }
};

// What was settled since the last step. `units` are pico-dollars, or requests of the dear tiers.
struct PaceSeen {
    std::int64_t requests = 0;
    std::int64_t units = 0;
};

struct PaceState {
    double shift = 0;
    std::int64_t day = -1;
    double first_share = 0;          // of its first day that was over when it began
    double requests = 0, units = 0;  // of the day
    double recent = -1;              // units a request, of late; -1 = none yet
    double forecast = 0;             // of the day's units over those wanted; 0 = none yet
    std::array<double, 24> hours{};  // requests of the day, by hour
    std::array<double, 24> usual{};  // of the days before, the last ones weigh most
};

// Units of an answered request: its cost, or whether that tier counts.
std::int64_t pace_units(const Policy& policy, std::string_view tier, Money cost);

// One step: at most every second or so; nothing moves where nothing was seen.
void step(PaceState& state, const Pace& pace, std::int64_t unix_seconds, const PaceSeen& seen);

double shifted_difficulty(double difficulty, double shift);
double value_factor(double shift);
double clamped_shift(const Pace& pace, double shift);

}  // namespace sluice
