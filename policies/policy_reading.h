// What the readers of the policy format share: policy_yaml.cc (the file), rules_yaml.cc (rules and
// their effects), match_yaml.cc (`when`). One thread, while loading.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/policy.h"

namespace sluice {

// One file of a policy. Layers are read base first into the same policy.
struct PolicyReading {
    Policy& policy;
    const std::vector<std::string>& upstreams;  // the configuration's; none = any will do
    std::vector<Fault>& faults;
    std::string file;
    std::string team = {};               // whose rules alone it has; empty: everybody's
    std::vector<PolicyRule> rules = {};  // this file's, in its order; the next three are parallel
    std::vector<Cursor> places = {};     // where each is
    std::vector<bool> sound = {};        // read without a fault
    std::vector<bool> replaced = {};     // by one of its name in a file that extends this one
    std::int16_t offset_minutes = 0;     // of its times of day, from UTC; first the extended file's
    std::size_t conditions = 0;          // with their words: aliases can make a short file long
    // Tiers of an extended file, and where.
    std::vector<std::pair<std::string, Cursor>> changed = {};

    bool configured(std::string_view upstream) const;
    std::vector<std::string> tier_names() const;
    std::vector<std::string> tier_upstreams() const;  // what a rule or an alias may name
    // The text at the cursor, which is to name a tier (an upstream); a fault where it does not.
    std::string tier_name(Cursor& at) const;
    std::string upstream_name(Cursor& at) const;
};

// One file, but for what it extends and its teams' files.
void read_layer(PolicyReading& reading, Cursor root);
// Adds to what an extended file lists.
void read_callers(PolicyReading& reading, Cursor& map);
// A fault where names of this kind ("org", "team", "key") are listed and this one is not.
void check_caller(Cursor& at, const char* kind, const std::string& name,
                  const std::vector<std::string>& listed);
void read_rules(PolicyReading& reading, Cursor& rules);
void read_scoring(PolicyReading& reading, Cursor& map);
void read_pace(PolicyReading& reading, Cursor& map);
void read_learning(PolicyReading& reading, Cursor& map);
void read_usd(std::optional<Cursor> at, Money& out);  // a fault where it is no amount
void spread_strengths(Policy& policy);  // of tiers that have none yet: evenly, cheapest first
void read_confine(PolicyReading& reading, Cursor& confine);
RuleEffects read_effects(PolicyReading& reading, Cursor& map);
// Leaves out what has a fault; `sound` says whether the match is what was meant.
RuleMatch read_match(PolicyReading& reading, Cursor& when);

// Rule names travel in a response header and in metrics, so they are printable ASCII.
bool printable(std::string_view text);
// "unknown tier 'opne', did you mean 'open'?", or what there is.
std::string unknown_name(const char* kind, const std::string& name,
                         const std::vector<std::string>& known);
void fault_no_tier(Cursor& at, const std::string& upstream);

}  // namespace sluice
