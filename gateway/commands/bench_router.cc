// sluice bench router: how well, how steadily and how fast the classifier routes, on labelled
// pairs; what it reaches on sources that it never saw, and learns on; what a decision and a replay
// take. Ends in the table of all of it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <memory>
#include <utility>

#include "engine/log.h"
#include "gateway/bench/machine.h"
#include "gateway/bench/router_table.h"
#include "gateway/commands.h"
#include "policies/classify_lines.h"
#include "policies/cross_validate.h"
#include "policies/router_bench.h"

namespace sluice {
namespace {

struct Options {
    std::vector<std::string> data;
    std::string weights;
    std::vector<std::string> only;
    bool kept_back = false;
    bool json = false;
    int folds = 5;
    std::uint64_t seed = 1;
    std::int64_t replay_rows = 1'000'000;
};

constexpr int policy_rules = 200, policy_calls = 100'000;
const std::vector<std::string> parts = {"routing", "flips",  "speed",   "transfer",
                                        "policy",  "replay", "learning"};
constexpr std::size_t speed_bytes[] = {300, 1'400, 20'000};

void print_text(const char* name, const RoutingIntervals& one) {
    if (!std::isfinite(one.at.apgr)) {
        std::printf("    %-7s no gap between the models to recover\n", name);
        return;
    }
    std::printf(
        "    %-7s APGR %.3f [%.3f, %.3f]   CPT(50) %5.1f%% [%.1f, %.1f]   CPT(80) %5.1f%% [%.1f, "
        "%.1f]\n",
        name, one.at.apgr, one.low.apgr, one.high.apgr, one.at.cpt50, one.low.cpt50, one.high.cpt50,
        one.at.cpt80, one.low.cpt80, one.high.cpt80);
}

void print_ranks(const RankingFigures& one) {
    print_text("gain", one.gain);
    print_text("length", one.length);
    print_text("random", one.random);
    if (!std::isfinite(one.less_length.at)) return;
    std::printf("    gain less length: APGR %+.3f [%+.3f, %+.3f]\n", one.less_length.at,
                one.less_length.low, one.less_length.high);
}

void print_text(const RouterFigures& one) {
    std::printf("%s: %zu pairs, AUC of difficulty %.3f", one.source.c_str(), one.pairs, one.auc);
    std::isnan(one.ece)
        ? std::printf("\n")
        : std::printf(", calibration error %.3f (%.3f on its own outcomes, %.3f is chance)\n",
                      one.ece, one.ece_own, one.ece_chance);
    print_ranks(one);
}

// ,"name":0.1235 or null, of what too few pairs do not tell.
std::string field(const char* name, double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return std::string(",\"") + name + "\":" + (std::isfinite(value) ? text : "null");
}

std::string three(const char* what, double at, double low, double high, int digits) {
    std::string out = std::string("\"") + what + "\":[";
    const char* comma = "";
    for (double value : {at, low, high}) {
        char text[64];
        std::snprintf(text, sizeof text, "%.*f", digits, value);
        out += std::string(comma) + (std::isfinite(value) ? text : "null");
        comma = ",";
    }
    return out + "]";
}

std::string json_of(const char* name, const RoutingIntervals& one) {
    return std::string(",\"") + name + "\":{" +
           three("apgr", one.at.apgr, one.low.apgr, one.high.apgr, 4) + "," +
           three("cpt50", one.at.cpt50, one.low.cpt50, one.high.cpt50, 2) + "," +
           three("cpt80", one.at.cpt80, one.low.cpt80, one.high.cpt80, 2) + "}";
}

std::string json_of_ranks(const RankingFigures& one) {
    const ApgrInterval& less = one.less_length;
    return json_of("gain", one.gain) + json_of("length", one.length) +
           json_of("random", one.random) + "," +
           three("apgr_less_length", less.at, less.low, less.high, 4);
}

void print_json(const RouterFigures& one) {
    std::string line = "{\"source\":";
    append_json_string(line, one.source);
    line += ",\"pairs\":" + std::to_string(one.pairs);
    line += field("auc", one.auc, 4) + field("apgr", one.gain.at.apgr, 4) +
            field("cpt50", one.gain.at.cpt50, 2) + field("cpt80", one.gain.at.cpt80, 2) +
            field("apgr_length", one.length.at.apgr, 4) +
            field("apgr_random", one.random.at.apgr, 4);
    if (!std::isnan(one.ece))
        line += field("ece", one.ece, 4) + field("ece_own", one.ece_own, 4) +
                field("ece_chance", one.ece_chance, 4);
    std::printf("%s%s}\n", line.c_str(), json_of_ranks(one).c_str());
}

void print(const TransferFigures& one, bool json) {
    if (json) {
        std::string line = "{\"transfer_to\":";
        append_json_string(line, one.source);
        line += ",\"labels\":" + std::to_string(one.labels);
        line += ",\"pairs\":" + std::to_string(one.ranks.pairs) + json_of_ranks(one.ranks);
        std::printf("%s}\n", line.c_str());
        return;
    }
    std::string how = "left out of the fit";
    if (one.labels > 0) how = std::to_string(one.labels) + " labels of it in the fit";
    std::printf("%s, %s: %zu pairs\n", one.source.c_str(), how.c_str(), one.ranks.pairs);
    print_ranks(one.ranks);
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
    if (one.prompts == 0) {
        std::printf(json ? "{\"classifier\":\"%s\",\"bytes\":%zu,\"prompts\":0,"
                           "\"classify_us_p50\":null,\"classify_us_p99\":null}\n"
                         : "classifier %s, %zu bytes: too little text to time one\n",
                    classifier.version().c_str(), one.bytes);
        return;
    }
    std::printf(json ? "{\"classifier\":\"%s\",\"bytes\":%zu,\"prompts\":%zu,"
                       "\"classify_us_p50\":%.2f,\"classify_us_p99\":%.2f,"
                       "\"classify_us_p50_median_pass\":%.2f}\n"
                     : "classifier %s, %zu bytes, %zu prompts: p50 %.2f us, p99 %.2f us in the "
                       "quietest pass, p50 %.2f us in the median one\n",
                classifier.version().c_str(), one.bytes, one.prompts, one.p50_us, one.p99_us,
                one.p50_usual_us);
}

int failed(const Error& error) {
    std::fprintf(stderr, "sluice bench router: %s\n", error.message.c_str());
    return 1;
}

const Progress to_stderr = [](const std::string& step) {
    std::fprintf(stderr, "%s\n", step.c_str());
};

class RouterBench {
public:
    RouterBench(const Options& options, const Classifier& classifier, RouterData data)
        : options_(options), classifier_(classifier), data_(std::move(data)) {
        mt_bench_ = take_mt_bench(data_);
        trained_ = std::any_of(data_.files.begin(), data_.files.end(), [&](const auto& file) {
            return classifier_.trained_on(file.sha256);
        });
        if (trained_) add_ordinary();
        shown_ = options_.kept_back ? Shown::kept_back : Shown::development;
        if (!trained_) shown_ = Shown::all;
    }

