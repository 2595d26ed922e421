#include "policies/golden/gate.h"

#include <algorithm>
#include <map>

namespace sluice {
namespace {

Error refused(const std::string& why) { return Error(Errc::bad_config, why); }

std::string percent(double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", share * 100);
    return text;
}

std::size_t measured(const Scores& scores) {
    return static_cast<std::size_t>(std::count_if(scores.begin(), scores.end(),
                                                  [](const auto& one) { return one.has_value(); }));
}

// `known`: how many cases were measured before.
Status judged(const std::string& what, std::size_t known, const Scores& before, const Scores& now,
              double tolerance) {
    Comparison found = compare_scores(before, now, tolerance);
    if (2 * static_cast<std::size_t>(found.pairs) < known)
        return refused("whether " + what + " loses cannot be told: of " + std::to_string(known) +
                       " cases that were measured before only " + std::to_string(found.pairs) +
                       " were measured again as they were (id, prompt, defaults and score)");
    if (found.pairs == 0 || found.verdict != Verdict::loses) return Done{};
    char p[32];
    std::snprintf(p, sizeof p, "%.3g", found.p);
    return refused(what + " loses " + percent(-found.difference) + " against the version before (" +
                   std::to_string(found.lost) + " cases worse, " + std::to_string(found.won) +
                   " better, of " + std::to_string(found.pairs) + "; p " + p + "), more than the " +
                   percent(tolerance) + " tolerated");
}

std::vector<std::string> routes_of(const GoldenResult& result) {
    std::vector<std::string> out;
    for (const MeasuredCase& one : result.cases) out.push_back(one.routed);
    return out;
}

// Those that aligned() finds again where nothing has changed.
std::size_t comparable(const GoldenResult& of, const Scores& scores) {
    return measured(aligned(of, of, scores));
}

}  // namespace

Status fresh_enough(const GateCandidate& candidate, const GoldenResult& result) {
    if (result.golden_sha256 != candidate.set.sha256)
        return refused("the saved result was measured with another version of " +
                       candidate.set.file);
    for (const ConfiguredTier& wanted : candidate.tiers) {
        const MeasuredTier* got = result.tier(wanted.tier);
        if (got == nullptr)
            return refused("the saved result has nothing of tier '" + wanted.tier + "'");
        if (got->identity != wanted.identity)
            return refused("the saved result of tier '" + wanted.tier +
                           "' is stale: measured was " + got->identity + ", configured is " +
                           wanted.identity);
        if (result.cases.size() != candidate.set.cases.size() ||
            got->scores.size() != result.cases.size())
            return refused("the saved result of tier '" + wanted.tier + "' is not of all cases");
        if (!got->errors.empty())
            return refused("the saved result of tier '" + wanted.tier +
                           "' is not whole: answers failed (" + got->errors.begin()->first + ")");
    }
    const std::size_t known = measured(routed_scores(result, candidate.routed));
    if (2 * known < result.cases.size())
        return refused("the saved result has a score for only " + std::to_string(known) + " of " +
                       std::to_string(result.cases.size()) + " cases where this policy sends them");
    return Done{};
}

Scores aligned(const GoldenResult& as, const GoldenResult& of, const Scores& scores) {
    std::map<std::pair<std::string, std::string>, std::size_t> places;
    for (std::size_t i = 0; i < of.cases.size(); ++i)
        if (of.cases[i].scorer != "judge_compare") places[{of.cases[i].id, of.cases[i].digest}] = i;
    Scores out;
    for (const MeasuredCase& one : as.cases) {
        auto place = places.find({one.id, one.digest});
        bool has = place != places.end() && place->second < scores.size();
        out.push_back(has ? scores[place->second] : std::nullopt);
    }
    return out;
}

Scores routed_scores(const GoldenResult& result, const std::vector<std::string>& routed) {
    Scores out;
    for (std::size_t i = 0; i < result.cases.size() && i < routed.size(); ++i) {
        const MeasuredTier* tier = result.tier(routed[i]);
        if (routed[i].empty())
            out.emplace_back(0.0);
        else
            out.push_back(tier == nullptr ? std::nullopt : tier->scores[i]);
    }
    return out;
}

Status good_enough(const GateCandidate& candidate, const GoldenResult& result,
                   const GoldenResult& before) {
    for (const ConfiguredTier& configured : candidate.tiers) {
        const MeasuredTier* was = before.tier(configured.tier);
        const MeasuredTier* now = result.tier(configured.tier);
        if (was == nullptr || now == nullptr) continue;
        Scores then = aligned(result, before, was->scores);
        Status held = judged("tier '" + configured.tier + "'", comparable(before, was->scores),
                             then, now->scores, candidate.tolerance);
        if (!held) return held;
    }
    const Scores whole = routed_scores(before, routes_of(before));
    return judged("the policy as a whole", comparable(before, whole),
                  aligned(result, before, whole), routed_scores(result, candidate.routed),
                  candidate.tolerance);
}

}  // namespace sluice
