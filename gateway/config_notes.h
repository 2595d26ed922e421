// What of a configuration is no fault and yet likely not meant: said by `sluice check`, in the log
// at start, and by the commands that are touched by it. Reads nothing but the configuration.
#pragma once

#include <string>
#include <vector>

namespace sluice {

struct Config;

// Orgs, teams and keys that rules ask for and no key has, and models that are nearly one that
// there is: "policy.yaml:7:18: rules[0].when.team: note: ...". Keys may be issued later and clients
// may ask for any model, so none of them is a fault. Of the live policy and of a candidate, in the
// order of their files; at most 100, and how many there are more.
std::vector<std::string> name_notes(const Config& config);

// Why difficulty is not what the configured weights say and what it is instead, or "".
std::string classifier_note(const Config& config);

}  // namespace sluice
