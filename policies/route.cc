#include "policies/route.h"

#include <algorithm>
#include <charconv>

#include "policies/choice.h"
#include "policies/dollars.h"
#include "policies/explore.h"
#include "policies/match.h"
#include "policies/route_walk.h"
#include "policies/session_stay.h"
#include "policies/value.h"

namespace sluice {
namespace {

constexpr std::size_t names_listed_max = 20;

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string sent_to(const PolicyRule& rule) {
    if (!rule.upstream.empty()) return " sends it to upstream " + rule.upstream;
    if (rule.order.empty()) return " sends it to tier " + rule.tier;
    std::string out;
    for (const std::string& tier : rule.order) out += (out.empty() ? "" : ", then ") + tier;
    return " sends it to " + out;
}

std::string rule_words(const Policy& policy, const PolicyRule& rule) {
    std::string where = rule.file == policy.file ? "" : rule.file + " ";
    std::string owner = rule.owner.empty() ? "" : ", owner " + rule.owner;
    return "rule " + quoted(rule.name) + " (" + where + "line " + std::to_string(rule.line) +
           owner + ")";
}

Choice choose_by_rule(const Policy& policy, const PolicyRule& rule, bool with_reason) {
    Choice choice;
    choice.rule_name = rule.name;
    choice.effects = &rule.effects;
    choice.upstream = rule.upstream;
    for (const std::string& tier : rule.order) choice.then(policy.tier(tier));
    if (rule.order.empty())
        choice.then(rule.upstream.empty() ? policy.tier(rule.tier) : policy.tier_of(rule.upstream));
    bool others = rule.order.empty() && rule.on_unavailable == OnUnavailable::next;
    if (others) choice.then_others(policy);
    choice.alone = !others && !rule.upstream.empty();
    if (!others) choice.where = " allowed by rule " + quoted(rule.name);
    if (with_reason) choice.reason = rule_words(policy, rule) + sent_to(rule);
    return choice;
}

std::string decimal(double value, std::chars_format format, int precision) {
    char text[64];
    auto [end, ec] = std::to_chars(text, text + sizeof text, value, format, precision);
    return ec == std::errc() ? std::string(text, end) : "?";
}

std::string band_reason(const Policy& policy, const DifficultyBand& band, double score) {
    bool first = &band == &policy.bands.front();
    bool last = &band == &policy.bands.back();
    std::string said = "difficulty " + decimal(score, std::chars_format::fixed, 2);
    auto bound = [](double below) { return decimal(below, std::chars_format::general, 6); };
    if (first && last)
        said += ", every band";
    else if (last)
        said += " is at least " + bound((&band - 1)->below);
    else if (first)
        said += " is below " + bound(band.below);
    else
        said += " is from " + bound((&band - 1)->below) + " to below " + bound(band.below);
    return said + ": tier " + band.tier;
}

std::string pace_words(double shift) {
    return ", shifted by " + decimal(shift, std::chars_format::fixed, 3) + " for the day's pace";
}

// The policy's own choice: by value, or by difficulty bands.
Choice choose_by_default(const Policy& policy, double difficulty, double shift, bool with_reason) {
    Choice choice;
    choice.rule_name = "default";
    choice.effects = &policy.effects;
    choice.by_value = policy.scoring.by_value;
    choice.shift = shift;
    if (choice.by_value) {
        for (const PolicyTier& tier : policy.tiers) choice.then(&tier);
        return choice;
    }
    double score = shifted_difficulty(difficulty, shift);
    const DifficultyBand* band = policy.band(score);
    if (!band) return choice;
    choice.then(policy.tier(band->tier));
    choice.then_others(policy);
    choice.across = tier_across(policy, *band, score);
    choice.by_band = true;
    if (with_reason) choice.reason = band_reason(policy, *band, score);
    if (with_reason && shift != 0)
        choice.reason +=
            " (of " + decimal(difficulty, std::chars_format::fixed, 2) + pace_words(shift) + ")";
    return choice;
}

std::string listed(const std::vector<std::string>& names) {
    std::string out;
    for (std::size_t i = 0; i < names.size() && i < names_listed_max; ++i)
        out += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > names_listed_max)
        out += " and " + std::to_string(names.size() - names_listed_max) + " more";
    return out;
}

Error unknown_model(const Policy& policy, const std::string& model) {
    std::vector<std::string> tiers, upstreams, aliases, all = {"auto"};
    for (const PolicyTier& tier : policy.tiers) {
        tiers.push_back(tier.name);
        upstreams.insert(upstreams.end(), tier.upstreams.begin(), tier.upstreams.end());
    }
    for (const auto& [alias, target] : policy.aliases) aliases.push_back(alias);
    for (const auto* names : {&tiers, &upstreams, &aliases})
        all.insert(all.end(), names->begin(), names->end());
    std::string near = nearest_word(model, all);
    std::string hint = near.empty() ? "." : ", did you mean " + quoted(near) + "?";
    std::string said = "There is no model " + quoted(model) + hint + " Use 'auto', a tier (" +
                       listed(tiers) + "), an upstream (" + listed(upstreams) + ")";
    if (!aliases.empty()) said += " or an alias (" + listed(aliases) + ")";
    return Error(Errc::model_not_found, said, "model");
}

Result<Choice> choose_by_model(const Policy& policy, const RouteInput& input, double shift) {
    const std::string& asked = input.request.model;
    auto alias = policy.aliases.find(asked);
    std::string_view target = alias == policy.aliases.end() ? asked : alias->second;
    if (target == "auto")
        return choose_by_default(policy, input.difficulty.score, shift, input.with_reason);
    Choice choice;
    choice.rule_name = "model:" + asked;
    choice.then(policy.tier(target));
    const char* kind = "tier";
    if (choice.count == 0) {
        choice.then(policy.tier_of(target));
        if (choice.count == 0) return unknown_model(policy, asked);
        choice.upstream = target;
        choice.alone = true;
        kind = "upstream";
    }
    if (input.with_reason)
        choice.reason = "model " + quoted(asked) + (target == asked ? " is " : " stands for ") +
                        kind + (target == asked ? " of that name" : " " + quoted(target));
    return choice;
}

Result<Choice> choose(const Policy& policy, const RouteInput& input, Facts& facts, double shift) {
    std::size_t at =
        policy.index.first(facts, [&](std::size_t i) { return facts.hold(policy.rules[i].match); });
    if (at == policy.index.size()) return choose_by_model(policy, input, shift);
    const PolicyRule& rule = policy.rules[at];
    if (!rule.refuse.empty())
        return Error(Errc::forbidden, rule.refuse + " (rule " + quoted(rule.name) + ")");
    if (!rule.decide) return choose_by_rule(policy, rule, input.with_reason);
    Result<Choice> choice = choose_by_model(policy, input, rule.locked ? 0 : shift);
    if (!choice) return choice;
    choice->rule_name = rule.name;
    choice->effects = &rule.effects;
    if (input.with_reason && choice->by_value) choice->reason = rule_words(policy, rule);
    if (input.with_reason && !choice->by_value)
        choice->reason = rule_words(policy, rule) + "; " + choice->reason;
    return choice;
}

// Puts the tiers in order by what they are worth to this request.
void compare_by_value(const Policy& policy, const RouteInput& input, Facts& facts,
                      const RouteWalk& walk, std::uint32_t allowed, Choice& choice, Route& route) {
    std::optional<std::int64_t> cap;
    if (choice.effects != nullptr) cap = choice.effects->max_tokens;
    TierOrder order =
        order_by_value(policy, input, facts, cap, choice.shift, [&](const PolicyTier& tier) {
            bool may = (allowed >> (&tier - policy.tiers.data()) & 1) != 0;
            return may ? walk.first_able(tier) : nullptr;
        });
    choice.count = 0;
    for (std::size_t i = 0; i < order.count; ++i) choice.then(order.tiers[i].tier);
    choice.across = second_near(policy, order);
    if (!input.with_reason) return;
    route.considered.assign(order.tiers.begin(),
                            order.tiers.begin() + static_cast<std::ptrdiff_t>(order.count));
    std::string said = "a right answer is worth $" + short_usd(order.value.pico_usd);
    if (choice.shift != 0) said += pace_words(choice.shift);
    said += ": " + worth_text(order.tiers[0]);
    if (order.kept)
        said += ", its session stays there: " + worth_text(order.tiers[1]) +
                ", not enough more than a change costs";
    choice.reason += (choice.reason.empty() ? "" : "; ") + said;
}

// A session goes to a dearer tier at once; to a cheaper one where that saves more than it loses.
void keep_session(const Policy& policy, const RouteInput& input, const RouteWalk& walk,
                  std::uint32_t allowed, Choice& choice) {
    if (!choice.by_band || input.session.upstream == 0) return;
    const UpstreamView* own = walk.able_now(input.session.upstream);
    if (own == nullptr) return;
    const PolicyTier* tier = policy.tier_of(own->upstream->name);
    if (tier == nullptr || tier < choice.tiers[0]) return;
    auto may = [&](const PolicyTier* one) {
        return (allowed >> (one - policy.tiers.data()) & 1) != 0;
    };
    const UpstreamView* other = nullptr;
    const PolicyTier* to = nullptr;
    for (std::size_t i = 0; i < choice.count && other == nullptr; ++i)
        if (may(to = choice.tiers[i])) other = walk.first_able(*to);
    if (!may(tier) || other == nullptr || other == own) return;
    std::optional<std::int64_t> cap;
    if (choice.effects != nullptr) cap = choice.effects->max_tokens;
    SessionStay stay = session_stay(policy, input, cap, {tier, own}, {to, other});
    if (stay.stays) {
        choice.begin_with(tier);
        choice.upstream = own->upstream->name;
        choice.upstream_at = 0;
        choice.stayed = true;
    }
    if (input.with_reason) choice.reason += "; " + stay.text();
}

// A share of the requests begins at another tier.
void take_canary(const Policy& policy, const RouteInput& input, Choice& choice) {
    if (choice.effects == nullptr || !choice.effects->canary) return;
    const Canary& canary = *choice.effects->canary;
    bool taken = input.chance * 100 < canary.percent;
    if (input.with_reason)
        choice.reason += "; of these, " + decimal(canary.percent, std::chars_format::general, 6) +
                         " % go to tier " + canary.tier + (taken ? ", this one too" : "");
    if (!taken) return;
    choice.begin_with(policy.tier(canary.tier));
    choice.rule_name += " (canary)";
}

// Near a threshold a small share takes the other side, so that its outcomes are known, too. Only
// where the policy's own choice decides, both sides may and can take the call, and no canary or
// session has a say.
void explore(const Policy& policy, const RouteInput& input, const RouteWalk& walk,
             std::uint32_t allowed, Choice& choice, DecisionRecord& record) {
    bool canary = choice.effects != nullptr && choice.effects->canary.has_value();
    if (choice.across == nullptr || canary || input.exploring >= 1 || input.session.upstream != 0)
        return;
    for (const PolicyTier* tier : {choice.tiers[0], choice.across}) {
        bool may = (allowed >> (tier - policy.tiers.data()) & 1) != 0;
        if (!may || walk.first_able(*tier) == nullptr) return;
    }
    double share = policy.learning.explore_percent / 100;
    bool taken = input.exploring < share;
    record.propensity = taken ? share : 1 - share;
    choice.instead = taken ? choice.tiers[0] : choice.across;
    if (!taken) return;
    choice.begin_with(choice.across);
    if (input.with_reason)
        choice.reason += "; near the threshold, tried on tier " + choice.across->name;
}

// The tiers that the request may go to at all, and the names of what confines it.
struct Bounds {
    std::uint32_t tiers = ~std::uint32_t{0};
    std::string by;
};

Bounds bounds_of(const Policy& policy, Facts& facts) {
    Bounds bounds;
    for (const Confinement& one : policy.confine) {
        if (!facts.hold(one.match)) continue;
        bounds.tiers &= one.tiers;
        bounds.by += (bounds.by.empty() ? "confined by " : " and ") + quoted(one.name);
    }
    return bounds;
}

DecisionRecord record_of(const RouteInput& input, const Facts& facts) {
    DecisionRecord record;
    record.tools = facts.tools;
    record.images = facts.images;
    record.audio = facts.audio;
    record.files = facts.files;
    record.json_schema = facts.json_schema;
    record.gain = static_cast<float>(input.difficulty.gain);
    record.ok_frontier = static_cast<float>(input.difficulty.ok_frontier);
    record.needs_reasoning = static_cast<float>(input.difficulty.needs_reasoning);
    record.domain = input.difficulty.domain;
    record.expected_output_tokens_frontier =
        static_cast<std::int64_t>(input.difficulty.expected_output_tokens_frontier);
    record.chance = input.chance;
    record.input_tokens = input.input_tokens;
    record.expected_output_tokens =
        static_cast<std::int64_t>(input.difficulty.expected_output_tokens);
    record.max_tokens = input.request.max_tokens;
    record.turns = facts.turns();
    record.budget_pressure = input.budget_pressure;
    record.shift = input.shift;
    record.session_upstream = input.session.upstream;
    record.session_prefix_tokens = input.session.prefix_tokens;
    record.seen = facts.seen();
    return record;
}

// A class that nobody has heard of is most likely a slip: "restriced" would not be confined.
Status check_data_class(const Policy& policy, const std::string& asked) {
    const auto& known = policy.data_classes;
    if (asked.empty() || known.empty() ||
        std::find(known.begin(), known.end(), asked) != known.end())
        return Done{};
    std::string message = "x-sluice-data-class: no class '" + asked + "'; there is";
    for (const std::string& one : known) message += (&one == &known[0] ? " " : ", ") + one;
    return Error(Errc::invalid_request, std::move(message), "x-sluice-data-class");
}

}  // namespace

