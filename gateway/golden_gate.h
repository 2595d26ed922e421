// The configuration's section `golden`, and the gate that it sets up: at start and at each reload
// nothing is activated that loses more on the golden set than is tolerated. The rule itself:
// policies/golden/gate.h. `sluice eval --save` makes the result that is read here.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "policies/golden/golden_set.h"
#include "policies/golden/result.h"

namespace sluice {

struct Config;

struct GoldenSection {
    std::shared_ptr<const GoldenSet> set;
    std::string result_file;
    double tolerance = 0.02;  // of the mean score, 0 to 1
    std::shared_ptr<const GoldenResult> result;
    std::string result_fault;  // why there is none
};

// Reads the files that the section names; they are added to those that are watched.
void read_golden_section(Cursor& root, Config& config, std::vector<Fault>& faults);

// Holds the live policy and a canary candidate against what was before: `running`, which serves
// now, or, where that is nullptr (at start, in `sluice check`), the policy that was live last as it
// is kept (gateway/policy_versions.h), under the weights and tiers of now. At a first start there
// is none. Errors: bad_config, with the command to run.
Status golden_gate(const Config& next, const Config* running);

// The file's result, or why there is none.
Result<GoldenResult> load_result(const std::string& path);

}  // namespace sluice
