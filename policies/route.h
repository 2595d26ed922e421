// Policy + caller + request + difficulty + what is up -> ordered attempts and the reason. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/result.h"
#include "policies/classifier.h"
#include "policies/policy.h"
#include "providers/caller.h"
#include "providers/upstream.h"

namespace sluice {

// One upstream as the fleet sees it now.
struct UpstreamView {
    const Upstream* upstream = nullptr;
    bool up = true;
    std::string_view why_down;  // "cooling down after 429", when not up
};

// Every configured upstream. Disabled ones (no key in the environment) are absent: a policy may
// name them and they are skipped.
using FleetHealth = std::span<const UpstreamView>;

struct RouteInput {
    const Caller& caller;
    const Labels& labels;
    const ChatRequest& request;
    const Difficulty& difficulty;
    std::int64_t input_tokens = 0;  // estimate of the whole prompt
};

struct Attempt {
    const Upstream* upstream = nullptr;  // lives as long as the config snapshot
    std::string tier;
};

struct Route {
    std::vector<Attempt> attempts;     // never empty
    std::string tier;                  // of the choice, before fallback
    std::string rule;                  // a rule's name, "default", "model:<name asked>"
    std::string reason;                // one sentence for people
    std::vector<std::string> skipped;  // "open-sim: no tools", for explain and for 503 bodies
};

// Errors: model_not_found; forbidden (a refuse rule); context_length_exceeded (it fits nowhere on
// the route: with the numbers); no_upstream (with what was skipped and why).
Result<Route> choose_route(const Policy& policy, const RouteInput& input, FleetHealth health);

}  // namespace sluice
