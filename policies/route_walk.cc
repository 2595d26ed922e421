#include "policies/route_walk.h"

#include <algorithm>

#include "policies/cost_ceiling.h"

namespace sluice {
namespace {

const UpstreamView* view_of(FleetHealth health, std::string_view name) {
    for (const UpstreamView& view : health)
        if (view.upstream->name == name) return &view;
    return nullptr;
}

std::int64_t window_of(const UpstreamView& view) {
    return view.upstream->context_tokens > 0 ? view.upstream->context_tokens : view.window_tokens;
}

}  // namespace

std::int64_t prompt_tokens(const RouteInput& input, const UpstreamView& view) {
    return view.input_tokens > 0 ? view.input_tokens : input.input_tokens;
}

std::int64_t output_tokens_assumed(const ChatRequest& request, const Upstream& upstream,
                                   const std::optional<std::int64_t>& cap) {
    std::int64_t assumed = upstream.output_tokens_default;
    if (request.max_tokens)
        assumed = *request.max_tokens;
    else if (upstream.context_tokens != 0)
        assumed = std::min(assumed, upstream.context_tokens / 2);
    return cap ? std::min(assumed, *cap) : assumed;
}

RouteWalk::RouteWalk(const RouteInput& input, const Facts& facts, FleetHealth health,
                     const RuleEffects* effects)
    : input_(input), facts_(facts), health_(health), effects_(effects) {
    up_.reserve(health.size());
    if (effects_ != nullptr) cap_ = effects_->max_tokens;
}

void RouteWalk::tier(const PolicyTier& tier, std::string_view first, bool alone) {
    if (!first.empty()) try_upstream(first, tier);
    if (alone) return;
    for (const std::string& name : tier.upstreams)
        if (name != first) try_upstream(name, tier);
}

const UpstreamView* RouteWalk::first_able(const PolicyTier& tier) const {
    const UpstreamView* able = nullptr;
    for (const std::string& name : tier.upstreams) {
        const UpstreamView* view = view_of(health_, name);
        if (view == nullptr || refusal(*view) != Skip::none) continue;
        if (view->up) return view;
        if (able == nullptr) able = view;
    }
    return able;
}

const UpstreamView* RouteWalk::able_now(std::uint32_t mark) const {
    for (const UpstreamView& view : health_)
        if (view.up && upstream_mark(view.upstream->name) == mark)
            return refusal(view) == Skip::none ? &view : nullptr;
    return nullptr;
}

void RouteWalk::confined(const PolicyTier& tier, const std::string& by) {
    skip(Skip::confined, "tier " + tier.name, by);
}

void RouteWalk::move_into(Route& route) {
    bool all_down = up_.empty();
    route.attempts = std::move(all_down ? down_ : up_);
    route.max_tokens = cap_;
    route.skipped.reserve(skipped_.size());
    for (Skipped& one : skipped_)
        if (!all_down || one.why != Skip::down) route.skipped.push_back(std::move(one.text));
}

Attempt RouteWalk::attempt(const Upstream& upstream, const PolicyTier& tier) const {
    Attempt out{&upstream, tier.name, {}};
    if (effects_ == nullptr || effects_->reasoning_effort.empty()) return out;
    auto effort = effects_->reasoning_effort.find(tier.name);
    if (effort == effects_->reasoning_effort.end()) effort = effects_->reasoning_effort.find("");
    if (effort != effects_->reasoning_effort.end()) out.reasoning_effort = effort->second;
    return out;
}

void RouteWalk::try_upstream(std::string_view name, const PolicyTier& tier) {
    const UpstreamView* view = view_of(health_, name);
    if (!view) return skip(Skip::absent, name, "not enabled, its key is not set");
    const Upstream& upstream = *view->upstream;
    if (Skip why = refusal(*view); why != Skip::none)
        return skip(why, name, refusal_text(why, *view));
    if (view->up) {
        up_.push_back(attempt(upstream, tier));
        return;
    }
    down_.push_back(attempt(upstream, tier));
    skip(Skip::down, name, view->why_down.empty() ? "down" : std::string(view->why_down));
}

Skip RouteWalk::refusal(const UpstreamView& view) const {
    const Upstream& upstream = *view.upstream;
    if (facts_.tools && !upstream.tools) return Skip::tools;
    if ((facts_.images || facts_.audio || facts_.files) && !upstream.images) return Skip::images;
    if (facts_.json_schema && !upstream.json_schema) return Skip::json_schema;
    if (!upstream.price_known ||
        !upstream.price.known_for(longer_than_estimated(input_.input_tokens)))
        return Skip::price;
    if (const std::int64_t window = window_of(view); window > 0 && window_needed(view) > window)
        return Skip::window;
    if (input_.labels.max_cost && cost_ceiling(upstream) > *input_.labels.max_cost)
        return Skip::cost;
    if (input_.budget_left.pico_usd < INT64_MAX) {
        Money ceiling = cost_ceiling(upstream);
        if (ceiling.pico_usd > 0 && ceiling > input_.budget_left) return Skip::budget;
    }
    return Skip::none;
}

std::string RouteWalk::refusal_text(Skip why, const UpstreamView& view) const {
    const Upstream& upstream = *view.upstream;
    switch (why) {
        case Skip::none:
        case Skip::absent:
        case Skip::confined:
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
            return "its price is unknown above " + std::to_string(upstream.price.input_tokens_max) +
                   " input tokens, the prompt may have " +
                   std::to_string(longer_than_estimated(input_.input_tokens));
        case Skip::window:
            return "needs " + std::to_string(window_needed(view)) + " tokens (" +
                   std::to_string(prompt_tokens(input_, view)) + " in the prompt" +
                   (view.input_tokens == 0   ? ""
                    : view.upstream->local() ? " by its own tokenizer"
                                             : " by the embedded engine's tokenizer") +
                   "), its window has " + std::to_string(window_of(view));
        case Skip::cost:
            return "may cost $" + usd_text(cost_ceiling(upstream)) + ", more than $" +
                   usd_text(*input_.labels.max_cost) + " allowed by x-sluice-max-cost-usd";
        case Skip::budget:
            return "may cost $" + usd_text(cost_ceiling(upstream)) + ", the budget of " +
                   std::string(input_.budget) + " has $" + usd_text(input_.budget_left) + " left";
    }
    return "";
}

// The embedded engine gives an answer what is left of its window, and refuses only what cannot fit.
std::int64_t RouteWalk::window_needed(const UpstreamView& view) const {
    std::int64_t output = output_tokens_assumed(input_.request, *view.upstream, cap_);
    if (view.window_tokens > 0 && !input_.request.max_tokens) output = cap_.value_or(1);
    return prompt_tokens(input_, view) + output;
}

Money RouteWalk::cost_ceiling(const Upstream& upstream) const {
    std::int64_t output = output_tokens_assumed(input_.request, upstream, cap_);
    return sluice::cost_ceiling(input_.request, input_.input_tokens, output, upstream.price);
}

void RouteWalk::skip(Skip why, std::string_view name, std::string said) {
    skipped_.push_back({why, std::string(name) + ": " + std::move(said)});
}

bool RouteWalk::short_of_money() const {
    return std::any_of(skipped_.begin(), skipped_.end(),
                       [](const Skipped& one) { return one.why == Skip::budget; });
}

Error RouteWalk::nothing_left(const std::string& where) const {
    Skip only = Skip::none;
    bool mixed = false, absent = false, confined = false;
    std::string all;
    for (const Skipped& one : skipped_) {
        all += (all.empty() ? "" : "; ") + one.text;
        absent = absent || one.why == Skip::absent;
        confined = confined || one.why == Skip::confined;
        if (one.why == Skip::absent || one.why == Skip::confined) continue;
        mixed = mixed || (only != Skip::none && only != one.why);
        only = one.why;
    }
    if (only == Skip::none && confined && !absent)
        return Error(Errc::forbidden,
                     "this request may not go where it is sent" + where + ": " + all);
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
        case Skip::budget:
            return Error(Errc::budget_spent, "no upstream is cheap enough" + tail);
        case Skip::none:
        case Skip::absent:
        case Skip::confined:
        case Skip::down:
            break;
    }
    return Error(Errc::no_upstream, "no upstream can take this request" + tail);
}

}  // namespace sluice