std::uint32_t upstream_mark(std::string_view name) {
    std::uint32_t hash = 0x811C9DC5;  // FNV-1a
    for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
    return hash == 0 ? 1 : hash;
}

Result<Route> choose_route(const Policy& policy, const RouteInput& input, FleetHealth health) {
    Status known = check_data_class(policy, input.labels.data_class);
    if (!known) return known.error();
    Facts::Given given{input.caller,          input.labels,       input.request,
                       input.difficulty,      input.input_tokens, input.unix_seconds,
                       input.budget_pressure, input.recorded};
    Facts facts(given);
    Bounds bounds = bounds_of(policy, facts);
    // What is confined, or decided by a locked rule, is not the pace's to move.
    bool paced = policy.pace.active() && bounds.by.empty();
    double shift = paced ? clamped_shift(policy.pace, input.shift) : 0;
    Result<Choice> choice = choose(policy, input, facts, shift);
    if (!choice) return choice.error();
    if (choice->count == 0)
        return Error(Errc::bad_config, "the policy names no tier for this request");
    Route route;
    RouteWalk walk(input, facts, health, choice->effects);
    if (choice->by_value)
        compare_by_value(policy, input, facts, walk, bounds.tiers, *choice, route);
    keep_session(policy, input, walk, bounds.tiers, *choice);
    take_canary(policy, input, *choice);
    DecisionRecord record = record_of(input, facts);
    explore(policy, input, walk, bounds.tiers, *choice, record);

    for (std::size_t i = 0; i < choice->count; ++i) {
        const PolicyTier& tier = *choice->tiers[i];
        if ((bounds.tiers >> (&tier - policy.tiers.data()) & 1) == 0)
            walk.confined(tier, bounds.by);
        else
            walk.tier(tier, i == choice->upstream_at ? choice->upstream : "",
                      i == choice->upstream_at && choice->alone);
    }
    if (!walk.any()) return walk.nothing_left(choice->where);
    const bool short_of_money = walk.short_of_money();
    walk.move_into(route);
    record.seen = facts.seen();  // by now
    route.record = std::move(record);
    if (short_of_money) route.record.budget_left = input.budget_left;
    route.tier = choice->tiers[0]->name;
    route.rule = std::move(choice->rule_name);
    route.reason = std::move(choice->reason);
    if (choice->instead != nullptr) route.instead = choice->instead->name;
    route.stayed = choice->stayed;
    route.confined = !bounds.by.empty();
    if (choice->effects != nullptr) route.shadow_percent = choice->effects->shadow_percent;
    if (input.with_reason && !bounds.by.empty()) route.reason += "; " + bounds.by;
    return route;
}

std::string reasoning_line(const Route& route, std::size_t bytes_max) {
    std::string out = route.reason;
    for (std::size_t i = 1; i < route.considered.size(); ++i)
        out += "; " + worth_text(route.considered[i]);
    for (const std::string& one : route.skipped) out += "; skipped " + one;
    for (char& c : out)
        if (c < ' ' || c > '~') c = '?';
    if (out.size() > bytes_max) out.replace(bytes_max - 3, std::string::npos, "...");
    return out;
}

}  // namespace sluice
