// How long decisions take under a policy of many rules, with requests that most rules do not match.
#pragma once

#include <string>
#include <vector>

namespace sluice {

struct PolicyTiming {
    std::string rules;  // what they ask for
    double p50_us = 0;
    double p99_us = 0;
};

// Whole calls of choose_route on this thread: rules, confinement, upstreams.
std::vector<PolicyTiming> time_policies(int rules, int calls);

}  // namespace sluice
