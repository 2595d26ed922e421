// sluice test FILE.test.yaml...: a platform team's cases against its policy. Calls nobody.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/learning/learned_file.h"
#include "policies/policy_cases.h"

namespace sluice {
namespace {

struct Counts {
    int passed = 0, failed = 0;
    bool broken = false;  // a file that could not be read or run
};

void print_json(const std::string& file, const CaseResult& result) {
    std::string out = "{\"file\":";
    append_json_string(out, file);
    out += ",\"line\":" + std::to_string(result.line) + ",\"case\":";
    append_json_string(out, result.name);
    out += std::string(",\"passed\":") + (result.failures.empty() ? "true" : "false") +
           ",\"failures\":[";
    for (std::size_t i = 0; i < result.failures.size(); ++i) {
        if (i > 0) out += ',';
        append_json_string(out, result.failures[i]);
    }
    out += "],\"why\":";
    append_json_string(out, result.why);
    std::printf("%s}\n", out.c_str());
}

void print_failure(const std::string& file, const CaseResult& result) {
    for (const std::string& failure : result.failures)
        std::fprintf(stderr, "%s:%d: %s: %s\n", file.c_str(), result.line, result.name.c_str(),
                     failure.c_str());
    std::fprintf(stderr, "    why: %s\n", result.why.c_str());
}

void run_file(const std::string& file, bool json, const OnlineWeights* learned, Counts& counts) {
    auto text = read_text_file(file);
    std::vector<Fault> faults;
    if (!text) {
        std::fprintf(stderr, "%s: cannot read this file (of at most 16 MiB)\n", file.c_str());
        counts.broken = true;
        return;
    }
    auto results = run_policy_cases(*text, file, *Classifier::builtin(), today_utc(), faults,
                                    load_policy_file, learned);
    if (!faults.empty()) {
        std::fprintf(stderr, "%s\n", faults_error(faults).message.c_str());
        counts.broken = true;
        return;
    }
    for (const CaseResult& result : results) {
        ++(result.failures.empty() ? counts.passed : counts.failed);
        if (json)
            print_json(file, result);
        else if (!result.failures.empty())
            print_failure(file, result);
    }
}

}  // namespace

void add_test(Command& app, int& status) {
    Command command = app.add_subcommand("test", "Runs a policy's own cases");
    auto files = std::make_shared<std::vector<std::string>>();
    auto json = std::make_shared<bool>(false);
    command.add_option("FILE", *files, "NAME.test.yaml files").required();
    command.add_flag("--json", *json, "one JSON object a case on stdout");
    auto learned = std::make_shared<std::string>();
    command.add_option("--learned", *learned, "what a gateway has learned: prompts are read so");
    command.footer("Example:\n  sluice test policies/examples/data_residency.test.yaml");
    command.callback([files, json, learned, &status] {
        Counts counts;
        LearnerModel model;
        if (!learned->empty()) {
            auto read = read_champion(*learned, Classifier::builtin()->version());
            if (!read) {
                std::fprintf(stderr, "%s\n", read.error().message.c_str());
                status = 1;
                return;
            }
            model = std::move(*read);
        }
        for (const std::string& file : *files) run_file(file, *json, model.weights.get(), counts);
        if (!*json) std::printf("%d passed, %d failed\n", counts.passed, counts.failed);
        status = counts.failed == 0 && !counts.broken ? 0 : 1;
    });
}

}  // namespace sluice
