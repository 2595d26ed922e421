// sluice train-router: labelled prompts in, weights of the request classifier out.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>

#include "gateway/commands.h"
#include "policies/train.h"

namespace sluice {
namespace {

struct Options {
    std::vector<std::string> data;
    std::string out;
    std::uint64_t seed = 1;
};

int failed(const Error& error) {
    std::fprintf(stderr, "sluice train-router: %s\n", error.message.c_str());
    return 1;
}

int run(const Options& options) {
    auto data = read_router_data(options.data);
    if (!data) return failed(data.error());
    TrainOptions train;
    train.seed = options.seed;
    train.command = "sluice train-router --data";
    for (const std::string& file : options.data) train.command += " " + file;
    train.command += " --seed " + std::to_string(options.seed) + " --out " + options.out;
    auto weights = train_router(std::move(*data), train, [](const std::string& step) {
        std::fprintf(stderr, "%s\n", step.c_str());
    });
    if (!weights) return failed(weights.error());
    std::string bytes = write_weights(*weights);
    std::ofstream out(options.out, std::ios::binary | std::ios::trunc);
    if (!out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush())
        return failed(Error(Errc::bad_file, options.out + ": cannot be written"));
    for (const std::string& figure : weights->figures) std::printf("%s\n", figure.c_str());
    std::printf("%s: %zu bytes\n", options.out.c_str(), bytes.size());
    return 0;
}

}  // namespace

void add_train_router(CLI::App& app, int& status) {
    auto* command = app.add_subcommand(
        "train-router", "Train the request classifier; prints cross-validated figures.");
    auto options = std::make_shared<Options>();
    command->add_option("--data", options->data, "labelled prompts, JSON lines")->required();
    command->add_option("--out", options->out, "where the weights go")->required();
    command->add_option("--seed", options->seed, "of the folds")->capture_default_str();
    command->footer(
        "Example:\n  sluice train-router --data difficulty.jsonl "
        "policies/weights/ordinary.jsonl --out router.weights");
    command->callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
