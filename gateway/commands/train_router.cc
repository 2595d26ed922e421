// sluice train-router: labelled prompts in, weights of the request classifier out.
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
    bool transfer = false;
    bool kept_back = false;
};

int failed(const Error& error) {
    std::fprintf(stderr, "sluice train-router: %s\n", error.message.c_str());
    return 1;
}

int run(const Options& options) {
    auto data = read_router_data(options.data);
    if (!data) return failed(data.error());
    std::vector<RouterRow> judges = take_mt_bench(*data);
    if (!judges.empty())
        std::fprintf(stderr,
                     "left out %zu rows of %s: they only judge, nothing is fitted on them\n",
                     judges.size(), judges.front().source.c_str());
    TrainOptions train;
    train.seed = options.seed;
    train.transfer = options.transfer;
    train.kept_back = options.kept_back;
    train.command = "sluice train-router --data";
    for (const std::string& file : options.data) train.command += " " + file;
    train.command += " --seed " + std::to_string(options.seed) + " --out " + options.out;
    if (options.transfer) train.command += " --transfer";
    if (options.kept_back) train.command += " --kept-back";
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

void add_train_router(Command& app, int& status) {
    Command command = app.add_subcommand(
        "train-router", "Train the request classifier; prints cross-validated figures.");
    auto options = std::make_shared<Options>();
    command.add_option("--data", options->data, "labelled prompts, JSON lines").required();
    command.add_option("--out", options->out, "where the weights go").required();
    command.add_option("--seed", options->seed, "of the folds").capture_default_str();
    command.add_flag("--transfer", options->transfer,
                     "also measure on sources left out, and with 200 and 1,500 labels of them");
    command.add_flag("--kept-back", options->kept_back,
                     "figures of the quarter of clusters that no other report shows; look seldom");
    command.footer(
        "Example:\n  sluice train-router --data difficulty.jsonl "
        "policies/weights/ordinary.jsonl --out router.weights");
    command.callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
