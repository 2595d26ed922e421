// `rules`, `confine` and the effects that a decision has besides where it sends a request.
#include <algorithm>

#include "policies/policy_reading.h"
#include "policies/rule_union.h"

namespace sluice {
namespace {

constexpr std::size_t rules_max = 1'000;
constexpr std::size_t confine_max = 100;

void read_name(PolicyReading& reading, Cursor& at, PolicyRule& rule) {
    rule.name = at.text().value_or("");
    if (rule.name.empty()) return;
    if (!printable(rule.name))
        at.fault("a rule's name is printable ASCII, at most 128 bytes: it is sent in a header");
    if (rule.name == "default" || rule.name.starts_with("model:"))
        at.fault("'" + rule.name + "' is how reports name decisions that no rule made");
    if (rule.name.ends_with(" (canary)"))
        at.fault("'(canary)' is how reports name a rule's canary");
    for (const PolicyRule& other : reading.rules)
        if (other.name == rule.name)
            at.fault("rule '" + rule.name + "' is already on line " + std::to_string(other.line));
}

std::vector<std::string> read_order(PolicyReading& reading, Cursor& list) {
    std::vector<std::string> order;
    auto items = list.items();
    if (list.is_list() && items.empty()) list.fault("expected at least one tier");
    for (Cursor& item : items) {
        std::string tier = reading.tier_name(item);
        if (tier.empty()) continue;
        if (std::find(order.begin(), order.end(), tier) != order.end())
            item.fault("tier '" + tier + "' is already in this order");
        else
            order.push_back(std::move(tier));
    }
    return order;
}

// Where to: exactly one of four. False where there is none to fall back from.
void read_destination(PolicyReading& reading, Cursor& item, PolicyRule& rule) {
    int destinations = 0;
    if (auto use = item.find("use")) {
        ++destinations;
        rule.decide = use->is_scalar() && use->text() == "auto";
        if (!rule.decide) rule.tier = reading.tier_name(*use);
    }
    if (auto order = item.find("order")) {
        ++destinations;
        rule.order = read_order(reading, *order);
    }
    if (auto upstream = item.find("upstream")) {
        ++destinations;
        rule.upstream = reading.upstream_name(*upstream);
    }
    if (auto refuse = item.find("refuse")) {
        ++destinations;
        rule.refuse = refuse->text().value_or("");
    }
    if (destinations != 1)
        item.fault(
            "expected exactly one of 'use' (a tier, or auto), 'order' (tiers), 'upstream' and "
            "'refuse', got " +
            std::to_string(destinations));
}

void read_unavailable(Cursor& item, PolicyRule& rule) {
    auto at = item.find("on_unavailable");
    if (!at) return;
    if (item.find("refuse"))
        at->fault("a rule that refuses has nothing to be unavailable");
    else if (item.find("order"))
        at->fault("'order' says already what comes next: list the tiers that may follow");
    else if (rule.decide)
        at->fault("'use: auto' goes on as without a rule: name a tier to stay on it");
    else if (at->one_of({"next", "refuse"}) == "refuse")
        rule.on_unavailable = OnUnavailable::refuse;
}

void check_effects(Cursor& item, const PolicyRule& rule) {
    const RuleEffects& effects = rule.effects;
    bool none = !effects.max_tokens && effects.reasoning_effort.empty() && !effects.canary &&
                effects.shadow_percent == 0;
    if (rule.decide && none)
        item.fault(
            "does nothing: 'use: auto' needs max_tokens, reasoning_effort, canary or shadow");
    if (!rule.refuse.empty() && !none)
        item.fault("a rule that refuses has no answer: leave out its other effects");
    if (effects.canary && effects.canary->tier == rule.tier)
        item.fault("its canary goes where the rule goes already");
}

PolicyRule read_rule(PolicyReading& reading, Cursor& item) {
    PolicyRule rule;
    rule.file = reading.file;
    rule.line = item.line();
    if (auto name = item.need("name")) read_name(reading, *name, rule);
    if (auto owner = item.find("owner")) rule.owner = owner->text().value_or("");
    if (auto when = item.find("when")) rule.match = read_match(reading, *when);
    read_destination(reading, item, rule);
    read_unavailable(item, rule);
    rule.effects = read_effects(reading, item);
    if (auto locked = item.find("locked")) rule.locked = locked->boolean().value_or(false);
    check_effects(item, rule);
    item.close();
    return rule;
}

void read_effort(PolicyReading& reading, Cursor& at, RuleEffects& effects) {
    auto word = [](Cursor& one) {
        return one.one_of({"none", "minimal", "low", "medium", "high", "xhigh"}).value_or("");
    };
    if (!at.is_map()) {
        effects.reasoning_effort[""] = word(at);
        return;
    }
    auto pairs = at.pairs();
    if (pairs.empty()) at.fault("expected an effort, or a map of tiers to efforts");
    for (auto& [tier, effort] : pairs) {
        if (reading.policy.tier(tier) == nullptr)
            effort.fault(unknown_name("tier", tier, reading.tier_names()));
        effects.reasoning_effort[tier] = word(effort);
    }
}

void read_canary(PolicyReading& reading, Cursor& at, RuleEffects& effects) {
    if (!at.expect_map()) return;
    Canary& canary = effects.canary.emplace();
    if (auto percent = at.need("percent")) canary.percent = percent->number(0, 100).value_or(0);
    if (auto use = at.need("use")) canary.tier = reading.tier_name(*use);
    at.close();
}

}  // namespace

RuleEffects read_effects(PolicyReading& reading, Cursor& map) {
    RuleEffects effects;
    if (auto at = map.find("max_tokens")) effects.max_tokens = at->integer(1, 10'000'000);
    if (auto at = map.find("reasoning_effort")) read_effort(reading, *at, effects);
    if (auto at = map.find("canary")) read_canary(reading, *at, effects);
    if (auto at = map.find("shadow")) {
        effects.shadow_percent = at->number(0, 100).value_or(0);
        if (effects.shadow_percent > 0 && reading.policy.learning.judge.empty())
            at->fault(
                "nobody judges shadow answers: write learning: {shadow: {judge: UPSTREAM, "
                "usd_per_day: ...}}");
    }
    return effects;
}

void read_rules(PolicyReading& reading, Cursor& rules) {
    auto items = rules.items();
    if (items.size() > rules_max)
        rules.fault("expected at most " + std::to_string(rules_max) + " rules");
    for (Cursor& item : items) {
        if (!item.expect_map()) continue;
        std::size_t faults_before = reading.faults.size();
        PolicyRule rule = read_rule(reading, item);
        reading.sound.push_back(reading.faults.size() == faults_before);
        reading.places.push_back(item);
        reading.replaced.push_back(false);
        reading.rules.push_back(std::move(rule));
        if (reading.rules.size() > rules_max) break;
    }
}

void read_confine(PolicyReading& reading, Cursor& confine) {
    auto items = confine.items();
    if (reading.policy.confine.size() + items.size() > confine_max)
        return confine.fault("expected at most " + std::to_string(confine_max) + " of them");
    for (Cursor& item : items) {
        if (!item.expect_map()) continue;
        Confinement one;
        one.file = reading.file;
        one.line = item.line();
        if (auto name = item.need("name")) {
            one.name = name->text().value_or("");
            if (!one.name.empty() && !printable(one.name))
                name->fault("a name is printable ASCII, at most 128 bytes");
            for (const Confinement& other : reading.policy.confine)
                if (other.name == one.name)
                    name->fault("'" + one.name + "' is already in " + other.file + " on line " +
                                std::to_string(other.line));
        }
        if (auto owner = item.find("owner")) one.owner = owner->text().value_or("");
        const std::size_t faults_before = reading.faults.size();
        if (auto when = item.need("when")) {
            one.match = read_match(reading, *when);
            std::int64_t steps_left = 1'000'000;
            if (reading.faults.size() == faults_before && contradicts_itself(one.match, steps_left))
                when->fault("confines nothing: no request has all that it asks for");
        }
        if (auto to = item.need("to"))
            for (const std::string& tier : read_order(reading, *to))
                if (const PolicyTier* found = reading.policy.tier(tier))
                    one.tiers |= 1U << (found - reading.policy.tiers.data());
        item.close();
        reading.policy.confine.push_back(std::move(one));
    }
}

}  // namespace sluice
