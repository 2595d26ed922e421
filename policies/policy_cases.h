// A platform team's own cases: requests and where the policy is to send them. Format in
// policies/README.md; `sluice test` runs them. Pure but for the loader.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/classifier.h"
#include "policies/policy.h"

namespace sluice {

struct OnlineWeights;

struct CaseResult {
    std::string name;
    int line = 0;
    std::vector<std::string> failures;  // "tier: expected local, got open"; empty: it passed
    std::string why;                    // the decision's reason, where it failed
};

// `learned` corrects the classifier, where it is given. Reads the cases and the policy that they
// name, beside their file, and runs them. Faults of either are appended; then nothing is run.
std::vector<CaseResult> run_policy_cases(std::string_view yaml, const std::string& file,
                                         const Classifier& classifier, const std::string& date,
                                         std::vector<Fault>& faults,
                                         const PolicyLoader& load = load_policy_file,
                                         const OnlineWeights* learned = nullptr);

}  // namespace sluice
