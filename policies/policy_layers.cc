// A policy, the files that it extends and its teams' files, as one: found, read base first, their
// rules put in order.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "policies/policy_reading.h"
#include "policies/rule_cover.h"
#include "policies/rule_union.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

// One file that could be parsed.
struct Layer {
    std::string file;
    Cursor root;
    std::string team = {};             // whose rules alone it has
    std::optional<Cursor> named = {};  // where, of a team's
};

class Chain {
public:
    Chain(Policy& policy, std::vector<Fault>& faults, const PolicyLoader& load)
        : policy_(policy), faults_(faults), load_(load) {}

    // This file, then what it extends: the base last.
    std::vector<Layer> follow(std::string_view yaml, const std::string& file) {
        std::vector<Layer> layers;
        std::string path = file, text(yaml);
        for (;;) {
            policy_.files.push_back(path);
            policy_.texts.push_back(text);
            if (text.size() > policy_bytes_max) {
                faults_.push_back(Fault{path, 1, 1, "", "a policy has at most 1 MiB"});
                break;
            }
            auto root = Cursor::parse(text, path, faults_);
            if (!root || !root->expect_map()) break;
            layers.push_back({path, *root});
            auto extends = root->find("extends");
            if (!extends) break;
            if (layers.size() >= extends_depth_max) {
                extends->fault("expected at most " + std::to_string(extends_depth_max) +
                               " files that extend each other");
                break;
            }
            auto below = find(*extends);
            if (!below) break;
            path = below->path;
            text = std::move(below->text);
        }
        return layers;
    }

    // The files that `teams` of these layers name, each once.
    std::vector<Layer> teams(std::vector<Layer>& layers) {
        std::vector<Layer> out;
        std::map<std::string, std::string> named;  // team -> where
        for (Layer& layer : layers) {
            auto teams = layer.root.find("teams");
            if (!teams) continue;
            for (auto& [team, at] : teams->pairs()) {
                auto [first, fresh] =
                    named.emplace(team, at.file() + ":" + std::to_string(at.line()));
                if (!fresh)
                    at.fault("team '" + team + "' has its file already (" + first->second + ")");
                else if (named.size() > teams_max)
                    at.fault("expected at most " + std::to_string(teams_max) + " teams");
                else if (!printable(team))
                    at.fault("a team's name is printable ASCII, at most 128 bytes");
                else
                    read_team(team, at, out);
            }
        }
        return out;
    }

private:
    struct Found {
        std::string path, text;
    };

    void read_team(const std::string& team, Cursor& at, std::vector<Layer>& out) {
        auto found = find(at);
        if (!found) return;
        policy_.files.push_back(found->path);
        policy_.texts.push_back(found->text);
        auto root = Cursor::parse(found->text, found->path, faults_);
        if (root && root->expect_map()) out.push_back({found->path, *root, team, at});
    }

    // The file that is named here, beside the one that names it.
    std::optional<Found> find(Cursor& at) {
        auto name = at.text();
        if (!name) return {};
        std::filesystem::path given(*name);
        std::filesystem::path beside = std::filesystem::path(at.file()).parent_path() / given;
        std::string found = (given.is_absolute() ? given : beside).lexically_normal().string();
        auto& files = policy_.files;
        auto same = [&](const std::string& one) {
            return std::filesystem::path(one).lexically_normal().string() == found;
        };
        if (std::any_of(files.begin(), files.end(), same)) {
            at.fault("'" + *name + "' is read already: a file stands in a policy once");
            return {};
        }
        auto bytes = load_(found);
        if (bytes) bytes_ += bytes->size();
        if (bytes && bytes_ > all_bytes_max) {
            at.fault("a policy's files have at most 4 MiB together");
            return {};
        }
        if (bytes) return Found{found, std::move(*bytes)};
        at.fault("cannot read " + found + " (of at most 1 MiB)");
        policy_.files.push_back(found);  // watched, so that it is read once it is there
        policy_.texts.emplace_back();
        return {};
    }

    Policy& policy_;
    std::vector<Fault>& faults_;
    const PolicyLoader& load_;
    std::size_t bytes_ = 0;  // of the files that others name
};

// A team's rules take nobody's place: they come before those of the company.
void refuse_named(std::vector<PolicyReading>& layers) {
    std::map<std::string_view, const PolicyRule*> named;
    for (PolicyReading& layer : layers)
        for (std::size_t r = 0; r < layer.rules.size(); ++r) {
            auto [first, fresh] = named.emplace(layer.rules[r].name, &layer.rules[r]);
            if (fresh || layer.team.empty()) continue;
            layer.places[r].fault("rule '" + layer.rules[r].name + "' is already in " +
                                  first->second->file + " on line " +
                                  std::to_string(first->second->line));
        }
}

