// sluice simulate: what a described day of traffic costs under a policy. Calls nobody.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/learning/learned_file.h"
#include "policies/simulate.h"

namespace sluice {
namespace {

struct SimulateOptions {
    std::string policy;
    std::string workload;
    std::string learned;
    bool json = false;
};

std::string percent(PicoSum part, PicoSum whole) {
    if (whole == 0) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%",
                  100.0 * static_cast<double>(part) / static_cast<double>(whole));
    return text;
}

using Sums = std::map<std::string, SimulatedSum>;

std::vector<std::string> names_of(const Sums& sums) {
    std::vector<std::string> names;
    for (const auto& [name, sum] : sums) names.push_back(name);
    return names;
}

void print_sums(const char* head, const std::vector<std::string>& order, const Sums& sums) {
    std::printf("%-16s %10s %14s %14s %14s %14s\n", head, "requests", "in_tokens", "out_tokens",
                "cost_usd", "baseline_usd");
    for (const std::string& name : order) {
        auto found = sums.find(name);
        if (found == sums.end()) continue;
        const SimulatedSum& sum = found->second;
        std::printf("%-16s %10lld %14lld %14lld %14s %14s\n", name.empty() ? "-" : name.c_str(),
                    static_cast<long long>(sum.requests), static_cast<long long>(sum.input_tokens),
                    static_cast<long long>(sum.output_tokens), short_usd(sum.cost).c_str(),
                    short_usd(sum.baseline).c_str());
    }
}

void print_break_even(const BreakEven& own) {
    std::printf("\nself-hosting %s: a machine costs $%s a day\n", own.upstream.c_str(),
                short_usd(own.host_day).c_str());
    if (own.tokens == 0) {
        std::printf("  this day sends nothing there: the machine would stand idle\n");
        return;
    }
    std::printf("  this day: %lld output tokens, %s of %s; $%s per million really made\n",
                static_cast<long long>(own.tokens), percent(own.tokens, own.capacity).c_str(),
                own.machines == 1 ? "one machine" : "one machine, so several are needed",
                short_usd(own.per_mtok).c_str());
    std::printf("  always busy it would be $%s; %s costs $%s per million (its input included)\n",
                short_usd(own.per_mtok_full).c_str(), own.instead_of.c_str(),
                short_usd(own.rented_per_mtok).c_str());
    if (own.break_even_tokens < 0) {
        std::printf("  no break-even: %s costs nothing\n", own.instead_of.c_str());
        return;
    }
    if (own.break_even_use > 1) {
        std::printf("  no break-even: even a machine that is always busy is dearer\n");
        return;
    }
    std::printf(
        "  break-even: %lld output tokens a day (%lld such requests, %.1f %% of a machine), "
        "%.1f times this day\n",
        static_cast<long long>(own.break_even_tokens),
        static_cast<long long>(own.break_even_requests), own.break_even_use * 100,
        static_cast<double>(own.break_even_tokens) / static_cast<double>(own.tokens));
}

void print_text(const Policy& policy, const Simulation& day) {
    std::vector<std::string> tiers;
    for (const PolicyTier& tier : policy.tiers) tiers.push_back(tier.name);
    print_sums("tier", tiers, day.tiers);
    bool teams = day.teams.size() > 1 || !day.teams.contains("");
    if (teams && day.total.requests > 0) {
        std::printf("\n");
        print_sums("team", names_of(day.teams), day.teams);
    }
    std::printf("\n");
    for (const SimulatedGroup& group : day.groups) {
        std::string where;
        for (const auto& [tier, sum] : group.tiers)
            where += (where.empty() ? "" : ", ") + std::to_string(sum.requests) + " to " + tier;
        if (group.refused > 0)
            where += (where.empty() ? "" : ", ") + std::to_string(group.refused) +
                     " refused: " + group.refusal;
        std::printf("group %s: %s\n", group.name.c_str(), where.c_str());
        if (group.stayed > 0)
            std::printf("  %lld stay with their session's upstream: %s\n",
                        static_cast<long long>(group.stayed), group.stay.c_str());
    }
    std::printf("\n%-20s $%s\n%-20s $%s\n%-20s $%s (%s)\n", "total",
                short_usd(day.total.cost).c_str(), ("all on " + day.baseline_tier).c_str(),
                short_usd(day.total.baseline).c_str(), "saved",
                short_usd(day.total.baseline - day.total.cost).c_str(),
                percent(day.total.baseline - day.total.cost, day.total.baseline).c_str());
    if (day.paced)
        std::printf("%-20s %.4g %s, %.4g wanted; thresholds shifted by %.3f to %.3f\n", "pace",
                    day.paced->units, policy.pace.tier.empty() ? "dollars" : "of the requests",
                    day.paced->wanted, day.paced->shift_low, day.paced->shift_high);
    for (const BreakEven& own : day.self_hosting) print_break_even(own);
}

std::string json_sum(const SimulatedSum& sum) {
    return "\"requests\":" + std::to_string(sum.requests) +
           ",\"in_tokens\":" + std::to_string(sum.input_tokens) +
           ",\"in_cache_read_tokens\":" + std::to_string(sum.cached_tokens) +
           ",\"out_tokens\":" + std::to_string(sum.output_tokens) +
           ",\"cost_usd\":" + sum_text(sum.cost) + ",\"baseline_usd\":" + sum_text(sum.baseline);
}

std::string json_sums(const char* key, const Sums& sums) {
    std::string out = "[";
    for (const auto& [name, sum] : sums) {
        out += out.size() > 1 ? ",{\"" : "{\"";
        out += std::string(key) + "\":";
        append_json_string(out, name);
        out += "," + json_sum(sum) + "}";
    }
    return out + "]";
}

std::string json_group(const SimulatedGroup& group) {
    std::string out = "{\"group\":";
    append_json_string(out, group.name);
    out += ",\"tiers\":" + json_sums("tier", group.tiers) +
           ",\"refused\":" + std::to_string(group.refused);
    if (group.refused > 0) {
        out += ",\"refusal\":";
        append_json_string(out, group.refusal);
    }
    out += ",\"stayed\":" + std::to_string(group.stayed);
    if (group.stayed > 0) {
        out += ",\"stay\":";
        append_json_string(out, group.stay);
    }
    return out + "}";
}

std::string json_break_even(const BreakEven& own) {
    std::string out = "{\"upstream\":";
    append_json_string(out, own.upstream);
    out += ",\"instead_of\":";
    append_json_string(out, own.instead_of);
    out += ",\"out_tokens\":" + std::to_string(own.tokens) +
           ",\"machine_out_tokens_max\":" + std::to_string(own.capacity) +
           ",\"machines\":" + std::to_string(own.machines) +
           ",\"machine_day_usd\":" + sum_text(own.host_day) +
           ",\"rented_day_usd\":" + sum_text(own.rented_day) +
           ",\"usd_per_mtok\":" + sum_text(own.per_mtok) +
           ",\"usd_per_mtok_always_busy\":" + sum_text(own.per_mtok_full) +
           ",\"rented_usd_per_mtok\":" + sum_text(own.rented_per_mtok);
    bool pays = own.break_even_tokens >= 0 && own.break_even_use <= 1;
    out += ",\"break_even_out_tokens_a_day\":" +
           (pays ? std::to_string(own.break_even_tokens) : "null") +
           ",\"break_even_requests_a_day\":" +
           (pays ? std::to_string(own.break_even_requests) : "null");
    return out + "}";
}

void print_json(const Policy& policy, const Simulation& day) {
    std::string out = "{\"policy\":";
    append_json_string(out, policy.file);
    out += ",\"policy_version\":";
    append_json_string(out, policy.version);
    out += ",\"total_usd\":" + sum_text(day.total.cost) +
           ",\"baseline_usd\":" + sum_text(day.total.baseline) + ",\"baseline_tier\":";
    append_json_string(out, day.baseline_tier);
    out += ",\"saved_usd\":" + sum_text(day.total.baseline - day.total.cost) +
           ",\"requests\":" + std::to_string(day.total.requests) +
           ",\"refused\":" + std::to_string(day.refused) +
           ",\"tiers\":" + json_sums("tier", day.tiers) +
           ",\"teams\":" + json_sums("team", day.teams) + ",\"groups\":[";
    for (std::size_t i = 0; i < day.groups.size(); ++i)
        out += (i == 0 ? "" : ",") + json_group(day.groups[i]);
    out += "],\"self_hosting\":" +
           (day.self_hosting.empty() ? "null" : json_break_even(day.self_hosting[0]));
    if (day.paced) {
        char text[160];
        std::snprintf(text, sizeof text,
                      ",\"pace\":{\"seen\":%.6g,\"wanted\":%.6g,\"shift_low\":%.4f,"
                      "\"shift_high\":%.4f}",
                      day.paced->units, day.paced->wanted, day.paced->shift_low,
                      day.paced->shift_high);
        out += text;
    }
    std::printf("%s}\n", out.c_str());
}

int run(const SimulateOptions& options) {
    std::vector<Fault> faults;
    auto policy_text = read_text_file(options.policy);
    auto workload_text = read_text_file(options.workload);
    for (const auto& [file, text] :
         {std::pair(&options.policy, &policy_text), std::pair(&options.workload, &workload_text)}) {
        if (*text) continue;
        std::fprintf(stderr, "%s: cannot read this file (of at most 16 MiB)\n", file->c_str());
        return 1;
    }
    Policy policy = read_policy(*policy_text, options.policy, {}, faults);
    Workload workload;
    if (faults.empty())
        workload = read_workload(*workload_text, options.workload, policy, today_utc(), faults);
    if (!faults.empty()) {
        std::fprintf(stderr, "%s\n", faults_error(faults).message.c_str());
        return 1;
    }
    LearnerModel learned;
    if (!options.learned.empty()) {
        auto read = read_champion(options.learned, Classifier::builtin()->version());
        if (!read) {
            std::fprintf(stderr, "%s\n", read.error().message.c_str());
            return 1;
        }
        learned = std::move(*read);
    }
    Simulation day = simulate(policy, workload, *Classifier::builtin(), learned.weights.get());
    for (const std::string& name : day.unpriced)
        std::fprintf(stderr, "%s: note: upstream '%s' has no price here, left out\n",
                     workload.file.c_str(), name.c_str());
    if (options.json)
        print_json(policy, day);
    else
        print_text(policy, day);
    return 0;
}

}  // namespace

void add_simulate(Command& app, int& status) {
    Command command =
        app.add_subcommand("simulate", "Says what a described day of traffic costs under a policy");
    auto options = std::make_shared<SimulateOptions>();
    command.add_option("--policy", options->policy, "policy file").required();
    command.add_option("--workload", options->workload, "workload file").required();
    command.add_option("--learned", options->learned,
                       "what a gateway has learned: prompts are read so");
    command.add_flag("--json", options->json, "one JSON object on stdout");
    command.footer(
        "Example:\n  sluice simulate --policy policies/examples/mixed_day.policy.yaml \\\n"
        "    --workload policies/examples/mixed_day.yaml");
    command.callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
