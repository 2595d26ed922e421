#include "policies/pace.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "policies/policy.h"

namespace sluice {
namespace {

constexpr std::int64_t day_s = 86'400;
constexpr double gain = 0.15;          // shift for one memory's worth of requests and e = 1
constexpr double memories_a_day = 40;  // how often a day what is recent is renewed
constexpr double memory_min = 10;      // requests
constexpr double memory_max = 300;
constexpr double usual_share_new = 0.3;       // of yesterday in what is usual
constexpr double rest_share_min = 0.02;       // of a day's requests: the last ones change nothing
constexpr double whole_day_share_max = 0.02;  // of a day that may be missing at its beginning
constexpr double certainty_requests = 20;     // a day's first ones say little about its level

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

double sum(const std::array<double, 24>& hours) {
    return std::accumulate(hours.begin(), hours.end(), 0.0);
}

void begin_day(PaceState& state, std::int64_t day, double share) {
    bool whole = state.day >= 0 && state.first_share < whole_day_share_max;
    if (whole && state.requests > 0) {
        double part = sum(state.usual) > 0 ? usual_share_new : 1;
        for (std::size_t h = 0; h < 24; ++h)
            state.usual[h] += (state.hours[h] - state.usual[h]) * part;
    }
    state.first_share = state.day < 0 ? share : 0;
    state.day = day;
    state.requests = state.units = 0;
    state.hours = {};
}

// Requests that are still to come today.
double expected_rest(const PaceState& state, double share) {
    double usual = sum(state.usual);
    if (usual <= 0) {  // nothing is known: as fast as until now
        double over = std::max(share - state.first_share, 1e-3);
        return state.requests / over * (1 - share);
    }
    double done = 0;
    for (std::size_t h = 0; h < 24; ++h) {
        double part = share * 24 - static_cast<double>(h);
        done += state.usual[h] * std::clamp(part, 0.0, 1.0);
    }
    double sure = certainty_requests + usual * 0.05;
    double level = (state.requests + sure) / (done + sure);
    return std::max(usual - done, 0.0) * level;
}

}  // namespace

double clamped_shift(const Pace& pace, double shift) {
    return std::clamp(shift, -pace.lower_max, pace.raise_max);
}

double shifted_difficulty(double difficulty, double shift) {
    if (shift == 0) return difficulty;
    return shift > 0 ? (difficulty - shift) / (1 - shift) : std::min(difficulty / (1 + shift), 1.0);
}

double value_factor(double shift) { return shift >= 0 ? 1 - shift : 1 / (1 + shift); }

std::int64_t pace_units(const Policy& policy, std::string_view tier, Money cost) {
    if (policy.pace.tier.empty()) return cost.pico_usd;
    const PolicyTier* from = policy.tier(policy.pace.tier);
    const PolicyTier* answered = policy.tier(tier);
    return from != nullptr && answered != nullptr && answered >= from ? 1 : 0;
}

void step(PaceState& state, const Pace& pace, std::int64_t unix_seconds, const PaceSeen& seen) {
    std::int64_t local = unix_seconds + pace.offset_s;
    std::int64_t day = floor_div(local, day_s);
    std::int64_t second = local - day * day_s;
    double share = static_cast<double>(second) / static_cast<double>(day_s);
    if (day != state.day) begin_day(state, day, share);
    if (!pace.active()) return;
    if (seen.requests <= 0) {  // what failed may have cost something, too
        state.units += static_cast<double>(seen.units);
        return;
    }
    auto n = static_cast<double>(seen.requests);
    state.requests += n;
    state.units += static_cast<double>(seen.units);
    state.hours[static_cast<std::size_t>(second / 3'600)] += n;

    double rest = expected_rest(state, share);
    double all = state.requests + rest;
    double memory = std::clamp(all / memories_a_day, memory_min, memory_max);
    double kept = std::exp(-n / memory);
    double mean = static_cast<double>(seen.units) / n;
    state.recent = state.recent < 0 ? mean : state.recent * kept + mean * (1 - kept);

    double wanted =
        pace.tier.empty() ? static_cast<double>(pace.spend_per_day.pico_usd) : pace.share * all;
    state.forecast = (state.units + state.recent * rest) / wanted;
    if (rest < all * rest_share_min || state.requests < memory_min) return;
    double allowed = std::max(wanted - state.units, 0.0) / rest;
    double least = wanted / all * 0.02;  // so that 0 has a logarithm
    double e = std::log((state.recent + least) / (allowed + least));
    double part = 1 - kept;
    state.shift = clamped_shift(pace, state.shift + gain * part * std::clamp(e, -1.0, 1.0));
}

}  // namespace sluice
