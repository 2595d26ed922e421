// sluice classify --config FILE < requests.jsonl: difficulty, gain and tier of each, calls nobody.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/config_notes.h"
#include "gateway/learning/learned_file.h"
#include "policies/classify_lines.h"

namespace sluice {
namespace {

int classify(const std::string& file, const std::string& learned_file) {
    auto config = load_config(file, today_utc());
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().message.c_str());
        return 1;
    }
    if (std::string note = classifier_note(**config); !note.empty())
        std::fprintf(stderr, "%s\n", note.c_str());
    const Classifier& classifier = *(*config)->classifier;
    LearnerModel learned;
    if (!learned_file.empty()) {
        auto read = read_champion(learned_file, classifier.version());
        if (!read) {
            std::fprintf(stderr, "%s\n", read.error().message.c_str());
            return 1;
        }
        learned = std::move(*read);
    }
    std::ios::sync_with_stdio(false);
    Status done =
        classify_lines(classifier, (*config)->policy, std::cin, std::cout, learned.weights.get());
    std::cout.flush();
    if (done) return 0;
    std::fprintf(stderr, "sluice classify: %s\n", done.error().message.c_str());
    return 1;
}

}  // namespace

void add_classify(Command& app, int& status) {
    Command command =
        app.add_subcommand("classify", "Says how hard requests are, one JSON object a line.");
    auto config = std::make_shared<std::string>();
    command.add_option("--config", *config, "configuration file").required();
    auto learned = std::make_shared<std::string>();
    command.add_option("--learned", *learned, "what a gateway has learned: prompts are read so");
    command.footer(
        "Example:\n  echo '{\"id\":1,\"prompt\":\"hello\"}' | sluice classify --config "
        "deploy/quickstart.yaml");
    command.callback([config, learned, &status] { status = classify(*config, *learned); });
}

}  // namespace sluice
