// What a replay adds up, before it is reported: how tiers answer, sums by tier and team, and who
// moves. Part of policies/replay.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "policies/replay.h"

namespace sluice {

constexpr std::size_t replay_buckets = 200;  // clusters are put into these, which are resampled

// How a tier answers, over the record.
struct TierHabits {
    static constexpr std::int64_t answers_min = 30;  // before their mean is used

    double output_ratio = 0;  // sum of output over expected
    std::int64_t rated = 0;
    double first_s = 0, token_s = 0;
    std::int64_t streams = 0;
    double whole_s = 0;
    std::int64_t whole = 0, whole_tokens = 0;

    void see(const RecordedRequest& one, std::int64_t expected) {
        if (expected > 0) {
            output_ratio += static_cast<double>(one.usage.output()) / static_cast<double>(expected);
            ++rated;
        }
        double took = static_cast<double>(one.duration_us) * 1e-6;
        double first = static_cast<double>(one.first_token_us) * 1e-6;
        if (one.usage.output() > 1 && first > 0 && first < took) {
            first_s += first;
            token_s += (took - first) / static_cast<double>(one.usage.output() - 1);
            ++streams;
        }
        whole_s += took;
        whole_tokens += one.usage.output();
        ++whole;
    }
    double ratio() const {
        return rated >= answers_min ? output_ratio / static_cast<double>(rated) : 0;
    }
    // Of an answer of that many tokens; 0 = nobody knows.
    double seconds(std::int64_t tokens) const {
        if (streams >= answers_min)
            return (first_s + token_s * static_cast<double>(tokens)) / static_cast<double>(streams);
        if (whole >= answers_min && whole_tokens > 0)
            return whole_s / static_cast<double>(whole_tokens) * static_cast<double>(tokens);
        return 0;
    }
};

using Buckets = std::array<PicoSum, replay_buckets>;

struct Tally {
    std::int64_t recorded_requests = 0, new_requests = 0;
    PicoSum recorded = 0, would = 0;
    Buckets change{};
};

inline Interval interval_of(const Buckets& change) {
    constexpr int resamples = 1'000;
    std::mt19937 random(1);  // the same figures for the same record
    std::vector<PicoSum> sums;
    for (int i = 0; i < resamples; ++i) {
        PicoSum sum = 0;
        for (std::size_t b = 0; b < replay_buckets; ++b) sum += change[random() % replay_buckets];
        sums.push_back(sum);
    }
    std::sort(sums.begin(), sums.end());
    return {sums[resamples * 25 / 1'000], sums[resamples * 975 / 1'000]};
}

inline ReplayLine line_of(const std::string& name, const Tally& tally) {
    ReplayLine line;
    line.name = name;
    line.recorded_requests = tally.recorded_requests;
    line.new_requests = tally.new_requests;
    line.recorded = tally.recorded;
    line.would = tally.would;
    line.change = interval_of(tally.change);
    return line;
}

// A move while it is summed up; its movers by the indices of team and rule.
struct MoveSum {
    ReplayMove move;
    std::map<std::pair<std::uint32_t, std::uint32_t>, ReplayMover> by;

    void add(std::uint32_t team, std::uint32_t rule, PicoSum change) {
        ReplayMover& mover = by[{team, rule}];
        ++mover.requests;
        mover.change += change;
        ++move.requests;
        move.change += change;
    }
};

// The most requests first; what is beyond movers_max becomes one.
inline void order_movers(ReplayMove& move) {
    std::stable_sort(
        move.movers.begin(), move.movers.end(),
        [](const ReplayMover& a, const ReplayMover& b) { return a.requests > b.requests; });
    if (move.movers.size() <= movers_max) return;
    ReplayMover rest;
    for (std::size_t i = movers_max; i < move.movers.size(); ++i) {
        rest.requests += move.movers[i].requests;
        rest.change += move.movers[i].change;
    }
    move.others = static_cast<std::int64_t>(move.movers.size() - movers_max);
    move.movers.resize(movers_max);
    move.movers.push_back(std::move(rest));
}

}  // namespace sluice
