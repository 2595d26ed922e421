// The configuration's key `policy`: the file that is live, a candidate beside it, and the rollback
// in force, if any. What is kept of earlier versions: gateway/policy_versions.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/policy_versions.h"
#include "policies/policy.h"
#include "providers/yaml_cursor.h"

namespace sluice {

struct Config;
struct HttpRequest;

// A whole policy that is on trial.
struct PolicyCandidate {
    Policy policy;
    double percent = 0;        // of requests that it decides; a session stays on its side
    bool shadow = false;       // it decides beside the live one and nothing is called
    std::string what() const;  // "canary 5 %", "shadow"
};

// Reads the section, the files that it names, and the rollback in force, which `instead` replaces
// where it is given: there `from` may be "*", whatever the file has, and `to` "", what was live
// last. A file that is rolled back may have faults. `names` are the upstreams.
void read_policy_section(Cursor& root, Config& config, const std::vector<std::string>& names,
                         const PolicyRollback* instead, std::vector<Fault>& faults);

// The policy that decides this request: a canary candidate for its share. A session stays on its
// side, and as the share grows nobody changes back. `chance` is RequestDraws::policy.
const Policy& policy_for(const Config& config, double chance);

}  // namespace sluice
