// The YAML a platform team edits, read into values. Immutable after load. Format documented in
// policies/README.md, read in policies/*_yaml.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "policies/learning_policy.h"
#include "policies/pace.h"
#include "policies/rule_index.h"
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

// A share of a rule's requests that goes elsewhere.
struct Canary {
    double percent = 0;
    std::string tier;
    bool operator==(const Canary&) const = default;
};

// What a decision does besides choosing where to.
struct RuleEffects {
    std::optional<std::int64_t> max_tokens;  // the longest answer; a caller may ask for less
    // Tier -> effort, "" for every tier not named; replaces what the caller asked for.
    std::map<std::string, std::string, std::less<>> reasoning_effort;
    std::optional<Canary> canary;
    double shadow_percent = 0;  // of answers that the next tier is asked for, too
    bool operator==(const RuleEffects&) const = default;
};

struct PolicyRule {
    std::string name;
    std::string owner;
    RuleMatch match;
    // Exactly one of these, or none with `decide`: then the effects only.
    std::string tier;
    std::vector<std::string> order;  // these tiers, in this order, and no other
    std::string upstream;
    std::string refuse;   // the message a refused caller reads
    bool decide = false;  // `use: auto`: as if no rule had matched
    OnUnavailable on_unavailable = OnUnavailable::next;
    RuleEffects effects;
    bool locked = false;  // stays before the rules of files that extend its own
    std::string file;
    int line = 0;
};

// Where requests that match may go at most, whatever a rule, a model's name or a fallback says.
struct Confinement {
    std::string name;
    std::string owner;
    RuleMatch match;
    std::uint32_t tiers = 0;  // a bit a tier, in the policy's order
    std::string file;
    int line = 0;
};

// What answers are worth, where tiers are compared by value.
struct Scoring {
    struct Tier {
        double strength = 0;         // 0 the weakest .. 1 the strongest
        double first_token_s = 0.5;  // expected, until measured
        double token_s = 0.02;       // likewise, for each further token
        double output_factor = 1;    // its answers' tokens, over what the classifier expects
    };
    struct For {
        RuleMatch match;
        Money value;
    };
    bool by_value = false;    // else by difficulty bands
    Money value;              // of a right answer
    std::vector<For> values;  // the first that matches, before `value`
    Money per_second;         // of waiting
    Money switch_cost;        // a session changes its upstream for more than this only
    std::vector<Tier> tiers;  // parallel to the policy's
};

struct DifficultyBand {
    double below = 2.0;  // exclusive; the last band's is above 1
    std::string tier;
};

// All that conditions and `teams` may name, sorted; an empty list: any. A name that is not of the
// list is a fault, so that a slip cannot free what a rule or a confinement was to hold.
struct NamedCallers {
    std::vector<std::string> orgs, teams, keys;
};

struct Policy {
    std::string file;
    std::string owner;                 // whom to ask; the nearest file's that says so
    std::string version;               // first 12 hex digits of a SHA-256 over all its files' bytes
    std::string company_version;       // the same without its teams' files
    std::vector<std::string> files;    // this one, what it extends, then its teams'
    std::vector<std::string> texts;    // of `files`, as they were read; empty: not to be read
    std::vector<PolicyTier> tiers;     // cheapest first; at most 32
    std::vector<PolicyRule> rules;     // in the order they are tried
    RuleIndex index;                   // of rules
    std::vector<Confinement> confine;  // all that match hold
    std::vector<DifficultyBand> bands;  // the default rule, ascending
    RuleEffects effects;                // where no rule matches
    Scoring scoring;
    Pace pace;
    LearningPolicy learning;
    // Model asked -> auto, a tier or an upstream; aliases of aliases are resolved when read.
    std::map<std::string, std::string, std::less<>> aliases;
    std::string baseline_tier;         // "what it would have cost": default the last tier
    std::vector<std::string> headers;  // lower case: those that rules may match
    // Lower case: all that a request may say of its data; a request that says something else is
    // refused. Empty: anything.
    std::vector<std::string> data_classes;
    NamedCallers callers;

    const PolicyTier* tier(std::string_view name) const;
    const PolicyTier* tier_of(std::string_view upstream) const;
    // The band of a difficulty: by the default rule, nullptr only in a policy without bands.
    const DifficultyBand* band(double difficulty) const;
};

// Policy::version of these files' bytes, its own first.
std::string policy_version(const std::vector<std::string>& texts);

// The bytes of a file that a policy names, or nothing.
using PolicyLoader = std::function<std::optional<std::string>(const std::string& path)>;
std::optional<std::string> load_policy_file(const std::string& path);  // from the disk

// Reads a policy, what it extends and its teams' files. `upstreams` are the names the config
// defines, those without a key in the environment included: a policy that refers to another is a
// fault with a suggestion. None given: any will do, for checking a policy by itself. Every fault is
// appended, by file, line and column; the result is usable only if none was.
Policy read_policy(std::string_view yaml, const std::string& file,
                   const std::vector<std::string>& upstreams, std::vector<Fault>& faults,
                   const PolicyLoader& load = load_policy_file);

constexpr std::size_t policy_bytes_max = 1 << 20;  // of one file
constexpr std::size_t extends_depth_max = 8;
constexpr std::size_t teams_max = 1'000;
constexpr std::size_t all_bytes_max = 4 << 20;  // of all files of a policy
constexpr std::size_t all_rules_max = 5'000;

}  // namespace sluice
