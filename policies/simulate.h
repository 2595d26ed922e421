// A described day of traffic sent through the real choose_route: what it costs by tier, group and
// team, beside everything on the baseline tier, and where a machine of one's own breaks even.
// Pure; figures are pico-dollars.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policies/classifier.h"
#include "policies/dollars.h"
#include "policies/workload.h"

namespace sluice {

struct OnlineWeights;

struct SimulatedSum {
    std::int64_t requests = 0;
    std::int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0;
    PicoSum cost = 0;
    PicoSum baseline = 0;  // the same tokens at the baseline tier's price
};

struct SimulatedGroup {
    std::string name;
    std::map<std::string, SimulatedSum> tiers;  // where its requests went
    std::int64_t refused = 0;
    std::string refusal;      // why, of the first
    std::int64_t stayed = 0;  // with their session's upstream
    std::string stay;         // why, of the first
};

// A day of one's own machine against a price per token. Tokens are output tokens.
struct BreakEven {
    std::string upstream, instead_of;
    std::int64_t tokens = 0;      // that the day sent there
    std::int64_t capacity = 0;    // one machine's, in its hours
    std::int64_t machines = 1;    // that the day needs
    PicoSum host_day = 0;         // one machine's day
    PicoSum rented_day = 0;       // the same requests at instead_of's price
    PicoSum per_mtok = 0;         // host_day x machines over the tokens really made
    PicoSum per_mtok_full = 0;    // over what a machine could make
    PicoSum rented_per_mtok = 0;  // rented_day over the tokens: their input's price included
    std::int64_t break_even_tokens = -1;  // a day; -1: the other costs nothing
    std::int64_t break_even_requests = -1;
    double break_even_use = 0;  // of one machine: above 1 it never pays at these prices
};

struct Simulation {
    std::map<std::string, SimulatedSum> tiers, teams;
    std::vector<SimulatedGroup> groups;
    SimulatedSum total;
    std::int64_t refused = 0;
    std::string baseline_tier;
    std::vector<std::string> unpriced;    // upstreams of the policy that the workload leaves out
    std::vector<BreakEven> self_hosting;  // none or one
    // Where the policy has a pace: its day after one like it.
    struct Paced {
        double shift_low = 0, shift_high = 0;
        double units = 0, wanted = 0;  // dollars, or the share of the tier and dearer ones
    };
    std::optional<Paced> paced;
};

// `learned`: what a gateway corrects the classifier by; null: nothing.
Simulation simulate(const Policy& policy, const Workload& workload, const Classifier& classifier,
                    const OnlineWeights* learned = nullptr);

}  // namespace sluice
