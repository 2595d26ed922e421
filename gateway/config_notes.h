// What of a configuration is no fault and yet likely not meant: said by `sluice check`, in the log
// at start, and by the commands that are touched by it. Reads nothing but the configuration.
#pragma once

#include <string>
#include <vector>

namespace sluice {

struct Config;

struct NameNote {
    std::string said;     // "policy.yaml:7:18: rules[0].when.team: no key has team 'legl', ..."
    std::string subject;  // "team 'legl'"
    bool mistyped;        // nearly a name that a key has: a fault to `sluice check`
};

// Orgs, teams and keys that a policy names and no key has, unless it lists them under `callers`,
// and models that are nearly one that there is. Keys may be issued later and clients may ask for
// any model, so a name that is like no other is no fault. Of the live policy and of a candidate, in
// the order of their files; at most 100, and how many there are more.
std::vector<NameNote> name_notes(const Config& config);

// What `next` has mistyped for its keys where the policies of `now` had it not, or "": a key that
// is taken away makes no fault of a policy that serves.
std::string newly_mistyped(const Config& now, const Config& next);

// Why difficulty is not what the configured weights say and what it is instead, or "".
std::string classifier_note(const Config& config);

}  // namespace sluice
