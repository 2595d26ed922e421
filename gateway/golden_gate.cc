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

// What served before: by the result's own memory, and by what serves now.
Status against_before(const GateCandidate& candidate, const GoldenResult& result,
                      const Config* running) {
    if (result.before) {
        Status held = good_enough(candidate, result, *result.before);
        if (!held) return held;
    }
    if (running == nullptr || !running->golden || !running->golden->result) return Done{};
    GoldenResult now = *running->golden->result;
    if (now.golden_sha256 != running->golden->set->sha256) return Done{};
    std::vector<std::string> routed = routed_tiers(*running, *running->golden->set);
    for (std::size_t i = 0; i < now.cases.size() && i < routed.size(); ++i)
        now.cases[i].routed = routed[i];
    return good_enough(candidate, result, now);
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
    Status good = against_before(candidate, *golden.result, running);
    if (!good)
        return refused(good.error().message, "to accept the loss all the same, remove " +
                                                 golden.result_file + " and " + measure);
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
