// sluice replay: a candidate policy over the ledger's requests. Calls nobody.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/learning/learned_file.h"
#include "gateway/stores/recorded.h"
#include "gateway/stores/since.h"
#include "policies/replay.h"

namespace sluice {
namespace {

struct ReplayOptions {
    std::string policy;
    std::string ledger;
    std::string config;
    std::string learned;
    std::string since = "7d";
    std::string format = "table";
    bool json = false;
};

// Prices without a configuration: the price book's for the vendor and model on record, else what an
// output token has cost on average.
std::vector<Upstream> upstreams_on_record(const RecordedSpan& span,
                                          std::vector<std::string>& notes) {
    std::vector<Upstream> out;
    std::string today = today_utc();
    for (const auto& [name, seen] : span.upstreams) {
        Upstream one;
        one.name = name;
        one.images = true;
        one.price_known = true;
        one.vendor.name = seen.vendor;
        one.model = seen.model;
        const PriceEntry* entry = PriceBook::builtin().find(seen.vendor, seen.model, today);
        if (entry != nullptr) {
            one.price = entry->price;
        } else {
            if (seen.output_tokens > 0)
                one.price.output = static_cast<std::int64_t>(seen.cost / seen.output_tokens);
            notes.push_back("the price of " + name +
                            " is not in the price book: taken as its mean on record, $" +
                            short_usd(PicoSum{one.price.output} * 1'000'000) +
                            " per million output tokens, input included");
        }
        out.push_back(std::move(one));
    }
    return out;
}

std::string dollars_with(const ReplayLine& line) {
    auto plus = [](PicoSum sum) { return (sum < 0 ? "" : "+") + short_usd(sum); };
    return plus(line.would - line.recorded) + " [" + plus(line.change.low) + ", " +
           plus(line.change.high) + "]";
}

using Rows = std::vector<std::vector<std::string>>;

Rows rows_of(const ReplayReport& report) {
    Rows rows = {{"", "requests", "new", "cost_usd", "new_cost_usd", "change_usd [95 %]"}};
    auto add = [&rows](const std::string& name, const ReplayLine& line) {
        rows.push_back({name, std::to_string(line.recorded_requests),
                        std::to_string(line.new_requests), short_usd(line.recorded),
                        short_usd(line.would), dollars_with(line)});
    };
    for (const ReplayLine& line : report.tiers) add("tier " + line.name, line);
    for (const ReplayLine& line : report.teams)
        add("team " + (line.name.empty() ? "-" : line.name), line);
    add("total", report.total);
    return rows;
}

void print_rows(const Rows& rows, bool markdown) {
    std::vector<std::size_t> widths(rows[0].size());
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string text = markdown ? "|" : "";
        for (std::size_t i = 0; i < widths.size(); ++i) {
            std::string pad(widths[i] - rows[r][i].size(), ' ');
            text += (markdown ? " " : "") + (i == 0 ? rows[r][i] + pad : pad + rows[r][i]) +
                    (markdown ? " |" : "  ");
        }
        std::printf("%s\n", text.c_str());
        if (markdown && r == 0) std::printf("|---|---:|---:|---:|---:|---:|\n");
    }
}

std::string count_and_change(std::int64_t requests, PicoSum change) {
    return std::to_string(requests) + " requests, " + (change < 0 ? "" : "+") + "$" +
           short_usd(change);
}

void print_moves(const std::vector<ReplayMove>& moves, bool markdown) {
    for (const ReplayMove& move : moves) {
        std::printf("%s%s -> %s: %s\n", markdown ? "  - " : "  ", move.from.c_str(),
                    move.to.empty() ? "refused" : move.to.c_str(),
                    count_and_change(move.requests, move.change).c_str());
        for (const ReplayMover& one : move.movers) {
            bool rest = move.others > 0 && &one == &move.movers.back();
            std::string who = rest ? std::to_string(move.others) + " more"
                                   : "team " + (one.team.empty() ? "-" : one.team);
            if (!one.rule.empty()) who += ", rule " + one.rule;
            std::printf("%s%s: %s\n", markdown ? "    - " : "    ", who.c_str(),
                        count_and_change(one.requests, one.change).c_str());
        }
    }
}

void print_text(const Policy& policy, const ReplayOptions& options, const ReplayReport& report,
                bool markdown) {
    const char* item = markdown ? "- " : "";
    std::printf("%s%s (%s) over %lld requests of the last %s\n\n", markdown ? "### Replay of " : "",
                policy.file.c_str(), policy.version.c_str(),
                static_cast<long long>(report.requests), options.since.c_str());
    print_rows(rows_of(report), markdown);
    std::printf("\n%s%lld requests change their tier (%.1f %%), %lld are refused\n", item,
                static_cast<long long>(report.moved),
                report.requests > 0 ? 100.0 * static_cast<double>(report.moved) /
                                          static_cast<double>(report.requests)
                                    : 0.0,
                static_cast<long long>(report.refused));
    print_moves(report.moves, markdown);
    std::printf("%sseconds a request: %.2f recorded, %.2f expected\n", item,
                report.recorded_seconds, report.new_seconds);
    std::printf(
        "%sright answers, by the classifier's estimate: %.1f %% recorded, %.1f %% expected\n", item,
        report.recorded_ok * 100, report.new_ok * 100);
    if (!options.learned.empty())
        std::printf(
            "%sdifficulty of %lld requests by their recorded features and what was learned, "
            "of %lld as recorded\n",
            item, static_cast<long long>(report.rescored),
            static_cast<long long>(report.requests - report.rescored));
    if (report.unanswered > 0)
        std::printf("%s%lld requests without an answer are left out\n", item,
                    static_cast<long long>(report.unanswered));
    for (const std::string& note : report.notes) std::printf("%snote: %s\n", item, note.c_str());
}

std::string json_line(const char* key, const ReplayLine& line) {
    std::string out = std::string("{\"") + key + "\":";
    append_json_string(out, line.name);
    return out + ",\"requests\":" + std::to_string(line.recorded_requests) +
           ",\"new_requests\":" + std::to_string(line.new_requests) +
           ",\"cost_usd\":" + sum_text(line.recorded) +
           ",\"new_cost_usd\":" + sum_text(line.would) +
           ",\"change_usd\":" + sum_text(line.would - line.recorded) + ",\"change_usd_95\":[" +
           sum_text(line.change.low) + "," + sum_text(line.change.high) + "]}";
}

std::string json_lines(const char* key, const std::vector<ReplayLine>& lines) {
    std::string out = "[";
    for (const ReplayLine& line : lines) out += (out.size() > 1 ? "," : "") + json_line(key, line);
    return out + "]";
}

// Teams and rules; the last one has neither where it is all that are not listed.
std::string json_movers(const ReplayMove& move) {
    std::string out = "[";
    for (const ReplayMover& one : move.movers) {
        bool rest = move.others > 0 && &one == &move.movers.back();
        out += out.size() > 1 ? ",{" : "{";
        if (rest) {
            out += "\"others\":" + std::to_string(move.others);
        } else {
            out += "\"team\":";
            append_json_string(out, one.team);
            out += ",\"rule\":";
            append_json_string(out, one.rule);
        }
        out += ",\"requests\":" + std::to_string(one.requests) +
               ",\"change_usd\":" + sum_text(one.change) + "}";
    }
    return out + "]";
}

void print_json(const Policy& policy, const ReplayOptions& options, const ReplayReport& report) {
    std::string out = "{\"policy\":";
    append_json_string(out, policy.file);
    out += ",\"policy_version\":";
    append_json_string(out, policy.version);
    out += ",\"since\":";
    append_json_string(out, options.since);
    out += ",\"requests\":" + std::to_string(report.requests) +
           ",\"rescored\":" + std::to_string(report.rescored) +
           ",\"unanswered\":" + std::to_string(report.unanswered) +
           ",\"refused\":" + std::to_string(report.refused) +
           ",\"moved\":" + std::to_string(report.moved) +
           ",\"total\":" + json_line("name", report.total) +
           ",\"tiers\":" + json_lines("tier", report.tiers) +
           ",\"teams\":" + json_lines("team", report.teams) + ",\"moves\":[";
    for (std::size_t i = 0; i < report.moves.size(); ++i) {
        const ReplayMove& move = report.moves[i];
        out += i == 0 ? "{\"from\":" : ",{\"from\":";
        append_json_string(out, move.from);
        out += ",\"to\":";
        append_json_string(out, move.to);
        out += ",\"requests\":" + std::to_string(move.requests) +
               ",\"change_usd\":" + sum_text(move.change) + ",\"by\":" + json_movers(move) + "}";
    }
    char figures[256];
    std::snprintf(figures, sizeof figures,
                  "],\"seconds\":%.4f,\"new_seconds\":%.4f,\"p_ok\":%.4f,\"new_p_ok\":%.4f",
                  report.recorded_seconds, report.new_seconds, report.recorded_ok, report.new_ok);
    out += figures;
    out += ",\"notes\":[";
    for (std::size_t i = 0; i < report.notes.size(); ++i) {
        if (i > 0) out += ',';
        append_json_string(out, report.notes[i]);
    }
    std::printf("%s]}\n", out.c_str());
}

// Tiers that nothing is known of, which would otherwise be passed over. Where tiers are chosen by
// their price, nothing sound can be said without it. Errors: bad_config.
Result<std::vector<Upstream>> unpriced_tiers(const Policy& policy,
                                             const std::vector<Upstream>& upstreams, bool on_record,
                                             std::vector<std::string>& notes) {
    auto known = [&](const std::string& name) {
        return std::any_of(upstreams.begin(), upstreams.end(),
                           [&](const Upstream& one) { return one.name == name; });
    };
    std::vector<Upstream> out;
    for (const PolicyTier& tier : policy.tiers) {
        if (std::any_of(tier.upstreams.begin(), tier.upstreams.end(), known)) continue;
        std::string said = "tier '" + tier.name + "' has no upstream ";
        said += on_record ? "on record, so its price is unknown: name the configuration that has "
                            "it (--config FILE)"
                          : "that the configuration has and that is enabled, so its price is "
                            "unknown: set the variable of its key, to anything (nobody is called)";
        if (policy.scoring.by_value && !(on_record && upstreams.empty()))
            return Error(Errc::bad_config,
                         policy.file + ": " + said + "; this policy chooses by price");
        notes.push_back(said);
        Upstream& one = out.emplace_back();
        one.name = tier.upstreams.front();
        one.images = true;
        one.price_known = true;  // at nothing: no limit keeps a request from it
    }
    return out;
}

int fail(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return error.code == Errc::invalid_request ? 2 : 1;
}

int run(ReplayOptions options) {
    auto since = since_ms(options.since);
    if (!since) return fail(since.error());
    auto path = sqlite_path(options.ledger);
    if (!path) return fail(Error(Errc::invalid_request, "--ledger: " + path.error().message));
    std::vector<Fault> faults;
    auto text = read_text_file(options.policy);
    if (!text) return fail(Error(Errc::bad_file, options.policy + ": cannot read this file"));
    Policy policy = read_policy(*text, options.policy, {}, faults);
    if (!faults.empty()) return fail(faults_error(faults));
    auto database = open_ledger_to_read(*path);
    if (!database) return fail(database.error());
    std::vector<Upstream> upstreams;
    std::vector<std::string> notes;
    auto classifier = Classifier::builtin();
    if (options.config.empty()) {
        auto span = recorded_span(database->get(), *path, *since);
        if (!span) return fail(span.error());
        upstreams = upstreams_on_record(*span, notes);
    } else {
        auto config = load_config(options.config, today_utc());
        if (!config) return fail(config.error());
        upstreams = (*config)->upstreams;
        std::vector<std::string> names;
        for (const Upstream& one : upstreams) names.push_back(one.name);
        for (const std::string& off : (*config)->disabled)  // "NAME: why"
            names.push_back(off.substr(0, off.find(':')));
        policy = read_policy(*text, options.policy, names, faults);
        if (!faults.empty()) return fail(faults_error(faults));
        classifier = (*config)->classifier;
    }
    LearnerModel learned;
    ReplayScoring scoring;
    if (!options.learned.empty()) {
        auto champion = read_champion(options.learned, classifier->version());
        if (!champion) return fail(champion.error());
        learned = std::move(*champion);
        scoring = {classifier_mark(classifier->version()), learned.weights.get()};
    }
    auto unpriced = unpriced_tiers(policy, upstreams, options.config.empty(), notes);
    if (!unpriced) return fail(unpriced.error());
    Replay replay(policy, upstreams, *unpriced, scoring);
    Status read = each_recorded(database->get(), *path, *since,
                                [&replay](const RecordedRequest& one) { replay.add(one); });
    if (!read) return fail(read.error());
    ReplayReport report = replay.finish();
    report.notes.insert(report.notes.end(), notes.begin(), notes.end());
    if (options.json || options.format == "json")
        print_json(policy, options, report);
    else
        print_text(policy, options, report, options.format == "markdown");
    return 0;
}

}  // namespace

void add_replay(Command& app, int& status) {
    Command command = app.add_subcommand(
        "replay", "Says what another policy would have done to recorded traffic");
    auto options = std::make_shared<ReplayOptions>();
    command.add_option("--policy", options->policy, "the candidate policy").required();
    command.add_option("--ledger", options->ledger, "sqlite:PATH").required();
    command.add_option("--config", options->config,
                       "upstreams and prices from this configuration, not from the record");
    command.add_option("--learned", options->learned,
                       "what a gateway has learned: requests whose features are on record are "
                       "scored anew with it");
    command.add_option("--since", options->since, "30m, 24h, 7d or all (default 7d)");
    command.add_option("--format", options->format, "table, markdown or json")
        .one_of({"table", "markdown", "json"});
    command.add_flag("--json", options->json, "the same as --format json");
    command.footer(
        "Example:\n  sluice replay --policy new.policy.yaml --ledger sqlite:var/ledger.db "
        "--since 7d");
    command.callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