    // Errors: those of the replay's ledger; bad_file when the data tell nothing of a part that was
    // asked for by name.
    Status run() {
        if (trained_)
            std::fprintf(stderr,
                         "trained on: figures are cross-validated over clusters, of the %s\n",
                         options_.kept_back ? "quarter of them that is kept back"
                                            : "three quarters of them not kept back");
        if (wanted("flips")) flips();
        if (wanted("speed")) speed();
        if (wanted("learning")) found_.learning = learn();
        if (wanted("policy")) found_.policy = time_policies(policy_rules, policy_calls);
        if (wanted("replay")) {
            to_stderr("writing a ledger and replaying it");
            auto replayed = bench::time_replay(options_.replay_rows);
            if (!replayed) return replayed.error();
            found_.replay = *replayed;
        }
        if (wanted("routing")) route();
        if (wanted("transfer") && trained_) transfer();
        print_table();
        return all_that_was_named();
    }

private:
    // By default all, of data that was trained on; of other data what can be said of it.
    bool wanted(const std::string& part) const {
        const auto& only = options_.only;
        if (!only.empty()) return std::find(only.begin(), only.end(), part) != only.end();
        return trained_ || part == "routing" || part == "flips" || part == "speed";
    }

    void add_ordinary() {
        RouterData ordinary = ordinary_prompts();
        const std::string& sha256 = ordinary.files.front().sha256;
        bool given = std::any_of(data_.files.begin(), data_.files.end(),
                                 [&](const auto& file) { return file.sha256 == sha256; });
        if (given || !classifier_.trained_on(sha256)) return;
        std::move(ordinary.rows.begin(), ordinary.rows.end(), std::back_inserter(data_.rows));
    }

