#include "gateway/policy_section.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/reply.h"
#include "policies/route.h"
#include "policies/rule_cover.h"

namespace sluice {
namespace {

// A policy file with what it extends; all of them are watched.
std::optional<Policy> read_file(Cursor& at, Config& config, const std::vector<std::string>& names,
                                std::vector<Fault>& faults) {
    std::string path = beside(config.file, at.text().value_or(""));
    auto text = read_text_file(path);
    config.files.push_back(path);
    if (!text) {
        at.fault("cannot read " + path + " (of at most 16 MiB)");
        return {};
    }
    Policy policy = read_policy(*text, path, names, faults);
    config.files.insert(config.files.end(), policy.files.begin() + 1, policy.files.end());
    return policy;
}

void read_candidate(Cursor& at, Config& config, const std::vector<std::string>& names,
                    std::vector<Fault>& faults) {
    if (!at.expect_map()) return;
    PolicyCandidate candidate;
    auto percent = at.find("canary_percent");
    if (percent) candidate.percent = percent->number(0, 100).value_or(0);
    auto shadow = at.find("shadow");
    if (shadow) candidate.shadow = shadow->boolean().value_or(false);
    if (percent.has_value() == candidate.shadow)
        at.fault(
            "expected either canary_percent, the share of requests that it decides, or "
            "'shadow: true', to decide beside the live policy only");
    if (auto path = at.need("path"))
        if (auto policy = read_file(*path, config, names, faults)) {
            candidate.policy = std::move(*policy);
            config.candidate = std::make_shared<const PolicyCandidate>(std::move(candidate));
        }
    at.close();
}

// Whether every tier that it allows is one that the other does.
bool within(const Confinement& inner, const Policy& inner_of, const Confinement& outer,
            const Policy& outer_of) {
    for (std::size_t i = 0; i < inner_of.tiers.size(); ++i) {
        if ((inner.tiers >> i & 1) == 0) continue;
        const PolicyTier* same = outer_of.tier(inner_of.tiers[i].name);
        if (same == nullptr || (outer.tiers >> (same - outer_of.tiers.data()) & 1) == 0)
            return false;
        for (const std::string& name : inner_of.tiers[i].upstreams)
            if (outer_of.tier_of(name) != same) return false;
    }
    return true;
}

// A class that the live policy does not know is refused: a canary that let it pass would send a
// slip such as "restriced" wherever its rules say.
void keep_classes(Cursor& at, const Policy& live, const Policy& trial) {
    auto known = [&live](const std::string& one) {
        const auto& all = live.data_classes;
        return std::find(all.begin(), all.end(), one) != all.end();
    };
    if (live.data_classes.empty() ||
        (!trial.data_classes.empty() &&
         std::all_of(trial.data_classes.begin(), trial.data_classes.end(), known)))
        return;
    at.fault("the candidate " + trial.file + " takes classes of data that " + live.file +
             " does not list in data_classes: a canary may add none, and lists some");
}

// Data that the live policy keeps in some place, a canary keeps there, too: for a share of the
// requests is no smaller leak. Who means to end a confinement ends it in the live policy.
void keep_confined(Cursor& at, const Config& config) {
    if (!config.candidate || config.candidate->shadow) return;
    const Policy& trial = config.candidate->policy;
    keep_classes(at, config.policy, trial);
    std::int64_t steps_left = 10'000'000;
    for (const Confinement& live : config.policy.confine) {
        bool kept = false;
        for (const Confinement& one : trial.confine)
            kept = kept || (within(one, trial, live, config.policy) &&
                            covers(one.match, live.match, steps_left));
        if (!kept)
            at.fault("the candidate " + trial.file + " would not keep what '" + live.name + "' (" +
                     live.file + ":" + std::to_string(live.line) +
                     ") confines: a canary may drop or widen none");
    }
}

// Whether they decide alike what they match, and go to the same places.
bool same_effect(const PolicyRule& one, const Policy& one_of, const PolicyRule& other,
                 const Policy& other_of) {
    auto upstreams = [](const Policy& policy, const std::string& name) {
        const PolicyTier* tier = policy.tier(name);
        return tier == nullptr ? std::vector<std::string>() : tier->upstreams;
    };
    bool placed = upstreams(one_of, one.tier) == upstreams(other_of, other.tier);
    for (const std::string& name : one.order)
        placed = placed && upstreams(one_of, name) == upstreams(other_of, name);
    if (const auto& share = one.effects.canary)  // the same tier, as both effects are
        placed = placed && upstreams(one_of, share->tier) == upstreams(other_of, share->tier);
    return placed && one.tier == other.tier && one.order == other.order &&
           one.upstream == other.upstream && one.refuse == other.refuse &&
           one.decide == other.decide && one.on_unavailable == other.on_unavailable &&
           one.effects == other.effects;
}

// What the live policy has locked comes first in a canary, too, in its order and unchanged: a share
// of the requests is no smaller exception. Who means to end a lock ends it in the live policy.
void keep_locked(Cursor& at, const Config& config) {
    if (!config.candidate || config.candidate->shadow) return;
    const Policy& trial = config.candidate->policy;
    std::int64_t steps_left = 10'000'000;
    std::size_t next = 0;  // locked rules are the first ones of a policy
    for (const PolicyRule& live : config.policy.rules) {
        if (!live.locked) break;
        const PolicyRule* same = next < trial.rules.size() ? &trial.rules[next] : nullptr;
        bool kept = same != nullptr && same->locked &&
                    covers(same->match, live.match, steps_left) &&
                    covers(live.match, same->match, steps_left) &&
                    same_effect(*same, trial, live, config.policy);
        ++next;
        if (kept) continue;
        return at.fault("the candidate " + trial.file + " would not keep rule '" + live.name +
                        "', which " + live.file + ":" + std::to_string(live.line) +
                        " has locked: a canary may drop, change or overtake none, and adds locked "
                        "rules behind them");
    }
}

// The kept version that a rollback puts in the place of the file's; `to` becomes its whole name.
// Errors: it cannot be had.
Result<Policy> read_version(const Config& config, const std::vector<std::string>& names,
                            PolicyRollback& rollback, std::vector<Fault>& faults) {
    const std::string to = "rolled back to version " + rollback.to;
    auto kept = PolicyVersions(config.policy_versions).kept(rollback.to);
    if (!kept) return Error(Errc::bad_config, to + ": " + kept.error().message);
    rollback.to = kept->version;
    const auto& [file, text] = kept->files[0];
    Policy policy = read_policy(text, file, names, faults, kept->loader());
    if (policy.version != rollback.to)
        return Error(Errc::bad_config,
                     to + ", but its copy in " + config.policy_versions + " has been changed");
    return policy;
}

void take_version(Config& config, Policy policy, PolicyRollback rollback) {
    config.policy = std::move(policy);
    config.rolled_back = std::move(rollback);
    config.warnings.push_back("the policy is rolled back from version " + config.rolled_back->from +
                              " to " + config.rolled_back->to + " by " + config.rolled_back->by +
                              ", " + config.rolled_back->at + ": " + config.rolled_back->why);
}

// In the place of a version that cannot be had: what was live last of those that can.
bool take_other(Config& config, const std::vector<std::string>& names,
                const PolicyRollback& rollback) {
    auto all = PolicyVersions(config.policy_versions).activations();
    if (!all) return false;
    std::set<std::string> tried = {rollback.from, rollback.to};
    for (auto one = all->rbegin(); one != all->rend(); ++one) {
        if (one->what != "live" || !tried.insert(one->version).second) continue;
        PolicyRollback other = rollback;
        other.to = one->version;
        std::vector<Fault> of_copy;
        auto policy = read_version(config, names, other, of_copy);
        if (!policy || !of_copy.empty()) continue;
        take_version(config, std::move(*policy), std::move(other));
        return true;
    }
    return false;
}

// What `sluice policy` asks for must be had. A rollback in force whose version is damaged is named,
// and another version that was live serves; the one that was withdrawn never does, rather nothing
// starts. Of a rollback whose own file is damaged nobody knows what it withdrew: the policy file's
// version serves.
void roll_back(Cursor& at, Config& config, const std::vector<std::string>& names,
               const PolicyRollback* instead, std::vector<Fault>& faults) {
    PolicyVersions versions(config.policy_versions);
    std::optional<PolicyRollback> rollback;
    if (instead != nullptr) {
        rollback = *instead;
    } else {
        auto read = versions.rollback();
        if (!read) config.rollback_fault = read.error().message;
        if (read) rollback = std::move(*read);
    }
    if (!rollback || rollback->from.empty()) return;  // as `resume` asks: the file decides
    if (rollback->from == "*") rollback->from = config.policy.version;
    const std::string& company = config.policy.company_version;
    if (instead != nullptr) rollback->company = company;
    if (rollback->from != config.policy.version && rollback->company != company) return;
    if (rollback->to.empty())
        if (auto live = versions.last_live(rollback->from)) rollback->to = live->version;
    std::vector<Fault> of_copy;
    auto policy = read_version(config, names, *rollback, of_copy);
    if (policy) {
        faults.insert(faults.end(), of_copy.begin(), of_copy.end());
        return take_version(config, std::move(*policy), std::move(*rollback));
    }
    const std::string& why = policy.error().message;
    if (instead != nullptr) return at.fault(why);
    if (!take_other(config, names, *rollback))
        return at.fault(why + "; version " + rollback->from +
                        " was withdrawn and no other one is kept: mend the copy, change the "
                        "policy file, or end the rollback with 'sluice policy resume'");
    config.rollback_fault =
        why + "; version " + config.rolled_back->to + ", which was live before, serves instead";
}

}  // namespace

std::string PolicyCandidate::what() const {
    if (shadow) return "shadow";
    char text[32];
    auto end = std::to_chars(text, text + sizeof text, percent, std::chars_format::general, 6).ptr;
    return "canary " + std::string(text, end) + " %";
}

void read_policy_section(Cursor& root, Config& config, const std::vector<std::string>& names,
                         const PolicyRollback* instead, std::vector<Fault>& faults) {
    auto at = root.need("policy");
    if (!at) return;
    if (config.ledger.url.size() > 7)
        config.policy_versions = config.ledger.url.substr(7) + ".policies";
    std::optional<Policy> policy;
    std::vector<Fault> own;  // of a file that is rolled back nobody minds them
    if (at->is_map()) {
        if (auto folder = at->find("versions"))
            config.policy_versions = beside(config.file, folder->text().value_or(""));
        if (auto path = at->need("path")) policy = read_file(*path, config, names, own);
        if (auto candidate = at->find("candidate"))
            read_candidate(*candidate, config, names, faults);
        at->close();
    } else {
        policy = read_file(*at, config, names, own);
    }
    if (policy) config.policy = std::move(*policy);
    if (policy && !config.policy_versions.empty()) roll_back(*at, config, names, instead, faults);
    if (!config.rolled_back) faults.insert(faults.end(), own.begin(), own.end());
    if (!policy || config.policy_versions.empty()) return;
    auto candidate = at->is_map() ? at->find("candidate") : std::nullopt;
    if (candidate) keep_confined(*candidate, config);
    if (candidate) keep_locked(*candidate, config);
    config.files.push_back(PolicyVersions(config.policy_versions).rollback_file());
    config.replaced_whole.push_back(config.files.back());
}

const Policy& policy_for(const Config& config, double chance) {
    if (!config.candidate || config.candidate->shadow) return config.policy;
    bool taken = chance * 100 < config.candidate->percent;
    return taken ? config.candidate->policy : config.policy;
}

}  // namespace sluice
