#include "gateway/candidate.h"

#include "gateway/chat_reply.h"

namespace sluice {
namespace {

// The candidate may match headers that the live policy does not.
Labels labels_for(const Walk& walk, const Policy& candidate) {
    if (candidate.headers == walk.policy->headers) return walk.labels;
    auto labels = read_labels(walk.http, candidate);
    return labels ? std::move(*labels) : walk.labels;
}

}  // namespace

void decide_beside(Walk& walk, const RouteInput& input, FleetHealth health, Result<Route>& route,
                   Metrics& metrics) {
    const auto& candidate = walk.snapshot->config->candidate;
    if (!candidate || !candidate->shadow) return;
    Labels labels = labels_for(walk, candidate->policy);
    RouteInput same{input.caller,          labels,
                    input.request,         input.difficulty,
                    input.input_tokens,    input.with_reason,
                    input.unix_seconds,    input.chance,
                    input.budget_pressure, input.budget_left,
                    input.budget,          input.session,
                    input.shift,           input.recorded};
    auto other = choose_route(candidate->policy, same, health);
    std::string_view from = route ? std::string_view(route->tier) : "refused";
    std::string_view to = other ? std::string_view(other->tier) : "refused";
    if (!walk.beside_counted) metrics.count_beside(candidate->policy.version, from, to);
    walk.beside_counted = true;
    if (!route) return;
    route->record.beside_version = candidate->policy.version;
    route->record.beside_tier = to;
    if (other) route->record.beside_upstream = other->attempts.front().upstream->name;
    if (!input.with_reason) return;
    route->reason += "; candidate policy " + candidate->policy.version + " would choose " +
                     (other ? "tier " + other->tier + " (" + other->reason + ")"
                            : "nothing: " + other.error().message);
}

}  // namespace sluice
