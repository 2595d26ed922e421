// Policy + caller + request + difficulty + what is up -> ordered attempts and the reason. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/result.h"
#include "policies/classifier.h"
#include "policies/decision_record.h"
#include "policies/policy.h"
#include "providers/caller.h"
#include "providers/upstream.h"

namespace sluice {

// One upstream as the fleet sees it now.
struct UpstreamView {
    const Upstream* upstream = nullptr;
    bool up = true;
    std::string_view why_down;       // "cooling down after 429", when not up
    double first_token_s = 0;        // as measured of late, or foretold; 0 = not known
    double token_s = 0;              // likewise, a further token
    double prompt_token_s = 0;       // likewise, a prompt's token that is in no cache, where not in
                                     // first_token_s
    std::int64_t window_tokens = 0;  // of the embedded engine, where its upstream names none
    std::int64_t input_tokens = 0;   // of this request, by a tokenizer; 0 = not counted
};

// Where a conversation has been: what it would lose by going elsewhere.
struct SessionPast {
    std::uint32_t upstream = 0;      // upstream_mark of who answered last; 0 = nobody
    std::int64_t prefix_tokens = 0;  // that are still in its cache
};
std::uint32_t upstream_mark(std::string_view name);  // never 0

// Every configured upstream. Disabled ones (no key in the environment) are absent: a policy may
// name them and they are skipped.
using FleetHealth = std::span<const UpstreamView>;

struct RouteInput {
    const Caller& caller;
    const Labels& labels;
    const ChatRequest& request;
    const Difficulty& difficulty;
    std::int64_t input_tokens = 0;  // estimate of the whole prompt
    bool with_reason = true;        // formatting it costs more than choosing
    std::int64_t unix_seconds = 0;  // now, for times of day
    double chance = 1;              // [0, 1): takes part in canaries of more percent; 1 = in none
    double budget_pressure = 0;     // share of the tightest budget that is spent
    Money budget_left{INT64_MAX};   // of the one with the least left
    std::string_view budget = {};   // which that is: "team 'search' a day"
    SessionPast session = {};
    double shift = 0;                // of the thresholds, for the day's pace (pace.h)
    const Seen* recorded = nullptr;  // what was seen of a text that is gone: replay
    // [0, 1): near a threshold the other side is tried below the policy's share; 1 = never. A
    // session that is under way is left where it is.
    double exploring = 1;
};

struct Attempt {
    const Upstream* upstream = nullptr;  // lives as long as the config snapshot
    std::string tier;
    std::string_view reasoning_effort;  // the policy's; "" = the caller's
};

// One tier as a comparison by value sees it. No upstream: none of it can take the call.
struct TierWorth {
    const PolicyTier* tier = nullptr;
    const Upstream* upstream = nullptr;
    double p_ok = 0;
    double seconds = 0;
    Money cost;
    Money worth;
    Money leaving;  // where the session is: what coming back would cost (session_stay.h)
};

struct Route {
    std::vector<Attempt> attempts;           // never empty
    std::string tier;                        // of the choice, before fallback
    std::string rule;                        // a rule's name, "default", "model:<name asked>"
    std::optional<std::int64_t> max_tokens;  // the policy's longest answer
    std::string reason;                      // one sentence for people, if asked for
    std::vector<std::string> skipped;        // "open-sim: no tools", for explain and 503 bodies
    std::vector<TierWorth> considered;       // by value, the best first; with a reason only
    double shadow_percent = 0;               // of such answers the next tier is asked for, too
    bool stayed = false;                     // with its session's upstream, by difficulty bands
    bool confined = false;                   // by some entry of `confine`
    std::string instead;                     // the tier that exploring might have taken, or took
                                             // this one's place; "" where it had no say
    DecisionRecord record;                   // what it was decided on
};

// The whole reasoning in one line of printable ASCII, for a header; of the request it has the
// model's name at most.
std::string reasoning_line(const Route& route, std::size_t bytes_max);

// What is to be confined stays so whatever else decides. The rules are tried first, whatever model
// is asked for; where none matches, a model name of the caller's decides, and for `auto` the
// tiers' values or the difficulty bands do. Upstreams that cannot take the call are skipped with a
// reason. One that is down is skipped while another can take it; when all are down they are tried
// all the same. A window must hold the prompt and max_tokens, or, where the caller gives none, the
// upstream's output_tokens_default or half the window, whichever is less.
// Errors: invalid_request (a class of data that the policy does not list); model_not_found (with
// what exists); forbidden (a refuse rule, its message; or all that was chosen is outside where the
// request is confined to). When nothing on the route can take the call: context_length_exceeded,
// unsupported_parameter, over_budget, budget_spent or price_unknown when that is the only reason,
// with the numbers; else no_upstream with all reasons.
Result<Route> choose_route(const Policy& policy, const RouteInput& input, FleetHealth health);

// The prompt as this upstream would count it: exactly, where that was done, else the estimate.
std::int64_t prompt_tokens(const RouteInput& input, const UpstreamView& view);

// The longest answer to expect of this upstream: the caller's limit, the policy's `cap`, the
// upstream's default or half its window.
std::int64_t output_tokens_assumed(const ChatRequest& request, const Upstream& upstream,
                                   const std::optional<std::int64_t>& cap);

}  // namespace sluice
