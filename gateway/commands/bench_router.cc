// sluice bench router: how well, how steadily and how fast the classifier routes, on labelled
// pairs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "engine/log.h"
#include "gateway/commands.h"
#include "policies/classify_lines.h"
#include "policies/cross_validate.h"
#include "policies/router_bench.h"

namespace sluice {
namespace {

struct Options {
    std::vector<std::string> data;
    std::string weights;
    bool transfer = false;
    bool kept_back = false;
    bool json = false;
    int folds = 5;
    std::uint64_t seed = 1;
};

constexpr std::size_t speed_bytes[] = {300, 1'400, 20'000};

void print_text(const char* name, const RoutingIntervals& one) {
    std::printf(
        "    %-7s APGR %.3f [%.3f, %.3f]   CPT(50) %5.1f%% [%.1f, %.1f]   CPT(80) %5.1f%% [%.1f, "
        "%.1f]\n",
        name, one.at.apgr, one.low.apgr, one.high.apgr, one.at.cpt50, one.low.cpt50, one.high.cpt50,
        one.at.cpt80, one.low.cpt80, one.high.cpt80);
}

void print_text(const RouterFigures& one) {
    std::printf("%s: %zu pairs, AUC of difficulty %.3f", one.source.c_str(), one.pairs, one.auc);
    std::isnan(one.ece) ? std::printf("\n")
                        : std::printf(", calibration error %.3f (%.3f on its own outcomes)\n",
                                      one.ece, one.ece_own);
    print_text("gain", one.gain);
    print_text("length", one.length);
    print_text("random", one.random);
}

// ,"name":0.1235 or null, of what too few pairs do not tell.
std::string field(const char* name, double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return std::string(",\"") + name + "\":" + (std::isfinite(value) ? text : "null");
}

std::string json_of(const char* name, const RoutingIntervals& one) {
    auto three = [](const char* what, double at, double low, double high, int digits) {
        std::string out = std::string("\"") + what + "\":[";
        const char* comma = "";
        for (double value : {at, low, high}) {
            char text[64];
            std::snprintf(text, sizeof text, "%.*f", digits, value);
            out += std::string(comma) + (std::isfinite(value) ? text : "null");
            comma = ",";
        }
        return out + "]";
    };
    return std::string(",\"") + name + "\":{" +
           three("apgr", one.at.apgr, one.low.apgr, one.high.apgr, 4) + "," +
           three("cpt50", one.at.cpt50, one.low.cpt50, one.high.cpt50, 2) + "," +
           three("cpt80", one.at.cpt80, one.low.cpt80, one.high.cpt80, 2) + "}";
}

void print_json(const RouterFigures& one) {
    std::string line = "{\"source\":";
    append_json_string(line, one.source);
    line += ",\"pairs\":" + std::to_string(one.pairs);
    line += field("auc", one.auc, 4) + field("apgr", one.gain.at.apgr, 4) +
            field("cpt50", one.gain.at.cpt50, 2) + field("cpt80", one.gain.at.cpt80, 2) +
            field("apgr_length", one.length.at.apgr, 4) +
            field("apgr_random", one.random.at.apgr, 4);
    if (!std::isnan(one.ece)) line += field("ece", one.ece, 4) + field("ece_own", one.ece_own, 4);
    line += json_of("gain", one.gain) + json_of("length", one.length) +
            json_of("random", one.random) + "}";
    std::printf("%s\n", line.c_str());
}

void print(const FlipFigures& one, bool json) {
    if (!json) {
        std::printf(
            "%s: %.1f%% of %zu decisions flip (typos %.1f%%, case %.1f%%, spaces %.1f%%, greeting "
            "%.1f%%)\n",
            one.source.c_str(), 100 * one.all(), one.prompts, 100 * one.typos,
            100 * one.letter_case, 100 * one.spaces, 100 * one.greeting);
        return;
    }
    std::string source;
    append_json_string(source, one.source);
    std::printf(
        "{\"flips_of\":%s,\"prompts\":%zu,\"typos\":%.4f,\"case\":%.4f,\"spaces\":%.4f,"
        "\"greeting\":%.4f}\n",
        source.c_str(), one.prompts, one.typos, one.letter_case, one.spaces, one.greeting);
}

void print(const RouterSpeed& one, const Classifier& classifier, bool json) {
    std::printf(json ? "{\"classifier\":\"%s\",\"bytes\":%zu,\"prompts\":%zu,"
                       "\"classify_us_p50\":%.2f,\"classify_us_p99\":%.2f}\n"
                     : "classifier %s, %zu bytes, %zu prompts: p50 %.2f us, p99 %.2f us\n",
                classifier.version().c_str(), one.bytes, one.prompts, one.p50_us, one.p99_us);
}

int failed(const Error& error) {
    std::fprintf(stderr, "sluice bench router: %s\n", error.message.c_str());
    return 1;
}

const Progress to_stderr = [](const std::string& step) {
    std::fprintf(stderr, "%s\n", step.c_str());
};

// Fits anew without each fifth of the clusters in turn, and asks about that fifth.
void print_cross_validated(RouterData data, Shown shown, const Options& options) {
    Weights scales;
    prepare(data.rows, scales);
    OutOfFold found = out_of_fold(data.rows, options.seed, options.folds, to_stderr);
    for (const RouterFigures& one : measure_routing(data.rows, found.difficulty, shown))
        options.json ? print_json(one) : print_text(one);
    if (!options.transfer) return;
    for (const std::string& line : transfer_figures(data.rows, options.seed, shown, to_stderr))
        std::fprintf(options.json ? stderr : stdout, "%s\n", line.c_str());
}

void print_shipped(const Classifier& classifier, const RouterData& data, const Options& options) {
    std::vector<Difficulty> said;
    for (const RouterRow& row : data.rows)
        said.push_back(classifier.classify(request_of(row.prompt)));
    for (const RouterFigures& one : measure_routing(data.rows, said, Shown::all))
        options.json ? print_json(one) : print_text(one);
}

int run(const Options& options) {
    auto classifier = options.weights.empty()
                          ? Result<std::shared_ptr<const Classifier>>(Classifier::builtin())
                          : Classifier::load(options.weights);
    if (!classifier) return failed(classifier.error());
    auto data = read_router_data(options.data);
    if (!data) return failed(data.error());
    bool trained = std::any_of(data->files.begin(), data->files.end(), [&](const auto& file) {
        return (*classifier)->trained_on(file.sha256);
    });
    Shown shown = options.kept_back ? Shown::kept_back : Shown::development;
    if (!trained) {
        shown = Shown::all;
        print_shipped(**classifier, *data, options);
    } else {
        std::fprintf(
            stderr, "trained on: figures are cross-validated over clusters, of the %s of them\n",
            options.kept_back ? "quarter that is kept back" : "three quarters not kept back");
    }
    for (const FlipFigures& one : measure_flips(**classifier, data->rows, shown))
        print(one, options.json);
    for (std::size_t bytes : speed_bytes)
        print(measure_speed(**classifier, data->rows, bytes), **classifier, options.json);
    if (trained) print_cross_validated(std::move(*data), shown, options);
    return 0;
}

}  // namespace

void add_bench_router(CLI::App& bench, int& status) {
    auto* command = bench.add_subcommand(
        "router", "APGR, CPT, calibration, flips under noise and microseconds of the classifier.");
    auto options = std::make_shared<Options>();
    command
        ->add_option(
            "--data", options->data,
            "labelled pairs, JSON lines, or a folder of such files; with files that were trained "
            "on, all of them: they are measured by cross-validation, which takes minutes")
        ->required();
    command->add_option("--weights", options->weights, "instead of the built-in ones");
    command->add_option("--folds", options->folds, "of the cross-validation")
        ->capture_default_str()
        ->check(CLI::Range(2, 20));
    command->add_option("--seed", options->seed, "of the folds")->capture_default_str();
    command->add_flag("--transfer", options->transfer,
                      "also sources left out of the fit, and 200 and 1,500 labels of one");
    command->add_flag("--kept-back", options->kept_back,
                      "figures of the quarter of clusters that no other report shows; look seldom");
    command->add_flag("--json", options->json, "one JSON object a line");
    command->footer("Example:\n  sluice bench router --data routellm_bench.jsonl");
    command->callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
