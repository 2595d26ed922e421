#include "policies/route.h"

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

constexpr std::size_t names_listed_max = 20;

// Where the route starts, and how far it may go from there.
struct Choice {
    const PolicyTier* tier = nullptr;
    std::string_view upstream;  // this one first; empty: the tier's order
    bool whole_tier = true;     // the tier's other upstreams may follow
    bool other_tiers = true;
    const PolicyRule* rule = nullptr;
    std::string rule_name;
    std::string reason;
};

// What a call needs of an upstream, looked at once.
struct Needs {
    bool tools = false;
    bool images = false;
    bool other_parts = false;  // images, audio or files
    bool json_schema = false;
};

// Why an upstream was skipped. `absent` and `down` say nothing about the request itself.
enum class Skip { none, absent, down, tools, images, json_schema, price, window, cost };

Needs needs_of(const ChatRequest& request) {
    Needs needs;
    needs.tools = !request.tools.empty();
    needs.images = request.has_images();
    needs.json_schema = request.wants_json_schema();
    for (const Message& message : request.messages) {
        if (message.role == Role::tool || !message.tool_calls.empty()) needs.tools = true;
        for (const Part& part : message.parts)
            if (part.kind != Part::Kind::text) needs.other_parts = true;
    }
    return needs;
}

bool has_word(const std::vector<std::string>& words, std::string_view word) {
    return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
}

template <class Number>
bool in_range(Number value, const std::optional<Number>& min, const std::optional<Number>& below) {
    return (!min || value >= *min) && (!below || value < *below);
}

bool has_tags(const std::map<std::string, std::string>& wanted, const Labels& labels) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& tag) {
        auto found = labels.tags.find(tag.first);
        return found != labels.tags.end() && (tag.second == "*" || tag.second == found->second);
    });
}

