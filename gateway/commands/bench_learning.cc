// sluice bench learning: what learning from a stream of outcomes reaches, beside chance, length,
// the prior and training at one time on the same labels.
#include <cstdio>
#include <memory>

#include "engine/log.h"
#include "gateway/commands.h"
#include "policies/learning_bench.h"

namespace sluice {
namespace {

struct Options {
    std::vector<std::string> data;
    LearningBenchOptions bench;
    bool json = false;
};

struct Named {
    const char* name;
    const char* words;
    ApgrInterval LearningFigures::*of;
};

constexpr Named figures[] = {
    {"random", "random", &LearningFigures::random},
    {"length", "length only", &LearningFigures::length},
    {"prior", "prior", &LearningFigures::prior},
    {"learned", "learned", &LearningFigures::challenger},
    {"champion", "champion, what would serve", &LearningFigures::champion},
    {"offline", "offline on the same labels", &LearningFigures::offline},
    {"learned_less_offline", "learned less offline", &LearningFigures::challenger_less_offline},
    {"champion_less_offline", "champion less offline", &LearningFigures::champion_less_offline},
    {"worst_less_prior", "worst on the way less prior", &LearningFigures::worst_less_prior},
    {"champion_worst_less_prior", "champion's worst less prior",
     &LearningFigures::champion_worst_less_prior},
};

void print_text(const LearningFigures& one) {
    std::printf(
        "%s: prior of %zu pairs, %zu requests from %zu, %zu labels, measured on %zu kept back\n",
        one.source.c_str(), one.prior_pairs, one.requests, one.stream_pairs, one.labels,
        one.kept_pairs);
    for (const Named& figure : figures) {
        const ApgrInterval& value = one.*figure.of;
        std::printf("  %-28s %+.3f [%+.3f, %+.3f]\n", figure.words, value.at, value.low,
                    value.high);
    }
    std::printf(
        "  worst at %zu labels, the champion's at %zu; promoted first at %zu, rolled back %llu "
        "times\n  shares:",
        one.worst_at, one.champion_worst_at, one.promoted_at,
        static_cast<unsigned long long>(one.rollbacks));
    for (std::size_t way = 0; way < OnlineMix::ways; ++way)
        std::printf(" %s %.2f", std::string(way_name(way)).c_str(), one.shares[way]);
    std::printf("; what serves:\n  ");
    for (const LearningPoint& point : one.points)
        if (point.labels % 250 == 0 || point.labels <= 100)
            std::printf("%zu: %.3f  ", point.labels, point.champion);
    std::printf("\n");
}

void print_json(const LearningFigures& one) {
    std::string source;
    append_json_string(source, one.source);
    std::printf("{\"source\":%s,\"requests\":%zu,\"labels\":%zu,\"kept_pairs\":%zu", source.c_str(),
                one.requests, one.labels, one.kept_pairs);
    for (const Named& figure : figures) {
        const ApgrInterval& value = one.*figure.of;
        std::printf(",\"%s\":{\"apgr\":%.4f,\"low\":%.4f,\"high\":%.4f}", figure.name, value.at,
                    value.low, value.high);
    }
    std::printf(",\"worst_at\":%zu,\"promotions\":%llu,\"promoted_at\":%zu,\"points\":[",
                one.worst_at, static_cast<unsigned long long>(one.promotions), one.promoted_at);
    for (std::size_t i = 0; i < one.points.size(); ++i)
        std::printf("%s[%zu,%.4f,%.4f]", i == 0 ? "" : ",", one.points[i].labels,
                    one.points[i].challenger, one.points[i].champion);
    std::printf("]}\n");
}

int run(const Options& options) {
    auto data = read_router_data(options.data);
    if (!data) {
        std::fprintf(stderr, "sluice bench learning: %s\n", data.error().message.c_str());
        return 1;
    }
    auto measured = measure_learning(std::move(*data), options.bench);
    if (measured.empty()) {
        std::fprintf(stderr, "sluice bench learning: no source has %zu pairs\n",
                     options.bench.pairs_min);
        return 1;
    }
    for (const LearningFigures& one : measured) options.json ? print_json(one) : print_text(one);
    return 0;
}

}  // namespace

void add_bench_learning(Command& bench, int& status) {
    Command command = bench.add_subcommand(
        "learning", "APGR of what is learned from a stream of outcomes, source by source.");
    auto options = std::make_shared<Options>();
    command.add_option("--data", options->data, "labelled pairs, JSON lines").required();
    command.add_option("--requests", options->bench.requests, "of the stream")
        .in_range(1, 10'000'000)
        .capture_default_str();
    command.add_option("--label-every", options->bench.label_every, "one label in so many requests")
        .in_range(1, 1'000'000)
        .capture_default_str();
    command.add_flag("--served-only", options->bench.served_only,
                     "labels of the answer that was served, not of both tiers'");
    command.add_option("--seed", options->bench.seed, "of the stream's order")
        .capture_default_str();
    command.add_option("--split", options->bench.split, "which pairs are kept back")
        .capture_default_str();
    command.add_flag("--drift", options->bench.drift, "short prompts first");
    command.add_option("--pairs-min", options->bench.pairs_min, "of a source")
        .in_range(100, 10'000'000)
        .capture_default_str();
    command.add_flag("--json", options->json, "one JSON object a line");
    command.footer(
        "Example:\n  sluice bench learning --data difficulty.jsonl --data routellm_bench.jsonl");
    command.callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
