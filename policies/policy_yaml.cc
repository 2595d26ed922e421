// Reads the policy format of policies/README.md. One pass collects every fault; names are checked
// against the tiers of the same file and the upstreams of the config.
#include <algorithm>
#include <cstdio>

#include "policies/policy.h"
#include "policies/rule_cover.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

constexpr std::size_t policy_bytes_max = 1 << 20;
constexpr std::size_t tiers_max = 32;
constexpr std::size_t upstreams_per_tier_max = 64;
constexpr std::size_t bands_max = 32;
constexpr std::size_t rules_max = 1'000;
constexpr std::size_t aliases_max = 1'000;
constexpr std::size_t name_bytes_max = 128;

// Rule names travel in a response header and in metrics, so they are printable ASCII.
bool printable(std::string_view text) {
    return !text.empty() && text.size() <= name_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }) &&
           text.front() != ' ' && text.back() != ' ';
}

// Tier and alias names are also model names and metric labels.
bool plain_word(std::string_view text) {
    return printable(text) && text.find_first_of(" \"'\\,{}") == std::string_view::npos;
}

std::string listed(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

// "unknown tier 'opne', did you mean 'open'?", or what there is.
std::string unknown_name(const char* kind, const std::string& name,
                         const std::vector<std::string>& known) {
    std::string near = nearest_word(name, known);
    std::string hint = near.empty() ? "expected one of " + listed(known)
                                    : std::string("did you mean '") + near + "'?";
    return std::string("unknown ") + kind + " '" + name + "', " + hint;
}

class PolicyReader {
public:
    PolicyReader(Policy& policy, const std::vector<std::string>& upstreams,
                 const std::vector<Fault>& faults)
        : policy_(policy), upstreams_(upstreams), faults_(faults) {}

    void read(Cursor root) {
        if (!root.expect_map()) return;
        if (auto version = root.need("version"))
            if (version->integer(1, 1'000'000).value_or(1) != 1)
                version->fault("expected 1, the only version of the format there is");
        if (auto tiers = root.need("tiers")) read_tiers(*tiers);
        if (auto aliases = root.find("aliases")) read_aliases(*aliases);
        if (!policy_.tiers.empty()) policy_.baseline_tier = policy_.tiers.back().name;
        if (auto baseline = root.find("baseline")) policy_.baseline_tier = tier_name(*baseline);
        if (auto standard = root.need("default")) read_default(*standard);
        if (auto rules = root.find("rules")) read_rules(*rules);
        root.close();
    }

private:
    void read_tiers(Cursor tiers) {
        auto pairs = tiers.pairs();
        if (tiers.is_map() && pairs.empty()) tiers.fault("expected at least one tier");
        if (pairs.size() > tiers_max)
            tiers.fault("expected at most " + std::to_string(tiers_max) + " tiers");
        for (auto& [name, list] : pairs) {
            if (policy_.tier(name)) continue;  // pairs() has faulted the duplicate
            read_tier(name, list);
            tier_names_.push_back(name);
        }
    }

    void read_tier(const std::string& name, Cursor& list) {
        PolicyTier tier;
        tier.name = name;
        if (name == "auto") {
            list.fault("'auto' means that the policy decides, name the tier otherwise");
        } else if (!plain_word(name)) {
            list.fault("a tier's name is a word without spaces, quotes or commas");
        } else if (configured(name)) {
            list.fault("tier '" + name + "' has the name of an upstream, rename one of them");
        }
        auto items = list.items();
        if (list.is_list() && items.empty()) list.fault("expected at least one upstream");
        if (items.size() > upstreams_per_tier_max)
            list.fault("expected at most " + std::to_string(upstreams_per_tier_max) + " upstreams");
        for (Cursor& item : items) {
            auto upstream = item.text();
            if (!upstream) continue;
            if (!upstreams_.empty() && !configured(*upstream)) {
                item.fault(unknown_name("upstream", *upstream, upstreams_));
            } else if (std::count(tier.upstreams.begin(), tier.upstreams.end(), *upstream)) {
                item.fault("upstream '" + *upstream + "' is already in this tier");
                continue;
            } else if (const PolicyTier* other = policy_.tier_of(*upstream)) {
                item.fault("upstream '" + *upstream + "' is already in tier '" + other->name + "'");
            }
            tier.upstreams.push_back(*upstream);
        }
        policy_.tiers.push_back(std::move(tier));
    }

    void read_aliases(Cursor aliases) {
        auto pairs = aliases.pairs();
        if (pairs.size() > aliases_max)
            aliases.fault("expected at most " + std::to_string(aliases_max) + " aliases");
        std::map<std::string, std::string, std::less<>> raw;
        for (auto& [name, target] : pairs) {
            auto text = target.text();
            if (!text) continue;
            if (name == "auto" || policy_.tier(name) || configured(name)) {
                target.fault("'" + name + "' already is " +
                             (name == "auto"       ? "a word of its own"
                              : policy_.tier(name) ? "a tier"
                                                   : "an upstream") +
                             ", choose another alias");
            } else if (!printable(name)) {
                target.fault("an alias is printable ASCII, at most 128 bytes");
            }
            raw[name] = *text;
        }
        for (auto& [name, target] : pairs)
            if (target.is_scalar()) resolve_alias(name, target, raw);
    }

    // Follows `name` to its end; a loop or an unknown end is a fault.
    void resolve_alias(const std::string& name, Cursor& at,
                       const std::map<std::string, std::string, std::less<>>& raw) {
        std::string end = name;
        for (std::size_t steps = 0;; ++steps) {
            auto next = raw.find(end);
            if (next == raw.end()) break;
            end = next->second;
            if (steps > raw.size() || end == name) {
                at.fault("alias '" + name + "' leads in a circle");
                return;
            }
        }
        if (end != "auto" && !policy_.tier(end) && !policy_.tier_of(end) && end != name) {
            std::vector<std::string> known = listed_upstreams();
            known.insert(known.end(), tier_names_.begin(), tier_names_.end());
            known.push_back("auto");
            if (configured(end)) return fault_no_tier(at, end);
            at.fault(unknown_name("tier or upstream", end, known));
            return;
        }
        policy_.aliases[name] = end;
    }

    void read_default(Cursor standard) {
        if (!standard.expect_map()) return;
        if (auto bands = standard.need("bands")) read_bands(*bands);
        standard.close();
    }

    void read_bands(Cursor bands) {
        auto items = bands.items();
        if (bands.is_list() && items.empty()) bands.fault("expected at least one band");
        if (items.size() > bands_max)
            bands.fault("expected at most " + std::to_string(bands_max) + " bands");
        double reached = 0;
        for (std::size_t i = 0; i < items.size(); ++i) {
            Cursor& item = items[i];
            if (!item.expect_map()) continue;
            DifficultyBand band;
            if (auto tier = item.need("tier")) band.tier = tier_name(*tier);
            bool is_last = i + 1 == items.size();
            if (auto below = item.find("below")) {
                auto number = below->number(0, 1);
                if (is_last) {
                    below->fault("the last band must have no 'below': it takes all the rest");
                } else if (number && *number <= reached) {
                    char said[96];
                    std::snprintf(said, sizeof said, "bands must ascend: expected more than %g",
                                  reached);
                    below->fault(said);
                } else if (number) {
                    band.below = reached = *number;
                }
            } else if (!is_last) {
                item.fault("missing key 'below': only the last band has none");
            }
            item.close();
            policy_.bands.push_back(std::move(band));
        }
    }

    void read_rules(Cursor rules) {
        auto items = rules.items();
        if (items.size() > rules_max)
            rules.fault("expected at most " + std::to_string(rules_max) + " rules");
        for (Cursor& item : items) {
            if (!item.expect_map()) continue;
            std::size_t faults_before = faults_.size();
            PolicyRule rule = read_rule(item);
            bool sound = faults_.size() == faults_before;  // else its match is not what was meant
            const PolicyRule* taker = sound ? earlier_taker(rule) : nullptr;
            if (taker)
                item.fault("never reached: all that it matches is taken by rule '" + taker->name +
                           "' (line " + std::to_string(taker->line) + ")");
            sound_.push_back(sound);
            policy_.rules.push_back(std::move(rule));
            if (policy_.rules.size() > rules_max) break;
        }
    }

    const PolicyRule* earlier_taker(const PolicyRule& rule) const {
        for (std::size_t i = 0; i < policy_.rules.size(); ++i)
            if (sound_[i] && covers(policy_.rules[i].match, rule.match)) return &policy_.rules[i];
        return nullptr;
    }

    PolicyRule read_rule(Cursor& item) {
        PolicyRule rule;
        rule.line = item.line();
        if (auto name = item.need("name")) read_rule_name(*name, rule);
        if (auto owner = item.find("owner")) rule.owner = owner->text().value_or("");
        if (auto when = item.find("when")) read_match(*when, rule.match);
        int effects = 0;
        if (auto use = item.find("use")) {
            rule.tier = tier_name(*use);
            ++effects;
        }
        if (auto upstream = item.find("upstream")) {
            rule.upstream = upstream_name(*upstream);
            ++effects;
        }
        auto refuse = item.find("refuse");
        if (refuse) {
            rule.refuse = refuse->text().value_or("");
            ++effects;
        }
        if (effects != 1)
            item.fault("expected exactly one of 'use' (a tier), 'upstream' and 'refuse', got " +
                       std::to_string(effects));
        if (auto missing = item.find("on_unavailable")) {
            if (refuse)
                missing->fault("a rule that refuses has nothing to be unavailable");
            else if (missing->one_of({"next", "refuse"}) == "refuse")
                rule.on_unavailable = OnUnavailable::refuse;
        }
        item.close();
        return rule;
    }

    void read_rule_name(Cursor& at, PolicyRule& rule) {
        rule.name = at.text().value_or("");
        if (rule.name.empty()) return;
        if (!printable(rule.name))
            at.fault("a rule's name is printable ASCII, at most 128 bytes: it is sent in a header");
        if (rule.name == "default" || rule.name.starts_with("model:"))
            at.fault("'" + rule.name + "' is how reports name decisions that no rule made");
        for (const PolicyRule& other : policy_.rules)
            if (other.name == rule.name)
                at.fault("rule '" + rule.name + "' is already on line " +
                         std::to_string(other.line));
    }

    void read_match(Cursor& when, RuleMatch& match) {
        if (!when.expect_map()) return;
        read_words(when, "team", match.teams);
        read_words(when, "key", match.keys);
        read_words(when, "model", match.models);
        read_words(when, "data_class", match.data_classes);
        if (auto tags = when.find("tags")) {
            auto pairs = tags->pairs();
            if (tags->is_map() && pairs.empty()) tags->fault("expected at least one tag");
            for (auto& [tag, value] : pairs)
                if (auto text = value.text()) match.tags[tag] = *text;
        }
        if (auto tokens = when.find("input_tokens")) read_token_range(*tokens, match);
        if (auto difficulty = when.find("difficulty")) read_difficulty_range(*difficulty, match);
        if (auto tools = when.find("tools")) match.tools = tools->boolean();
        if (auto images = when.find("images")) match.images = images->boolean();
        if (auto schema = when.find("json_schema")) match.json_schema = schema->boolean();
        when.close();
    }

    static void read_words(Cursor& when, const std::string& key, std::vector<std::string>& words) {
        auto list = when.find(key);
        if (!list) return;
        words = list->texts();
        if (list->is_list() && words.empty() && list->items().empty())
            list->fault("expected at least one value: an empty list would match nothing");
    }

    static void read_token_range(Cursor& range, RuleMatch& match) {
        constexpr std::int64_t tokens_max = 1'000'000'000;
        if (!range.expect_map()) return;
        if (auto min = range.find("min")) match.input_tokens_min = min->integer(0, tokens_max);
        if (auto below = range.find("below"))
            match.input_tokens_below = below->integer(1, tokens_max);
        check_range(range, match.input_tokens_min, match.input_tokens_below);
    }

    static void read_difficulty_range(Cursor& range, RuleMatch& match) {
        if (!range.expect_map()) return;
        if (auto min = range.find("min")) match.difficulty_min = min->number(0, 1);
        if (auto below = range.find("below")) match.difficulty_below = below->number(0, 1);
        check_range(range, match.difficulty_min, match.difficulty_below);
    }

    template <class Number>
    static void check_range(Cursor& range, const std::optional<Number>& min,
                            const std::optional<Number>& below) {
        bool has_bound = range.find("min") || range.find("below");
        range.close();
        if (!has_bound) range.fault("expected 'min', 'below' or both");
        if (min && below && *min >= *below)
            range.fault("matches nothing: 'min' must be under 'below'");
    }

    std::string tier_name(Cursor& at) {
        auto name = at.text();
        if (!name) return "";
        if (!tier_names_.empty() && !policy_.tier(*name))
            at.fault(unknown_name("tier", *name, tier_names_));
        return *name;
    }

    std::string upstream_name(Cursor& at) {
        auto name = at.text();
        if (!name) return "";
        if (policy_.tier_of(*name) || tier_names_.empty()) return *name;
        if (configured(*name))
            fault_no_tier(at, *name);
        else
            at.fault(unknown_name("upstream", *name, listed_upstreams()));
        return *name;
    }

    static void fault_no_tier(Cursor& at, const std::string& upstream) {
        at.fault("upstream '" + upstream + "' is in no tier: add it to one, costs are by tier");
    }

    bool configured(std::string_view name) const {
        return policy_.tier_of(name) ||
               std::find(upstreams_.begin(), upstreams_.end(), name) != upstreams_.end();
    }

    // What a rule or an alias may name.
    std::vector<std::string> listed_upstreams() const {
        std::vector<std::string> names;
        for (const PolicyTier& tier : policy_.tiers)
            names.insert(names.end(), tier.upstreams.begin(), tier.upstreams.end());
        return names;
    }

    Policy& policy_;
    const std::vector<std::string>& upstreams_;
    const std::vector<Fault>& faults_;  // only to see whether something was added
    std::vector<std::string> tier_names_;
    std::vector<bool> sound_;  // per rule: read without a fault
};

}  // namespace

Policy read_policy(std::string_view yaml, const std::string& file,
                   const std::vector<std::string>& upstreams, std::vector<Fault>& faults) {
    Policy policy;
    policy.file = file;
    policy.version = sha256_hex(yaml).substr(0, 12);
    if (yaml.size() > policy_bytes_max) {
        faults.push_back(Fault{file, 1, 1, "", "a policy has at most 1 MiB"});
        return policy;
    }
    std::size_t known = faults.size();
    auto root = Cursor::parse(yaml, file, faults);
    if (root) PolicyReader(policy, upstreams, faults).read(*root);
    std::stable_sort(faults.begin() + static_cast<std::ptrdiff_t>(known), faults.end(),
                     [](const Fault& a, const Fault& b) {
                         return std::pair(a.line, a.column) < std::pair(b.line, b.column);
                     });
    return policy;
}

}  // namespace sluice
