// A request described in YAML, as workloads and test cases do: who sends it, what it says of
// itself, and figures in place of a text where there is none. And upstreams with their prices.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/policy.h"
#include "policies/route.h"
#include "providers/caller.h"
#include "providers/chat.h"
#include "providers/upstream.h"

namespace sluice {

struct OnlineWeights;

struct DescribedRequest {
    Caller caller;
    Labels labels;
    ChatRequest request;                       // no text where there is no prompt
    std::optional<double> difficulty, gain;    // else the classifier reads the prompt
    std::optional<double> needs_reasoning;     // likewise
    std::optional<Domain> domain;              // likewise
    std::optional<std::int64_t> input_tokens;  // else estimated from the prompt
    std::optional<std::int64_t> expected_output_tokens;
    std::int64_t unix_seconds = 1'767'614'400;  // a Monday, 12:00 UTC
    double budget_pressure = 0;
    double shift = 0;  // of the thresholds, as if the day's pace had come to it
    double chance = 1;
    std::string session_at;           // the upstream that answered its session last; "" = none
    std::int64_t session_cached = 0;  // tokens that are still in its cache
};

// Reads the keys team, org, key, user, tags, headers, data_class, model, prompt, difficulty, gain,
// needs_reasoning, domain, input_tokens, turns, tools, images, json_schema, max_tokens, at,
// budget_pressure, pace_shift, session, session_at and session_cached of the map; its owner reads
// its own keys and closes it. A prompt, or difficulty and input_tokens, must be there.
DescribedRequest read_described(Cursor& map, const Policy& policy);

// What the classifier says of it, corrected by what was learned, but for what the description says.
// `learned` null: the shipped prior.
Difficulty difficulty_of(const DescribedRequest& described, const Classifier& classifier,
                         const OnlineWeights* learned);
std::int64_t input_tokens_of(const DescribedRequest& described);
// Views into `described` and `difficulty`.
RouteInput route_input(const DescribedRequest& described, const Difficulty& difficulty);

// `upstreams`: name -> {input, output, cached_input} in dollars per million tokens, or {vendor,
// model} of the price book; what each can do. `date` chooses the book's prices.
std::vector<Upstream> read_described_upstreams(Cursor& map, const Policy& policy,
                                               const std::string& date);
void fault_unknown_upstream(Cursor& at, const Policy& policy, const std::string& name);

}  // namespace sluice
