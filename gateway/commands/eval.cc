// sluice eval: a golden set through chosen tiers. Threads: main (calls), engine, ledger.
#include <unistd.h>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "gateway/commands.h"
#include "gateway/config_notes.h"
#include "gateway/config_yaml.h"
#include "gateway/eval/code_run.h"
#include "gateway/eval/eval_report.h"
#include "gateway/eval/tier_identity.h"
#include "gateway/golden_gate.h"
#include "gateway/utc_text.h"

namespace sluice {
namespace {

struct EvalOptions {
    std::string config = "deploy/quickstart.yaml";
    std::string golden, save, max_usd;
    std::vector<std::string> tiers;
    double tolerance = 0.02;
    int parallel = 4;
    bool run_code = false;
    bool save_text = false;
    bool json = false;
};

Error wrong(const std::string& message) { return Error(Errc::bad_config, message); }

Result<GoldenSet> load_golden(const EvalOptions& options) {
    auto text = read_text_file(options.golden);
    if (!text) return wrong(options.golden + ": cannot read this file (of at most 16 MiB)");
    std::vector<Fault> faults;
    GoldenSet set = read_golden(*text, options.golden, faults);
    if (!faults.empty()) return faults_error(faults);
    return set;
}

// What must be so before anything is asked, since asking costs money.
Status may_begin(const EvalOptions& options, const GoldenSet& set) {
    if (set.asks_judge() && options.max_usd.empty())
        return wrong("this set asks a judge: say with --max-usd what the run may cost at most");
    if (!set.runs_code()) return Done{};
    if (!options.run_code)
        return wrong("this set runs code that models write: allow it with --run-code");
    return code_can_run();
}

Result<std::vector<AskedTier>> tiers_of(const EvalOptions& options, const GoldenSet& set,
                                        const Config& config, Fleet& fleet) {
    std::vector<std::string> names = options.tiers;
    if (set.asks_judge()) names.push_back(set.judge.tier);
    std::vector<AskedTier> out;
    for (const std::string& name : names) {
        auto tier = asked_tier(config, fleet, name);
        if (!tier) return tier.error();
        out.push_back(std::move(*tier));
    }
    return out;
}

// On a terminal a line that is written over, else one every tenth.
class ProgressLine {
public:
    void show(const char* phase, std::size_t done, std::size_t of) {
        constexpr std::size_t wide = 30;
        if (terminal_) {
            std::size_t full = done * wide / of;
            std::fprintf(stderr, "\r%-12s [%s%s] %zu of %zu%s", phase,
                         std::string(full, '#').c_str(), std::string(wide - full, ' ').c_str(),
                         done, of, done == of ? "\n" : "");
        } else if (done == of || done * 10 / of != (done - 1) * 10 / of) {
            std::fprintf(stderr, "%s: %zu of %zu\n", phase, done, of);
        }
    }

private:
    const bool terminal_ = isatty(STDERR_FILENO) == 1;
};

Result<GoldenResult> result_of(const Config& config, const GoldenSet& set, const Evaluation& run) {
    GoldenResult out;
    out.made = utc_text(std::time(nullptr));
    out.golden_sha256 = set.sha256;
    out.policy_version = config.policy.version;
    out.judge_cost = run.judge_cost();
    std::vector<std::string> routed = routed_tiers(config, set);
    for (std::size_t i = 0; i < set.cases.size(); ++i)
        out.cases.push_back({set.cases[i].id, set.cases[i].digest,
                             std::string(scorer_name(set.cases[i].scorer)), routed[i]});
    out.tiers = run.measured();
    for (MeasuredTier& tier : out.tiers) {
        auto identity = identity_of(config, *config.policy.tier(tier.tier));
        if (!identity) return identity.error();
        tier.identity = *identity;
    }
    return out;
}

// What was saved before becomes `before` of what is saved now if it was good enough itself; else
// its own `before` stays the measure, so that measuring twice hides no loss. Tiers that were not
// asked this time keep what was measured of them, if the golden file is the same.
void join_last(const Config& config, const GoldenSet& set, const GoldenResult& last,
               double tolerance, GoldenResult& result) {
    std::vector<ConfiguredTier> then;
    for (const MeasuredTier& tier : last.tiers) {
        then.push_back({tier.tier, tier.identity});
        bool same_set = last.golden_sha256 == result.golden_sha256;
        bool known = config.policy.tier(tier.tier) != nullptr;
        if (same_set && known && result.tier(tier.tier) == nullptr) result.tiers.push_back(tier);
    }
    std::vector<std::string> routed;
    for (const MeasuredCase& one : last.cases) routed.push_back(one.routed);
    GateCandidate candidate{set, then, routed, tolerance};
    bool whole = std::all_of(last.tiers.begin(), last.tiers.end(),
                             [](const MeasuredTier& tier) { return tier.errors.empty(); });
    bool good = whole && (!last.before || good_enough(candidate, last, *last.before));
    result.before = good ? std::make_shared<const GoldenResult>(last) : last.before;
}

// Whole or not at all: a gateway may be watching the file.
Status save(const std::string& path, const GoldenResult& result) {
    std::string beside = path + ".new";
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out << write_result(result);
    out.close();
    std::error_code failed;
    if (out) std::filesystem::rename(beside, path, failed);
    if (!out || failed) return Error(Errc::bad_file, path + ": cannot write this file");
    return Done{};
}

Status keep(const EvalOptions& options, const Config& config, const GoldenSet& set,
            GoldenResult result, std::vector<std::string>& failures) {
    auto last = load_result(options.save);
    if (!last && std::filesystem::exists(options.save)) return last.error();
    // What this call bears is this call's: what was good enough is the gate's to say.
    const double gate = config.golden ? config.golden->tolerance : GoldenSection().tolerance;
    if (last) join_last(config, set, *last, std::min(gate, options.tolerance), result);
    if (result.before) {
        std::vector<ConfiguredTier> tiers;
        for (const MeasuredTier& tier : result.tiers) tiers.push_back({tier.tier, tier.identity});
        GateCandidate candidate{set, tiers, routed_tiers(config, set), options.tolerance};
        Status good = good_enough(candidate, result, *result.before);
        if (!good) failures.push_back(good.error().message);
    }
    return save(options.save, result);
}

Result<bool> finish(const EvalOptions& options, const Config& config, const GoldenSet& set,
                    const Evaluation& run) {
    auto result = result_of(config, set, run);
    if (!result) return result.error();
    EvalReport report{set, run, *result, options.tolerance,
                      failures_of(*result, options.tolerance)};
    if (!options.save.empty()) {
        Status kept = keep(options, config, set, *result, report.failures);
        if (!kept) return kept.error();
    }
    std::string text = options.json ? report_json(report) : report_text(report);
    std::fputs(text.c_str(), stdout);
    for (const std::string& failure : report.failures)
        std::fprintf(stderr, "failed: %s\n", failure.c_str());
    return report.failures.empty();
}

Result<bool> evaluate(const EvalOptions& options) {
    auto set = load_golden(options);
    if (!set) return set.error();
    auto may = may_begin(options, *set);
    if (!may) return may.error();
    AskLimits limits;
    limits.parallel = options.parallel;
    if (!options.max_usd.empty()) {
        auto most = parse_usd(options.max_usd);
        if (!most) return wrong("--max-usd: " + most.error().message);
        limits.spend_max = *most;
    }
    auto config = load_config(options.config, today_utc());
    if (!config) return config.error();
    if (std::string note = classifier_note(**config); !note.empty())
        std::fprintf(stderr, "%s\n", note.c_str());
    auto ledger = Ledger::open((*config)->ledger);
    if (!ledger) return ledger.error();
    auto fleet = Fleet::open(**config);
    if (!fleet) return fleet.error();
    auto tiers = tiers_of(options, *set, **config, **fleet);
    if (!tiers) return tiers.error();

    Metrics metrics;
    Gateway gateway{**fleet, **ledger, metrics, {}, {}, {}, nullptr, Draws(), {}};
    net::io_context io(1);
    Seat seat(io);
    Asker asker(gateway, seat, io, std::move(*tiers), limits);
    net::signal_set ending(io, SIGINT, SIGTERM);
    ending.async_wait([&](boost::system::error_code failed, int) {
        if (failed) return;
        asker.stop();
        ending.clear();  // a second one ends the process
    });
    Evaluation run(*set, asker, options.tiers.size(), {options.save_text});
    ProgressLine line;
    run.run([&line](const char* phase, std::size_t done, std::size_t of) {
        line.show(phase, done, of);
    });
    if (asker.stopped())
        return Error(Errc::cancelled, "stopped: what was answered is booked, nothing is saved");
    if (asker.not_booked() > 0)
        std::fprintf(stderr, "%zu answers are not on record yet: the ledger is behind\n",
                     asker.not_booked());
    return finish(options, **config, *set, run);
}

}  // namespace

void add_eval(Command& app, int& status) {
    Command command =
        app.add_subcommand("eval", "Runs a golden set through tiers and compares them");
    auto options = std::make_shared<EvalOptions>();
    command.add_option("--golden", options->golden, "the set: policies/golden/README.md")
        .required();
    command.add_option("--tiers", options->tiers, "a,b,...: the first is what others are held to")
        .required()
        .delimiter(',');
    command.add_option("--config", options->config, "configuration file (deploy/quickstart.yaml)");
    command.add_option("--tolerance", options->tolerance, "loss of mean score to bear (0.02)")
        .in_range(0.0, 1.0);
    command.add_option("--parallel", options->parallel, "cases in flight at once (4)")
        .in_range(1, 256);
    command.add_option("--max-usd", options->max_usd, "what the run may cost, the judge included");
    command.add_option("--save", options->save, "write the result that the gate reads");
    command.add_flag("--save-text", options->save_text, "with the answers in it");
    command.add_flag("--run-code", options->run_code, "allow cases that run a model's code");
    command.add_flag("--json", options->json, "one JSON object on stdout");
    command.footer(
        "Example:\n  sluice eval --golden policies/examples/support.golden.yaml "
        "--tiers frontier,local --config deploy/quickstart.yaml");
    command.callback([options, &status] {
        std::signal(SIGPIPE, SIG_IGN);  // an upstream that left is an error code
        auto passed = evaluate(*options);
        if (!passed) std::fprintf(stderr, "%s\n", passed.error().message.c_str());
        status = passed && *passed ? 0 : 1;
    });
}

}  // namespace sluice