// A rule of a file takes the place of one with its name in a file that it extends.
void replace_named(std::vector<PolicyReading>& layers, std::size_t upper) {
    for (std::size_t r = 0; r < layers[upper].rules.size(); ++r) {
        const std::string& name = layers[upper].rules[r].name;
        for (std::size_t lower = 0; lower < upper; ++lower) {
            PolicyReading& base = layers[lower];
            for (std::size_t i = 0; i < base.rules.size(); ++i) {
                if (base.rules[i].name != name || name.empty()) continue;
                if (base.rules[i].locked) {
                    layers[upper].places[r].fault("rule '" + name + "' is locked by " + base.file +
                                                  ":" + std::to_string(base.rules[i].line));
                    continue;
                }
                base.replaced[i] = true;
            }
        }
    }
}

// Whether the rule lets a request go to this tier and to none but those that it names.
bool keeps_to(const PolicyRule& rule, const std::string& tier) {
    const auto& canary = rule.effects.canary;
    if (rule.order.empty() && rule.on_unavailable == OnUnavailable::next) return false;
    return rule.tier == tier || (canary && canary->tier == tier) ||
           std::find(rule.order.begin(), rule.order.end(), tier) != rule.order.end();
}

// A locked rule that keeps requests to a tier keeps them to the upstreams that it knew.
void keep_locked_tiers(std::vector<PolicyReading>& layers, std::size_t upper) {
    for (auto& [tier, place] : layers[upper].changed)
        for (std::size_t lower = 0; lower < upper; ++lower)
            for (const PolicyRule& rule : layers[lower].rules)
                if (rule.locked && keeps_to(rule, tier))
                    place.fault("tier '" + tier + "' is where locked rule '" + rule.name + "' (" +
                                rule.file + ":" + std::to_string(rule.line) +
                                ") keeps requests: its upstreams may not be changed here");
}

// Locked rules of the base first, then the teams', then every file's own before those of the file
// it extends. A rule that an overriding file has taken over is not a fault, one that its own file
// has is.
class Ordering {
public:
    explicit Ordering(Policy& policy) : policy_(policy) {}

    void run(std::vector<PolicyReading>& layers) {  // base first
        for (const PolicyReading& one : layers) is_team_.push_back(!one.team.empty());
        for (std::size_t i = 0; i < layers.size(); ++i) append(layers, i, true);
        for (std::size_t i = layers.size(); i-- > 0;) append(layers, i, false);
        for (const PolicyRule& rule : policy_.rules) policy_.index.add(rule.match);
    }

private:
    void append(std::vector<PolicyReading>& layers, std::size_t layer, bool locked) {
        PolicyReading& from = layers[layer];
        for (std::size_t i = 0; i < from.rules.size(); ++i) {
            if (from.rules[i].locked != locked || from.replaced[i]) continue;
            if (from.sound[i]) check(from.rules[i], from.places[i], layer);
            layer_.push_back(layer);
            sound_.push_back(from.sound[i]);
            policy_.rules.push_back(std::move(from.rules[i]));
        }
    }

    void check(const PolicyRule& rule, Cursor& place, std::size_t layer) {
        if (contradicts_itself(rule.match, together_left_))
            return place.fault("never reached: no request has all that it asks for");
        std::vector<const RuleMatch*> earlier;
        std::vector<const PolicyRule*> takers;
        for (std::size_t i = 0; i < policy_.rules.size(); ++i) {
            const bool of_other_team = layer_[i] != layer && is_team_[layer];
            if (!sound_[i] || layer_[i] > layer || (of_other_team && is_team_[layer_[i]])) continue;
            earlier.push_back(&policy_.rules[i].match);
            takers.push_back(&policy_.rules[i]);
            if (covers(*earlier.back(), rule.match, steps_left_))
                return fault_taken(rule, place, {takers.back()});
        }
        std::vector<const PolicyRule*> several;
        for (std::size_t i : covered_together(earlier, rule.match, together_left_))
            several.push_back(takers[i]);
        if (!several.empty()) fault_taken(rule, place, several);
    }

    static void fault_taken(const PolicyRule& rule, Cursor& place,
                            const std::vector<const PolicyRule*>& takers) {
        constexpr std::size_t named_max = 5;
        std::string names;
        for (std::size_t i = 0; i < takers.size() && i < named_max; ++i) {
            std::string where = takers[i]->file == rule.file ? "" : takers[i]->file + " ";
            names += (i == 0 ? "" : ", ") + ("'" + takers[i]->name) + "' (" + where + "line " +
                     std::to_string(takers[i]->line) + ")";
        }
        if (takers.size() > named_max)
            names += " and " + std::to_string(takers.size() - named_max) + " more";
        place.fault("never reached: all that it matches is taken by rule" +
                    (takers.size() == 1 ? " " + names : "s " + names + " together"));
    }

