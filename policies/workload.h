// A described day of traffic for `sluice simulate`, read from YAML. Format in policies/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/described.h"

namespace sluice {

// Requests that look alike.
struct WorkloadGroup {
    std::string name;
    std::int64_t count = 0;
    DescribedRequest described;
    std::int64_t output_tokens = 0;
    double cached_share = 0;  // of the input tokens, read from the vendor's cache
    int line = 0;
};

// A machine of one's own in place of a price per token.
struct SelfHosting {
    std::string upstream;
    std::string instead_of;  // what one would pay else; may be the upstream's own listed price
    Money gpu_hour;
    Money other_per_day;  // operations, power, space
    double hours_per_day = 24;
    std::int64_t output_tokens_per_second = 0;  // of one busy machine, as measured
};

struct Workload {
    std::string file;
    std::vector<Upstream> upstreams;  // with their prices
    std::vector<WorkloadGroup> groups;
    std::optional<SelfHosting> self_hosting;
};

constexpr std::int64_t workload_requests_max = 10'000'000;

// Names are checked against the policy. `date` (YYYY-MM-DD) chooses prices named by vendor and
// model. Every fault is appended; the result is usable only if none was.
Workload read_workload(std::string_view yaml, const std::string& file, const Policy& policy,
                       std::string_view date, std::vector<Fault>& faults);

}  // namespace sluice
