// `pace`: what a day may cost or send to the dear tiers, and how far thresholds move for it.
#include "policies/policy_reading.h"

namespace sluice {
namespace {

void read_spend(Cursor& at, Pace& pace) {
    auto text = at.text();
    if (!text) return;
    auto usd = parse_usd(*text);
    if (!usd)
        at.fault(usd.error().message);
    else if (usd->pico_usd == 0)
        at.fault("expected more than 0");
    else
        pace.spend_per_day = *usd;
}

void read_share(PolicyReading& reading, Cursor& map, Pace& pace) {
    auto pairs = map.pairs();
    if (map.is_map() && pairs.size() != 1)
        map.fault("expected one tier: dearer ones count with it");
    for (auto& [name, at] : pairs) {
        const PolicyTier* tier = reading.policy.tier(name);
        if (tier == nullptr)
            at.fault(unknown_name("tier", name, reading.tier_names()));
        else if (tier == reading.policy.tiers.data())
            at.fault("'" + name +
                     "' is the cheapest tier: name a dearer one, whose share may be held");
        pace.tier = name;
        pace.share = at.number(0.0001, 0.9999).value_or(0.5);
    }
}

}  // namespace

void read_pace(PolicyReading& reading, Cursor& map) {
    Pace& pace = reading.policy.pace = Pace();
    pace.offset_s = reading.offset_minutes * 60;
    if (!map.expect_map()) return;
    auto spend = map.find("spend_usd_per_day");
    if (spend) read_spend(*spend, pace);
    auto share = map.find("tier_share");
    if (share) read_share(reading, *share, pace);
    if (spend.has_value() == share.has_value())
        map.fault("expected either spend_usd_per_day or tier_share");
    if (auto at = map.find("raise_max")) pace.raise_max = at->number(0, 0.95).value_or(0.9);
    if (auto at = map.find("lower_max")) pace.lower_max = at->number(0, 0.95).value_or(0);
    map.close();
}

}  // namespace sluice