    void flips() {
        found_.flips = measure_flips(classifier_, data_.rows, shown_);
        for (FlipFigures& one : measure_flips(classifier_, mt_bench_, Shown::all))
            found_.flips.push_back(std::move(one));
        for (const FlipFigures& one : found_.flips) print(one, options_.json);
    }

    void speed() {
        std::vector<std::string_view> prompts;
        for (const auto* rows : {&data_.rows, &mt_bench_})
            for (const RouterRow& row : *rows) prompts.push_back(row.prompt);
        for (std::size_t bytes : speed_bytes) {
            found_.speed.push_back(measure_speed(classifier_, prompts, bytes));
            print(found_.speed.back(), classifier_, options_.json);
        }
    }

    // Without --only what cannot be told is left out; what was asked for by name is missed.
    Status all_that_was_named() const {
        bool timed = std::any_of(found_.speed.begin(), found_.speed.end(),
                                 [](const RouterSpeed& one) { return one.prompts > 0; });
        const std::string pairs = "it takes 20 prompts of a source with both models' marks";
        const std::string fits = "it takes data that the weights were trained on, and ";
        auto missing = [&](const char* part, bool empty, const std::string& why) {
            bool named = !options_.only.empty() && wanted(part);
            return named && empty ? std::string("no '") + part + "' of this data: " + why : "";
        };
        for (const std::string& why :
             {missing("routing", found_.routing.empty(), pairs),
              missing("flips", found_.flips.empty(), pairs),
              missing("speed", !timed, "it takes 300 bytes of prompts"),
              missing("transfer", found_.transfer.empty(), fits + "100 pairs of a source"),
              missing("learning", found_.learning.empty(), "it takes 1,000 pairs of a source")})
            if (!why.empty()) return Error(Errc::bad_file, why);
        return Done{};
    }

    void add(const std::vector<RouterRow>& rows, std::span<const Difficulty> said, Shown shown) {
        for (RouterFigures& one : measure_routing(rows, said, shown)) {
            options_.json ? print_json(one) : print_text(one);
            found_.routing.push_back(std::move(one));
        }
    }

    void ask_as_shipped(const std::vector<RouterRow>& rows) {
        std::vector<Difficulty> said;
        for (const RouterRow& row : rows)
            said.push_back(classifier_.classify(request_of(row.prompt)));
        add(rows, said, Shown::all);
    }

    // Fits anew without each fifth of the clusters in turn, and asks about that fifth.
    void route() {
        ask_as_shipped(mt_bench_);
        if (!trained_) return ask_as_shipped(data_.rows);
        prepare_once();
        OutOfFold found = out_of_fold(data_.rows, options_.seed, options_.folds, to_stderr);
        add(data_.rows, found.difficulty, shown_);
        found_.calibration = measure_calibration(data_.rows, found.difficulty, shown_);
    }

    void transfer() {
        prepare_once();
        found_.transfer = measure_transfer(data_.rows, options_.seed, shown_, to_stderr);
        for (const TransferFigures& one : found_.transfer) print(one, options_.json);
    }

