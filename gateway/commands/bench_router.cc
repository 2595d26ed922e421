// sluice bench router: how well and how fast the classifier routes, on labelled pairs.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "engine/log.h"
#include "gateway/commands.h"
#include "policies/router_bench.h"

namespace sluice {
namespace {

struct Options {
    std::vector<std::string> data;
    std::string weights;
    bool json = false;
};

void print_text(const RouterFigures& one) {
    std::printf(
        "%-18s %6zu pairs  AUC %.3f  APGR %.3f  CPT(50) %.1f%%  CPT(80) %.1f%%   (APGR by "
        "difficulty %.3f, length only %.3f, random %.3f)\n",
        one.source.c_str(), one.pairs, one.auc, one.gain.apgr, one.gain.cpt50, one.gain.cpt80,
        one.difficulty.apgr, one.length.apgr, one.random.apgr);
}

void print_json(const RouterFigures& one) {
    std::string source;
    append_json_string(source, one.source);
    std::printf(
        "{\"source\":%s,\"pairs\":%zu,\"auc\":%.4f,\"apgr\":%.4f,\"cpt50\":%.2f,"
        "\"cpt80\":%.2f,\"apgr_difficulty\":%.4f,\"apgr_length\":%.4f,\"apgr_random\":%.4f}\n",
        source.c_str(), one.pairs, one.auc, one.gain.apgr, one.gain.cpt50, one.gain.cpt80,
        one.difficulty.apgr, one.length.apgr, one.random.apgr);
}

void print_speed(const RouterSpeed& speed, const Classifier& classifier, std::size_t prompts,
                 const Options& options) {
    if (options.json)
        std::printf(
            "{\"classifier\":\"%s\",\"prompts\":%zu,\"bytes_mean\":%.0f,"
            "\"classify_us_p50\":%.2f,\"classify_us_p99\":%.2f}\n",
            classifier.version().c_str(), prompts, speed.bytes_mean, speed.p50_us, speed.p99_us);
    else
        std::printf(
            "classifier %s, %zu prompts of %.0f bytes on average: p50 %.2f us, p99 %.2f us\n",
            classifier.version().c_str(), prompts, speed.bytes_mean, speed.p50_us, speed.p99_us);
}

int failed(const Error& error) {
    std::fprintf(stderr, "sluice bench router: %s\n", error.message.c_str());
    return 1;
}

int run(const Options& options) {
    auto classifier = options.weights.empty()
                          ? Result<std::shared_ptr<const Classifier>>(Classifier::builtin())
                          : Classifier::load(options.weights);
    if (!classifier) return failed(classifier.error());
    auto data = read_router_data(options.data);
    if (!data) return failed(data.error());
    for (const TrainingFile& file : data->files)
        if ((*classifier)->trained_on(file.sha256))
            std::fprintf(stderr,
                         "%s was trained on, its figures flatter: the cross-validated ones are in "
                         "the header of the weights\n",
                         file.name.c_str());
    for (const RouterFigures& one : measure_routing(**classifier, *data))
        options.json ? print_json(one) : print_text(one);
    print_speed(measure_speed(**classifier, *data), **classifier, data->rows.size(), options);
    return 0;
}

}  // namespace

void add_bench_router(CLI::App& bench, int& status) {
    auto* command = bench.add_subcommand(
        "router", "AUC, APGR, CPT(50) and CPT(80) of the classifier; microseconds a request.");
    auto options = std::make_shared<Options>();
    command->add_option("--data", options->data, "labelled pairs, JSON lines")->required();
    command->add_option("--weights", options->weights, "instead of the built-in ones");
    command->add_flag("--json", options->json, "one JSON object a line");
    command->footer("Example:\n  sluice bench router --data routellm_bench.jsonl");
    command->callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
