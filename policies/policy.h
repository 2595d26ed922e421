// The YAML a platform team edits, read into values. Immutable after load. Format documented in
// policies/README.md, read in policies/policy_yaml.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "providers/yaml_cursor.h"

namespace sluice {

struct PolicyTier {
    std::string name;
    std::vector<std::string> upstreams;  // in order of preference
};

enum class OnUnavailable {
    next,    // go on with the tiers after this one, then those before it, nearest first
    refuse,  // only this tier; no_upstream when none of it can take the call
};

// All set fields must hold. Empty = always.
struct RuleMatch {
    std::vector<std::string> teams;
    std::vector<std::string> keys;
    std::map<std::string, std::string> tags;  // "*" as value = present
    std::vector<std::string> models;          // as the client asked
    std::vector<std::string> data_classes;
    std::optional<std::int64_t> input_tokens_min, input_tokens_below;  // from min, under below
    std::optional<double> difficulty_min, difficulty_below;
    std::optional<bool> tools, images, json_schema;
};

struct PolicyRule {
    std::string name;
    std::string owner;
    RuleMatch match;
    std::string tier;  // exactly one of tier, upstream, refuse
    std::string upstream;
    std::string refuse;  // the message a refused caller reads
    OnUnavailable on_unavailable = OnUnavailable::next;
    int line = 0;
};

struct DifficultyBand {
    double below = 2.0;  // exclusive; the last band's is above 1
    std::string tier;
};

struct Policy {
    std::string file;
    std::string version;            // first 12 hex digits of the SHA-256 of the file's bytes
    std::vector<PolicyTier> tiers;  // cheapest first
    std::vector<PolicyRule> rules;
    std::vector<DifficultyBand> bands;  // the default rule, ascending
    // Model asked -> auto, a tier or an upstream; aliases of aliases are resolved when read.
    std::map<std::string, std::string, std::less<>> aliases;
    std::string baseline_tier;  // "what it would have cost": default the last tier

    const PolicyTier* tier(std::string_view name) const;
    const PolicyTier* tier_of(std::string_view upstream) const;
    // The band of a difficulty: by the default rule, nullptr only in a policy without bands.
    const DifficultyBand* band(double difficulty) const;
};

// Reads a policy. `upstreams` are the names the config defines, those without a key in the
// environment included: a policy that refers to another is a fault with a suggestion. None given:
// any will do, for checking a policy by itself. Every fault is appended, by line and column; the
// result is usable only if none was.
Policy read_policy(std::string_view yaml, const std::string& file,
                   const std::vector<std::string>& upstreams, std::vector<Fault>& faults);

}  // namespace sluice
