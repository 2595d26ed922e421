// sluice classify --config FILE < requests.jsonl: difficulty, gain and tier of each, calls nobody.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "gateway/commands.h"
#include "gateway/config.h"
#include "policies/classify_lines.h"

namespace sluice {
namespace {

int classify(const std::string& file) {
    auto config = load_config(file, today_utc());
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().message.c_str());
        return 1;
    }
    std::ios::sync_with_stdio(false);
    Status done = classify_lines(*(*config)->classifier, (*config)->policy, std::cin, std::cout);
    std::cout.flush();
    if (done) return 0;
    std::fprintf(stderr, "sluice classify: %s\n", done.error().message.c_str());
    return 1;
}

}  // namespace

void add_classify(CLI::App& app, int& status) {
    auto* command =
        app.add_subcommand("classify", "Says how hard requests are, one JSON object a line.");
    auto config = std::make_shared<std::string>();
    command->add_option("--config", *config, "configuration file")->required();
    command->footer(
        "Example:\n  echo '{\"id\":1,\"prompt\":\"hello\"}' | sluice classify --config "
        "deploy/quickstart.yaml");
    command->callback([config, &status] { status = classify(*config); });
}

}  // namespace sluice