bool matches(const RuleMatch& match, const RouteInput& input, const Needs& needs) {
    return has_word(match.teams, input.caller.team) && has_word(match.keys, input.caller.key_id) &&
           has_word(match.models, input.request.model) &&
           has_word(match.data_classes, input.labels.data_class) &&
           has_tags(match.tags, input.labels) &&
           in_range(input.input_tokens, match.input_tokens_min, match.input_tokens_below) &&
           in_range(input.difficulty.score, match.difficulty_min, match.difficulty_below) &&
           match.tools.value_or(needs.tools) == needs.tools &&
           match.images.value_or(needs.images) == needs.images &&
           match.json_schema.value_or(needs.json_schema) == needs.json_schema;
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

Choice choose_by_rule(const Policy& policy, const PolicyRule& rule, bool with_reason) {
    Choice choice;
    choice.rule = &rule;
    choice.rule_name = rule.name;
    choice.other_tiers = rule.on_unavailable == OnUnavailable::next;
    choice.whole_tier = choice.other_tiers || rule.upstream.empty();
    choice.upstream = rule.upstream;
    choice.tier = rule.upstream.empty() ? policy.tier(rule.tier) : policy.tier_of(rule.upstream);
    if (with_reason)
        choice.reason = "rule " + quoted(rule.name) + " (line " + std::to_string(rule.line) +
                        ") sends it to " +
                        (rule.upstream.empty() ? "tier " + rule.tier : "upstream " + rule.upstream);
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

Choice choose_by_band(const Policy& policy, double score, bool with_reason) {
    Choice choice;
    choice.rule_name = "default";
    const DifficultyBand* band = policy.band(score);
    if (!band) return choice;
    choice.tier = policy.tier(band->tier);
    if (with_reason) choice.reason = band_reason(policy, *band, score);
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

Result<Choice> choose_by_model(const Policy& policy, const RouteInput& input) {
    const std::string& asked = input.request.model;
    auto alias = policy.aliases.find(asked);
    std::string_view target = alias == policy.aliases.end() ? asked : alias->second;
    if (target == "auto") return choose_by_band(policy, input.difficulty.score, input.with_reason);
    Choice choice;
    choice.other_tiers = false;
    choice.rule_name = "model:" + asked;
    choice.tier = policy.tier(target);
    const char* kind = "tier";
    if (!choice.tier) {
        choice.tier = policy.tier_of(target);
        if (!choice.tier) return unknown_model(policy, asked);
        choice.upstream = target;
        choice.whole_tier = false;
        kind = "upstream";
    }
    if (input.with_reason)
        choice.reason = "model " + quoted(asked) + (target == asked ? " is " : " stands for ") +
                        kind + (target == asked ? " of that name" : " " + quoted(target));
    return choice;
}

std::int64_t output_tokens_assumed(const ChatRequest& request, const Upstream& upstream) {
    if (request.max_tokens) return *request.max_tokens;
    if (upstream.context_tokens == 0) return upstream.output_tokens_default;
    return std::min(upstream.output_tokens_default, upstream.context_tokens / 2);
}

Money cost_ceiling(const RouteInput& input, const Upstream& upstream) {
    return cost_at_most(input.input_tokens, output_tokens_assumed(input.request, upstream),
                        upstream.price);
}

const UpstreamView* view_of(FleetHealth health, std::string_view name) {
    for (const UpstreamView& view : health)
        if (view.upstream->name == name) return &view;
    return nullptr;
}

// Walks the candidates in order and keeps those that can take the call.
class Walk {
public:
    Walk(const RouteInput& input, const Needs& needs, FleetHealth health)
        : input_(input), needs_(needs), health_(health) {
        up_.reserve(health.size());
    }

    void tier(const PolicyTier& tier, const Choice& choice) {
        if (!choice.upstream.empty() && &tier == choice.tier) try_upstream(choice.upstream, tier);
        if (!choice.whole_tier && &tier == choice.tier) return;
        for (const std::string& name : tier.upstreams)
            if (name != choice.upstream) try_upstream(name, tier);
    }

    bool any() const { return !up_.empty() || !down_.empty(); }

    // When all that could take the call are down, trying them is better than refusing.
    void move_into(Route& route) {
        bool all_down = up_.empty();
        route.attempts = std::move(all_down ? down_ : up_);
        route.skipped.reserve(skipped_.size());
        for (Skipped& one : skipped_)
            if (!all_down || one.why != Skip::down) route.skipped.push_back(std::move(one.text));
    }

    Error nothing_left(const Choice& choice) const;

private:
    struct Skipped {
        Skip why;
        std::string text;
    };

    void try_upstream(std::string_view name, const PolicyTier& tier) {
        const UpstreamView* view = view_of(health_, name);
        if (!view) return skip(Skip::absent, name, "not enabled, its key is not set");
        const Upstream& upstream = *view->upstream;
        if (Skip why = refusal(upstream); why != Skip::none)
            return skip(why, name, refusal_text(why, upstream));
        if (view->up) {
            up_.push_back(Attempt{&upstream, tier.name});
            return;
        }
        down_.push_back(Attempt{&upstream, tier.name});
        skip(Skip::down, name, view->why_down.empty() ? "down" : std::string(view->why_down));
    }

    Skip refusal(const Upstream& upstream) const {
        if (needs_.tools && !upstream.tools) return Skip::tools;
        if (needs_.other_parts && !upstream.images) return Skip::images;
        if (needs_.json_schema && !upstream.json_schema) return Skip::json_schema;
        if (!upstream.price_known ||
            !upstream.price.known_for(longer_than_estimated(input_.input_tokens)))
            return Skip::price;
        if (upstream.context_tokens > 0 && window_needed(upstream) > upstream.context_tokens)
            return Skip::window;
        if (input_.labels.max_cost && cost_ceiling(input_, upstream) > *input_.labels.max_cost)
            return Skip::cost;
        return Skip::none;
    }

    std::string refusal_text(Skip why, const Upstream& upstream) const {
        switch (why) {
            case Skip::none:
            case Skip::absent:
            case Skip::down:
                break;
            case Skip::tools:
                return "no tools";
            case Skip::images:
                return "no images, audio or files";
            case Skip::json_schema:
                return "no JSON schema";
            case Skip::price:
                if (!upstream.price_known) return "its price is unknown";
                return "its price is unknown above " +
                       std::to_string(upstream.price.input_tokens_max) +
                       " input tokens, the prompt may have " +
                       std::to_string(longer_than_estimated(input_.input_tokens));
            case Skip::window:
                return "needs " + std::to_string(window_needed(upstream)) + " tokens (" +
                       std::to_string(input_.input_tokens) + " in the prompt), its window has " +
                       std::to_string(upstream.context_tokens);
            case Skip::cost:
                return "may cost $" + usd_text(cost_ceiling(input_, upstream)) + ", more than $" +
                       usd_text(*input_.labels.max_cost) + " allowed by x-sluice-max-cost-usd";
        }
        return "";
    }

    std::int64_t window_needed(const Upstream& upstream) const {
        return input_.input_tokens + output_tokens_assumed(input_.request, upstream);
    }

    void skip(Skip why, std::string_view name, std::string said) {
        skipped_.push_back({why, std::string(name) + ": " + std::move(said)});
    }

    const RouteInput& input_;
    const Needs& needs_;
    FleetHealth health_;
    std::vector<Attempt> up_;
    std::vector<Attempt> down_;
    std::vector<Skipped> skipped_;
};

// The one reason that all enabled upstreams were skipped for, if it is one.
Error Walk::nothing_left(const Choice& choice) const {
    Skip only = Skip::absent;
    bool mixed = false;
    std::string all;
    for (const Skipped& one : skipped_) {
        all += (all.empty() ? "" : "; ") + one.text;
        if (one.why == Skip::absent) continue;
        if (only != Skip::absent && only != one.why) mixed = true;
        only = one.why;
    }
    std::string where =
        !choice.other_tiers && choice.rule ? " allowed by rule " + quoted(choice.rule->name) : "";
    std::string tail = where + ": " + all;
    switch (mixed ? Skip::none : only) {
        case Skip::tools:
            return Error(Errc::unsupported_parameter, "no upstream with tools" + tail, "tools");
        case Skip::images:
            return Error(Errc::unsupported_parameter,
                         "no upstream that takes images, audio or files" + tail, "messages");
        case Skip::json_schema:
            return Error(Errc::unsupported_parameter,
                         "no upstream that keeps to a JSON schema" + tail, "response_format");
        case Skip::price:
            return Error(Errc::price_unknown, "no upstream with a known price" + tail);
        case Skip::window:
            return Error(Errc::context_length_exceeded,
                         "the prompt and max_tokens are more than any context window" + tail,
                         "messages");
        case Skip::cost:
            return Error(Errc::over_budget, "no upstream is cheap enough" + tail);
        case Skip::none:
        case Skip::absent:
        case Skip::down:
            break;
    }
    return Error(Errc::no_upstream, "no upstream can take this request" + tail);
}

}  // namespace

Result<Route> choose_route(const Policy& policy, const RouteInput& input, FleetHealth health) {
    Needs needs = needs_of(input.request);
    auto rule = std::find_if(policy.rules.begin(), policy.rules.end(), [&](const PolicyRule& one) {
        return matches(one.match, input, needs);
    });
    bool ruled = rule != policy.rules.end();
    if (ruled && !rule->refuse.empty())
        return Error(Errc::forbidden, rule->refuse + " (rule " + quoted(rule->name) + ")");
    Result<Choice> choice = ruled ? Result<Choice>(choose_by_rule(policy, *rule, input.with_reason))
                                  : choose_by_model(policy, input);
    if (!choice) return choice.error();
    if (!choice->tier) return Error(Errc::bad_config, "the policy names no tier for this request");

    Walk walk(input, needs, health);
    walk.tier(*choice->tier, *choice);
    if (choice->other_tiers) {
        const PolicyTier* first = policy.tiers.data();
        const PolicyTier* end = first + policy.tiers.size();
        for (const PolicyTier* next = choice->tier + 1; next != end; ++next)
            walk.tier(*next, *choice);
        for (const PolicyTier* before = choice->tier; before != first;)
            walk.tier(*--before, *choice);
    }
    if (!walk.any()) return walk.nothing_left(*choice);
    Route route;
    walk.move_into(route);
    route.tier = choice->tier->name;
    route.rule = std::move(choice->rule_name);
    route.reason = std::move(choice->reason);
    return route;
}

}  // namespace sluice
