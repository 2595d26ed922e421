// sluice policy: the versions that have been live, rolling back to one, and what a candidate in
// the shadow would have done. Works on files beside the ledger: a running gateway sees them change.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/stores/recorded.h"
#include "gateway/stores/since.h"
#include "policies/dollars.h"

namespace sluice {
namespace {

struct PolicyOptions {
    std::string config;
    std::string version;
    std::string by;
    std::string why;
    std::string since = "24h";
    bool json = false;
};

int fail(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
}

void append_field(std::string& out, const char* name, std::string_view value) {
    out += out.empty() || out.back() == '{' ? "" : ",";
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
}

// The last note of a kind is what is so now.
bool is_now(const Config& config, const PolicyActivation& one) {
    if (one.what == "live") return one.version == config.policy.version;
    return config.candidate && config.candidate->policy.version == one.version &&
           config.candidate->what() == one.what;
}

int list(const PolicyOptions& options) {
    auto config = load_config(options.config, today_utc());
    if (!config) return fail(config.error());
    PolicyVersions versions((*config)->policy_versions);
    for (const std::string& one : versions.damage()) std::fprintf(stderr, "%s\n", one.c_str());
    auto all = versions.activations();
    if (!all) return fail(all.error());
    for (const PolicyActivation& one : *all) {
        bool now = is_now(**config, one);
        if (options.json) {
            std::string out = "{";
            append_field(out, "at", one.at);
            append_field(out, "version", one.version);
            append_field(out, "what", one.what);
            append_field(out, "owner", one.owner);
            append_field(out, "file", one.file);
            append_field(out, "why", one.why);
            std::printf("%s,\"now\":%s}\n", out.c_str(), now ? "true" : "false");
            continue;
        }
        std::printf("%c %s  %s  %-12s  %s  %s (%s)\n", now ? '*' : ' ', one.at.c_str(),
                    one.version.c_str(), one.what.c_str(),
                    one.owner.empty() ? "-" : one.owner.c_str(), one.file.c_str(), one.why.c_str());
    }
    if (all->empty()) std::fprintf(stderr, "no policy has been live yet with this configuration\n");
    return 0;
}

// The version that was live before the one that is now.
std::string version_before(const std::vector<PolicyActivation>& all, const std::string& now) {
    for (auto one = all.rbegin(); one != all.rend(); ++one)
        if (one->what == "live" && one->version != now) return one->version;
    return "";
}

bool was_live(const std::vector<PolicyActivation>& all, const std::string& version) {
    return std::any_of(all.begin(), all.end(), [&](const PolicyActivation& one) {
        return one.what == "live" && one.version == version;
    });
}

// The policy file has faults: a running gateway has not taken it up, one that starts would not.
int roll_back_faulty(const PolicyOptions& options, const Error& faults) {
    PolicyRollback any{"*", options.version, options.by, options.why, ""};
    auto next = load_config(options.config, today_utc(), nullptr, &any);
    if (!next || !(*next)->rolled_back) return fail(next ? faults : next.error());
    Status gate = golden_gate(**next, nullptr);
    if (!gate) return fail(gate.error());
    const PolicyRollback& rollback = *(*next)->rolled_back;
    Status done = PolicyVersions((*next)->policy_versions).roll_back(rollback);
    if (!done) return fail(done.error());
    std::printf("policy %s is live in place of %s, which has faults\n", rollback.to.c_str(),
                rollback.from.c_str());
    return 0;
}

int roll_back(const PolicyOptions& options) {
    auto now = load_config(options.config, today_utc());
    if (!now) return roll_back_faulty(options, now.error());
    PolicyVersions versions((*now)->policy_versions);
    auto all = versions.activations();
    if (!all) return fail(all.error());
    std::string to = options.version;
    if (to.empty() && (*now)->rolled_back)
        return fail(Error(Errc::invalid_request,
                          "the policy is rolled back already, from " + (*now)->rolled_back->from +
                              " to " + (*now)->rolled_back->to +
                              ": name the version with --to, or end it by `sluice policy resume`"));
    if (to.empty()) to = version_before(*all, (*now)->policy.version);
    if (to.empty())
        return fail(Error(Errc::not_found, "no other version has been live yet: nothing to go to"));
    auto kept = versions.kept(to);
    if (!kept) return fail(kept.error());
    if (!was_live(*all, kept->version) && kept->version != (*now)->policy.version)
        return fail(Error(Errc::invalid_request,
                          "version " + kept->version +
                              " was on trial and never live: what it confines and locks was not "
                              "held to; to make it live, change the policy file"));
    PolicyRollback rollback;
    rollback.from = (*now)->rolled_back ? (*now)->rolled_back->from : (*now)->policy.version;
    rollback.to = kept->version;
    rollback.by = options.by;
    rollback.why = options.why;
    // What the gateway will do with it, before it does.
    auto next = load_config(options.config, today_utc(), nullptr, &rollback);
    if (!next) return fail(next.error());
    Status gate = golden_gate(**next, now->get());
    if (!gate) return fail(gate.error());
    if ((*next)->rolled_back) rollback.company = (*next)->rolled_back->company;
    bool back = rollback.to == rollback.from;  // to the file's own: no rollback is left
    Status done = back ? versions.resume() : versions.roll_back(rollback);
    if (!done) return fail(done.error());
    std::printf("policy %s is live in place of %s; a running gateway takes it up within 2 s\n",
                rollback.to.c_str(), (*now)->policy.version.c_str());
    if (!back)
        std::printf("it stays so until %s has another version than %s, or `sluice policy resume`\n",
                    (*now)->rolled_back ? "the policy file" : (*now)->policy.file.c_str(),
                    rollback.from.c_str());
    return 0;
}

int resume(const PolicyOptions& options) {
    auto now = load_config(options.config, today_utc());
    if (now && !(*now)->rolled_back) {
        std::fprintf(stderr, "the policy file is live already: version %s\n",
                     (*now)->policy.version.c_str());
        return 1;
    }
    // A rollback over whose lost versions nothing starts can be ended, too.
    const PolicyRollback none;
    auto next = load_config(options.config, today_utc(), nullptr, &none);
    if (!next) return fail(now ? next.error() : now.error());
    Status gate = golden_gate(**next, now ? now->get() : nullptr);
    if (!gate) return fail(gate.error());
    Status done = PolicyVersions((*next)->policy_versions).resume();
    if (!done) return fail(done.error());
    std::printf("policy %s of %s is live again; a running gateway takes it up within 2 s\n",
                (*next)->policy.version.c_str(), (*next)->policy.file.c_str());
    return 0;
}

int show(const PolicyOptions& options) {
    auto config = load_config(options.config, today_utc());
    if (!config) return fail(config.error());
    auto kept = PolicyVersions((*config)->policy_versions).kept(options.version);
    if (!kept) return fail(kept.error());
    for (const auto& [path, text] : kept->files)
        std::printf("# %s\n%s%s", path.c_str(), text.c_str(), text.ends_with('\n') ? "" : "\n");
    return 0;
}

// What one candidate in the shadow would have done with a tier's requests.
struct Beside {
    std::int64_t requests = 0;
    PicoSum cost = 0, would = 0;
    std::int64_t unpriced = 0;
};
using BesideMoves = std::map<std::pair<std::string, std::string>, Beside>;

Result<std::map<std::string, BesideMoves>> read_beside(const Config& config, std::int64_t from) {
    auto path = sqlite_path(config.ledger.url);
    if (!path) return path.error();
    auto database = open_ledger_to_read(*path);
    if (!database) return database.error();
    std::map<std::string, BesideMoves> out;
    DecisionRecord record;
    Labels labels;
    auto add = [&](const RecordedRequest& one) {
        if (!one.answered || !read_record(one.decision, record, labels)) return;
        if (record.beside_version.empty()) return;
        Beside& line = out[record.beside_version][{std::string(one.tier), record.beside_tier}];
        ++line.requests;
        line.cost += one.cost.pico_usd;
        const Upstream* other = config.upstream(record.beside_upstream);
        if (one.tier == record.beside_tier)
            line.would += one.cost.pico_usd;
        else if (other != nullptr)
            line.would += cost_of(one.usage, other->price).pico_usd;
        else if (record.beside_tier != "refused")
            ++line.unpriced;
    };
    Status read = each_recorded(database->get(), *path, from, add);
    if (!read) return read.error();
    return out;
}

void print_beside(const std::string& version, const BesideMoves& moves, bool json) {
    Beside total;
    std::int64_t moved = 0;
    for (const auto& [way, line] : moves) {
        total.requests += line.requests;
        total.cost += line.cost;
        total.would += line.would;
        if (way.first != way.second) moved += line.requests;
        if (!json) continue;
        std::string out = "{";
        append_field(out, "version", version);
        append_field(out, "from", way.first);
        append_field(out, "to", way.second);
        std::printf("%s,\"requests\":%lld,\"cost_usd\":%s,\"would_cost_usd\":%s}\n", out.c_str(),
                    static_cast<long long>(line.requests), sum_text(line.cost).c_str(),
                    sum_text(line.would).c_str());
    }
    if (json) return;
    std::printf("candidate %s: %lld of %lld requests would change their tier (%.1f %%)\n",
                version.c_str(), static_cast<long long>(moved),
                static_cast<long long>(total.requests),
                100.0 * static_cast<double>(moved) / static_cast<double>(total.requests));
    for (const auto& [way, line] : moves)
        std::printf("  %-10s -> %-10s %8lld requests  $%s -> $%s%s\n", way.first.c_str(),
                    way.second.c_str(), static_cast<long long>(line.requests),
                    short_usd(line.cost).c_str(), short_usd(line.would).c_str(),
                    line.unpriced > 0 ? " (upstreams without a price are left out)" : "");
    std::printf("  %-24s %8lld requests  $%s -> $%s, at the same tokens\n", "total",
                static_cast<long long>(total.requests), short_usd(total.cost).c_str(),
                short_usd(total.would).c_str());
}

int shadow(const PolicyOptions& options) {
    auto config = load_config(options.config, today_utc());
    if (!config) return fail(config.error());
    auto from = since_ms(options.since);
    if (!from) {
        std::fprintf(stderr, "%s\n", from.error().message.c_str());
        return 2;
    }
    auto beside = read_beside(**config, *from);
    if (!beside) return fail(beside.error());
    for (const auto& [version, moves] : *beside) print_beside(version, moves, options.json);
    if (beside->empty()) {
        std::fprintf(stderr, "no request of the last %s was decided by a candidate in the shadow\n",
                     options.since.c_str());
        return 1;
    }
    return 0;
}

using Options = std::shared_ptr<PolicyOptions>;

Command add_one(Command& policy, const Options& options, const char* name, const char* help,
                int (*run)(const PolicyOptions&), int& status) {
    Command command = policy.add_subcommand(name, help);
    command.add_option("--config", options->config, "configuration file").required();
    command.callback([options, run, &status] { status = run(*options); });
    return command;
}

}  // namespace

void add_policy(Command& app, int& status) {
    Command policy =
        app.add_subcommand("policy", "Versions of the policy: list, roll back, compare");
    policy.require_subcommand();
    policy.footer(  // of those below, too
        "Example:\n  sluice policy list --config sluice.yaml\n"
        "  sluice policy rollback --config sluice.yaml --why 'refunds went to the wrong tier'\n"
        "  sluice policy resume --config sluice.yaml\n"
        "  sluice policy show --config sluice.yaml 3f9c01\n"
        "  sluice policy shadow --config sluice.yaml --since 24h");
    auto options = std::make_shared<PolicyOptions>();
    const char* user = std::getenv("USER");
    options->by = user == nullptr ? "unknown" : user;
    options->why = "no reason given";
    Command listing =
        add_one(policy, options, "list", "What was live when, and whose it is", list, status);
    listing.add_flag("--json", options->json, "one JSON object a line");
    Command back = add_one(policy, options, "rollback", "Make an earlier version live at once",
                           roll_back, status);
    back.add_option("--to", options->version, "its version; default the one that was live before");
    back.add_option("--by", options->by, "who does it (default $USER)");
    back.add_option("--why", options->why, "why");
    add_one(policy, options, "resume", "End a rollback: the policy file is live again", resume,
            status);
    Command text = add_one(policy, options, "show", "Print a version's files", show, status);
    text.add_option("VERSION", options->version, "or its beginning").required();
    Command beside = add_one(policy, options, "shadow",
                             "What the candidate in the shadow would have done", shadow, status);
    beside.add_option("--since", options->since, "30m, 24h, 7d or all (default 24h)");
    beside.add_flag("--json", options->json, "one JSON object a line");
}

}  // namespace sluice