    void prepare_once() {
        if (std::exchange(prepared_, true)) return;
        Weights scales;
        prepare(data_.rows, scales);
    }

    std::vector<LearningFigures> learn() const {
        to_stderr("learning from streams");
        return measure_learning(data_, LearningBenchOptions());
    }

    std::string command() const {
        std::string out = "sluice bench router";
        for (const std::string& one : options_.data) out += " " + one;
        for (const std::string& one : options_.only)
            out += (&one == &options_.only.front() ? " --only " : ",") + one;
        const Options usual;
        auto add = [&out](const char* name, auto value, auto by_default) {
            if (value != by_default) out += std::string(name) + std::to_string(value);
        };
        if (!options_.weights.empty()) out += " --weights " + options_.weights;
        add(" --folds ", options_.folds, usual.folds);
        add(" --seed ", options_.seed, usual.seed);
        add(" --replay-rows ", options_.replay_rows, usual.replay_rows);
        if (options_.kept_back) out += " --kept-back";
        return out + (options_.json ? " --json" : "");
    }

    void print_table() const {
        auto rows = bench::router_table(found_);
        if (!options_.json) {
            std::printf("\n%s\n%s, %s, classifier %s\n\n%s", command().c_str(),
                        bench::machine().c_str(), bench::today().c_str(),
                        classifier_.version().c_str(), bench::table_text(rows).c_str());
            return;
        }
        std::string line = "{\"command\":";
        append_json_string(line, command());
        line += ",\"machine\":";
        append_json_string(line, bench::machine());
        line += ",\"date\":\"" + bench::today() + "\",\"classifier\":\"" + classifier_.version() +
                "\"}\n";
        std::printf("%s%s", line.c_str(), bench::table_lines(rows).c_str());
    }

    const Options& options_;
    const Classifier& classifier_;
    RouterData data_;
    std::vector<RouterRow> mt_bench_;
    bool trained_ = false, prepared_ = false;
    Shown shown_ = Shown::all;
    bench::RouterMeasured found_;
};

int run(const Options& options) {
    auto classifier = options.weights.empty()
                          ? Result<std::shared_ptr<const Classifier>>(Classifier::builtin())
                          : Classifier::load(options.weights);
    if (!classifier) return failed(classifier.error());
    auto data = read_router_data(options.data);
    if (!data) return failed(data.error());
    Status done = RouterBench(options, **classifier, std::move(*data)).run();
    return done ? 0 : failed(done.error());
}

}  // namespace

void add_bench_router(Command& bench, int& status) {
    Command command = bench.add_subcommand(
        "router",
        "The routing brain's figures beside length and chance, what decisions and a replay take, "
        "and the table of all.");
    auto options = std::make_shared<Options>();
    command
        .add_option(
            "--data,data", options->data,
            "labelled pairs, JSON lines, or a folder of such files; with files that were trained "
            "on, all of them: they are measured by cross-validation, which takes minutes")
        .required();
    command
        .add_option("--only", options->only,
                    "parts, separated by commas: routing, flips, speed, transfer, policy, replay, "
                    "learning; default: all, of data that was not trained on the first three")
        .delimiter(',')
        .one_of(parts);
    command.add_option("--replay-rows", options->replay_rows, "of the ledger that is replayed")
        .capture_default_str()
        .in_range(1, 100'000'000);
    command.add_option("--weights", options->weights, "instead of the built-in ones");
    command.add_option("--folds", options->folds, "of the cross-validation")
        .capture_default_str()
        .in_range(2, 20);
    command.add_option("--seed", options->seed, "of the folds").capture_default_str();
    command.add_flag("--kept-back", options->kept_back,
                     "figures of the quarter of clusters that no other report shows; look seldom");
    command.add_flag("--json", options->json, "one JSON object a line");
    command.footer(
        "Example:\n  sluice bench router DATA-FOLDER\n"
        "  sluice bench router heldout.jsonl");
    command.callback([options, &status] { status = run(*options); });
}

}  // namespace sluice
