// sluice check FILE...: every fault of config and policy files, as file:line:col: path: message.
#include <cstdio>
#include <string>
#include <vector>

#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/config_notes.h"
#include "gateway/config_yaml.h"

namespace sluice {
namespace {

enum class Sort { config, policy, team_rules };

// A file with `upstreams:` is a configuration; one without, but with `tiers:` or `extends:`, a
// policy; one with neither, but with `rules:`, a team's part of one.
Sort sort_of(const std::string& text, const std::string& file) {
    std::vector<Fault> ignored;  // the real pass reports them
    auto root = Cursor::parse(text, file, ignored);
    if (!root || root->find("upstreams")) return Sort::config;
    if (root->find("tiers") || root->find("extends")) return Sort::policy;
    return root->find("rules") ? Sort::team_rules : Sort::config;
}

// A policy read by itself does not know the upstreams: any name will do.
bool check_policy(const std::string& text, const std::string& file) {
    std::vector<Fault> faults;
    read_policy(text, file, {}, faults);
    for (const Fault& fault : faults) std::fprintf(stderr, "%s\n", fault.text().c_str());
    return faults.empty();
}

bool check_config(const std::string& file) {
    auto config = load_config(file, today_utc());
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().message.c_str());
        return false;
    }
    for (const std::string* left_out : {&(*config)->classifier_fault, &(*config)->rollback_fault}) {
        if (left_out->empty()) continue;
        std::fprintf(stderr, "%s\n", left_out->c_str());
        return false;
    }
    auto gate = golden_gate(**config, nullptr);
    if (!gate) {
        std::fprintf(stderr, "%s: %s\n", file.c_str(), gate.error().message.c_str());
        return false;
    }
    for (const std::string& warning : (*config)->warnings)
        std::fprintf(stderr, "%s: note: %s\n", file.c_str(), warning.c_str());
    for (const std::string& off : (*config)->disabled)
        std::fprintf(stderr, "%s: note: upstream %s, left out\n", file.c_str(), off.c_str());
    bool good = true;
    for (const NameNote& note : name_notes(**config)) {
        std::fprintf(stderr, "%s\n", note.said.c_str());
        good = good && !note.mistyped;
    }
    return good;
}

bool check_file(const std::string& file) {
    auto text = read_text_file(file);
    if (!text) {
        std::fprintf(stderr, "%s: cannot read this file (of at most 16 MiB)\n", file.c_str());
        return false;
    }
    const Sort sort = sort_of(*text, file);
    if (sort != Sort::team_rules)
        return sort == Sort::policy ? check_policy(*text, file) : check_config(file);
    std::fprintf(stderr,
                 "%s: has rules but neither tiers nor what it extends: a team's rules are checked "
                 "with the policy that names this file under 'teams'\n",
                 file.c_str());
    return false;
}

}  // namespace

void add_check(Command& app, int& status) {
    Command command = app.add_subcommand("check", "Check configuration and policy files");
    auto files = std::make_shared<std::vector<std::string>>();
    command.add_option("FILE", *files, "YAML files").required();
    command.footer("Example:\n  sluice check deploy/quickstart.yaml deploy/quickstart.policy.yaml");
    command.callback([files, &status] {
        bool good = true;
        for (const std::string& file : *files) good = check_file(file) && good;
        status = good ? 0 : 1;
    });
}

}  // namespace sluice
