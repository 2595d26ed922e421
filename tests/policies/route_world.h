// A caller, a request and three tiers, and where a policy sends it.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/policies/fakes.h"

namespace sluice {

inline const std::string world_tiers =
    "version: 1\ntiers: {local: [here], open: [open-a, open-b], frontier: [far]}\n";
inline const std::string world_bands =
    "default: {bands: [{below: 0.45, tier: local}, {below: 0.8, tier: open}, {tier: frontier}]}\n";

struct World {
    std::vector<Upstream> upstreams = {fake_upstream("here", 0), fake_upstream("open-a", 2),
                                       fake_upstream("open-b", 2), fake_upstream("far", 25)};
    std::vector<UpstreamView> views;
    Policy policy;
    Caller caller{"acme", "search", "key-1", "ann"};
    Labels labels;
    ChatRequest request = fake_request("hello");
    Difficulty difficulty;
    std::int64_t input_tokens = 100;
    std::int64_t unix_seconds = 0;
    double chance = 1;
    double budget_pressure = 0;
    double shift = 0;
    double exploring = 1;
    SessionPast session;
    Money budget_left{INT64_MAX};

    explicit World(const std::string& yaml)
        : policy(policy_of(world_tiers + yaml, {"here", "open-a", "open-b", "far"})) {
        difficulty.score = 0.1;
        for (const Upstream& one : upstreams) views.push_back(UpstreamView{&one, true, ""});
    }
    World(const World&) = delete;

    Result<Route> route() {
        RouteInput input{caller, labels, request, difficulty, input_tokens};
        input.unix_seconds = unix_seconds;
        input.chance = chance;
        input.budget_pressure = budget_pressure;
        input.shift = shift;
        input.exploring = exploring;
        input.session = session;
        input.budget_left = budget_left;
        return choose_route(policy, input, views);
    }
    std::string order() { return order_of(route()); }
    void set_up(std::string_view name, bool up) {
        for (UpstreamView& view : views)
            if (view.upstream->name == name) view.up = up;
    }
    void disable(std::string_view name) {
        std::erase_if(views, [&](const UpstreamView& view) { return view.upstream->name == name; });
    }
};

// Whether a rule with these conditions is the one that decides.
struct Asked : World {
    explicit Asked(const std::string& when, const std::string& top = "")
        : World(world_bands + top + "rules: [{name: asked, when: " + when + ", use: frontier}]\n") {
    }
    bool operator()() { return route()->rule == "asked"; }
};

}  // namespace sluice