    Policy& policy_;
    std::vector<bool> is_team_;       // of each layer
    std::vector<std::size_t> layer_;  // parallel to policy_.rules
    std::vector<bool> sound_;
    std::int64_t steps_left_ = 200'000'000;  // about a second's worth
    std::int64_t together_left_ = 50'000'000;
};

bool is_too_long(const Policy& policy, const std::vector<PolicyReading>& layers,
                 std::vector<Fault>& faults) {
    std::size_t rules = 0;
    for (const PolicyReading& layer : layers) rules += layer.rules.size();
    if (rules <= all_rules_max) return false;
    faults.push_back(Fault{policy.file, 1, 1, "rules",
                           "expected at most " + std::to_string(all_rules_max) +
                               " rules in all files together, got " + std::to_string(rules)});
    return true;
}

// What a file that extends this one has taken out of the tiers.
void check_names(const Policy& policy, std::vector<Fault>& faults) {
    for (const PolicyRule& rule : policy.rules)
        if (!rule.upstream.empty() && policy.tier_of(rule.upstream) == nullptr)
            faults.push_back(Fault{rule.file, rule.line, 1, "rules",
                                   "upstream '" + rule.upstream + "' of rule '" + rule.name +
                                       "' is no longer in a tier of " + policy.file});
    for (const auto& [name, target] : policy.aliases)
        if (target != "auto" && !policy.tier(target) && !policy.tier_of(target) && target != name)
            faults.push_back(Fault{
                policy.file, 1, 1, "aliases",
                "alias '" + name + "' stands for '" + target + "', which is no longer in a tier"});
}

}  // namespace

std::optional<std::string> load_policy_file(const std::string& path) {
    std::error_code no;  // a pipe would be waited for
    if (!std::filesystem::is_regular_file(path, no)) return {};
    std::ifstream in(path, std::ios::binary);
    std::string bytes(policy_bytes_max + 1, '\0');
    if (!in) return {};
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    if (!in.eof() || bytes.size() > policy_bytes_max) return {};
    return bytes;
}

std::string policy_version(const std::vector<std::string>& texts) {
    std::string digests;
    for (const std::string& text : texts)
        digests += digests.empty() ? sha256_hex(text) : "," + sha256_hex(text);
    return (texts.size() == 1 ? digests : sha256_hex(digests)).substr(0, 12);
}

Policy read_policy(std::string_view yaml, const std::string& file,
                   const std::vector<std::string>& upstreams, std::vector<Fault>& faults,
                   const PolicyLoader& load) {
    Policy policy;
    policy.file = file;
    std::size_t known = faults.size();
    Chain chain(policy, faults, load);
    std::vector<Layer> files = chain.follow(yaml, file);
    policy.company_version = policy_version(policy.texts);
    std::vector<Layer> teams = chain.teams(files);
    policy.version = policy_version(policy.texts);
    std::vector<PolicyReading> layers;
    auto read = [&](const Layer& layer, std::int16_t offset) {
        layers.push_back(PolicyReading{policy, upstreams, faults, layer.file, layer.team});
        layers.back().offset_minutes = offset;
        read_layer(layers.back(), layer.root);
    };
    for (auto layer = files.rbegin(); layer != files.rend(); ++layer)
        read(*layer, layers.empty() ? std::int16_t{0} : layers.back().offset_minutes);
    const std::int16_t offset = layers.empty() ? std::int16_t{0} : layers.back().offset_minutes;
    for (Layer& team : teams) {
        check_caller(*team.named, "team", team.team, policy.callers.teams);
        read(team, offset);
    }
    if (policy.baseline_tier.empty() && !policy.tiers.empty())
        policy.baseline_tier = policy.tiers.back().name;
    spread_strengths(policy);
    for (std::size_t upper = 1; upper < layers.size(); ++upper) {
        if (!layers[upper].team.empty()) continue;
        replace_named(layers, upper);
        keep_locked_tiers(layers, upper);
    }
    if (!teams.empty()) refuse_named(layers);
    if (is_too_long(policy, layers, faults)) return policy;
    Ordering(policy).run(layers);
    if (faults.size() == known && layers.size() > 1) check_names(policy, faults);
    std::stable_sort(faults.begin() + static_cast<std::ptrdiff_t>(known), faults.end(),
                     [](const Fault& a, const Fault& b) {
                         return std::tie(a.file, a.line, a.column) <
                                std::tie(b.file, b.line, b.column);
                     });
    return policy;
}

}  // namespace sluice
