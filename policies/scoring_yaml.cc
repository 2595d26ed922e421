// `scoring`: what an answer is worth, and what is known of each tier.
#include <algorithm>

#include "policies/policy_reading.h"

namespace sluice {
namespace {

constexpr std::size_t values_max = 100;

void read_number(Cursor& map, const char* key, double low, double high, double& out) {
    if (auto at = map.find(key)) out = at->number(low, high).value_or(out);
}

void read_values(PolicyReading& reading, Cursor& list, Scoring& scoring) {
    auto items = list.items();
    if (items.size() > values_max)
        return list.fault("expected at most " + std::to_string(values_max) + " values");
    for (Cursor& item : items) {
        if (!item.expect_map()) continue;
        Scoring::For& one = scoring.values.emplace_back();
        if (auto when = item.need("when")) one.match = read_match(reading, *when);
        read_usd(item.need("usd"), one.value);
        item.close();
    }
}

void read_tier(Cursor& at, Scoring::Tier& tier) {
    if (!at.expect_map()) return;
    read_number(at, "strength", 0, 1, tier.strength);
    read_number(at, "first_token_s", 0, 600, tier.first_token_s);
    read_number(at, "token_s", 0, 10, tier.token_s);
    read_number(at, "output_factor", 0.01, 100, tier.output_factor);
    at.close();
}

}  // namespace

void read_usd(std::optional<Cursor> at, Money& out) {
    if (!at) return;
    auto text = at->text();
    if (!text) return;
    auto usd = parse_usd(*text);
    if (usd)
        out = *usd;
    else
        at->fault(usd.error().message);
}

void spread_strengths(Policy& policy) {
    auto& tiers = policy.scoring.tiers;
    std::size_t from = tiers.size();
    tiers.resize(policy.tiers.size());
    for (std::size_t i = from; i < tiers.size(); ++i)
        if (tiers.size() > 1)
            tiers[i].strength = static_cast<double>(i) / static_cast<double>(tiers.size() - 1);
}

void read_scoring(PolicyReading& reading, Cursor& map) {
    Policy& policy = reading.policy;
    policy.scoring = Scoring();
    spread_strengths(policy);
    if (!map.expect_map()) return;
    Scoring& scoring = policy.scoring;
    if (auto mode = map.need("mode"))
        scoring.by_value = mode->one_of({"bands", "value"}) == "value";
    auto value = scoring.by_value ? map.need("value_usd") : map.find("value_usd");
    read_usd(value, scoring.value);
    read_usd(map.find("second_usd"), scoring.per_second);
    read_usd(map.find("switch_usd"), scoring.switch_cost);
    if (auto values = map.find("values")) read_values(reading, *values, scoring);
    if (auto tiers = map.find("tiers"))
        for (auto& [name, at] : tiers->pairs()) {
            const PolicyTier* tier = policy.tier(name);
            if (tier == nullptr)
                at.fault(unknown_name("tier", name, reading.tier_names()));
            else
                read_tier(at, scoring.tiers[static_cast<std::size_t>(tier - policy.tiers.data())]);
        }
    map.close();
}

}  // namespace sluice
