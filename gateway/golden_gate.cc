#include "gateway/golden_gate.h"

#include <filesystem>

#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/eval/tier_identity.h"

namespace sluice {
namespace {

std::string command_for(const Config& config, const std::vector<ConfiguredTier>& tiers) {
    std::string names;
    for (const ConfiguredTier& one : tiers) names += (names.empty() ? "" : ",") + one.tier;
    return "sluice eval --config " + config.file + " --golden " + config.golden->set->file +
           " --tiers " + names + " --save " + config.golden->result_file;
}

Error refused(const std::string& why, const std::string& then) {
    return Error(Errc::bad_config,
                 "the golden set refuses this configuration: " + why + "; " + then);
}

// What is to be better than what: the result as it was, with the routes that were chosen then.
using Before = std::optional<GoldenResult>;

GoldenResult routed(GoldenResult result, const std::vector<std::string>& routes) {
    for (std::size_t i = 0; i < result.cases.size() && i < routes.size(); ++i)
        result.cases[i].routed = routes[i];
    return result;
}

Before as_it_serves(const Config& running) {
    if (!running.golden || !running.golden->result) return {};
    const GoldenResult& result = *running.golden->result;
    if (result.golden_sha256 != running.golden->set->sha256) return {};
    return routed(result, routed_tiers(running, *running.golden->set));
}

// Nothing serves: the policy that was live last, as it is kept. Where its copy cannot be read, what
// the result has noted of it.
Before as_it_was(const Config& next, const PolicyActivation& live) {
    const GoldenResult& result = *next.golden->result;
    if (live.version == next.policy.version) return {};
    if (auto kept = PolicyVersions(next.policy_versions).kept(live.version)) {
        std::vector<Fault> faults;
        const auto& [file, text] = kept->files[0];
        Config then = next;
        then.policy = read_policy(text, file, {}, faults, kept->loader());
        if (faults.empty()) return routed(result, routed_tiers(then, *next.golden->set));
    }
    return live.version == result.policy_version ? Before(result) : Before();
}

// A loss on purpose: measured anew under this very policy, with the result before it taken away,
// since the last policy went live.
bool accepted(const Config& next, const PolicyActivation& live) {
    const GoldenResult& result = *next.golden->result;
    return !result.before && result.policy_version == next.policy.version && result.made > live.at;
}

// What served before: by the result's own memory, by what serves now, else by what is kept.
Status against_before(const GateCandidate& candidate, const Config& next, const Config* running) {
    const GoldenResult& result = *next.golden->result;
    if (result.before) {
        Status held = good_enough(candidate, result, *result.before);
        if (!held) return held;
    }
    auto live = PolicyVersions(next.policy_versions).last_live();
    if (live && accepted(next, *live)) return Done{};
    Before before;
    if (running != nullptr)
        before = as_it_serves(*running);
    else if (live)
        before = as_it_was(next, *live);
    return before ? good_enough(candidate, result, *before) : Status(Done{});
}

// What to do about a loss.
std::string ways_out(const Config& next, const Config* running, const std::string& measure) {
    auto live = PolicyVersions(next.policy_versions).last_live();
    std::string was = running != nullptr ? running->policy.version : live ? live->version : "";
    bool trial = next.candidate && next.candidate->policy.version == next.policy.version;
    std::string back;
    if (!was.empty() && was != next.policy.version && !trial)
        back = "go back to version " + was +
               ", which was live before, by 'sluice policy rollback "
               "--config " +
               next.file + "'; ";
    return back + "to accept the loss all the same, remove " + next.golden->result_file + " and " +
           measure;
}

}  // namespace

Result<GoldenResult> load_result(const std::string& path) {
    auto text = read_text_file(path);
    if (!text) return Error(Errc::bad_file, path + ": there is no result yet");
    auto result = read_result(*text);
    if (!result) return Error(Errc::bad_file, path + ": " + result.error().message);
    return result;
}

void read_golden_section(Cursor& root, Config& config, std::vector<Fault>& faults) {
    auto at = root.find("golden");
    if (!at || !at->expect_map()) return;
    GoldenSection section;
    if (auto file = at->need("file")) {
        std::string path = beside(config.file, file->text().value_or(""));
        auto text = read_text_file(path);
        if (!text) file->fault("cannot read " + path + " (of at most 16 MiB)");
        section.set =
            std::make_shared<const GoldenSet>(read_golden(text.value_or(""), path, faults));
        config.files.push_back(path);
    }
    if (auto file = at->need("result")) {
        section.result_file = beside(config.file, file->text().value_or(""));
        auto result = load_result(section.result_file);
        if (result)
            section.result = std::make_shared<const GoldenResult>(std::move(*result));
        else
            section.result_fault = result.error().message;
        config.files.push_back(section.result_file);
    }
    if (auto field = at->find("tolerance")) section.tolerance = field->number(0, 1).value_or(0.02);
    at->close();
    config.golden = std::move(section);
}

namespace {

Status gate_live(const Config& next, const Config* running) {
    const GoldenSection& golden = *next.golden;
    auto tiers = configured_tiers(next);
    if (!tiers) return tiers.error();
    std::string measure = "measure it: " + command_for(next, *tiers);
    if (!golden.result) return refused(golden.result_fault, measure);
    GateCandidate candidate{*golden.set, *tiers, routed_tiers(next, *golden.set), golden.tolerance};
    Status fresh = fresh_enough(candidate, *golden.result);
    if (!fresh) return refused(fresh.error().message, measure);
    Status good = against_before(candidate, next, running);
    if (!good) return refused(good.error().message, ways_out(next, running, measure));
    return Done{};
}

}  // namespace

Status golden_gate(const Config& next, const Config* running) {
    if (!next.golden) return Done{};
    Status live = gate_live(next, running);
    if (!live || !next.candidate || next.candidate->shadow) return live;
    Config trial = next;
    trial.policy = next.candidate->policy;
    Status held = gate_live(trial, running);
    if (held) return held;
    return Error(held.error().code,
                 "the candidate policy " + trial.policy.file + ": " + held.error().message);
}

}  // namespace sluice
