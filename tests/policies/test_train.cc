// Reading labelled prompts, fitting, and a training run on a small set made here.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "policies/classifier.h"
#include "policies/classify_lines.h"
#include "policies/head_fit.h"
#include "policies/router_bench.h"
#include "policies/train.h"

namespace sluice {
namespace {

class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& text) {
        int file = mkstemp(path_);
        REQUIRE(file >= 0);
        close(file);
        std::ofstream(path_) << text;
    }
    ~TemporaryFile() { unlink(path_); }
    TemporaryFile(const TemporaryFile&) = delete;
    std::string path() const { return path_; }

private:
    char path_[32] = "/tmp/sluice_rows_XXXXXX";
};

// Hard prompts are about proofs and long, easy ones about greetings; the pairs follow.
std::string small_set() {
    std::string out;
    auto line = [&](int i, const std::string& prompt, const std::string& labels) {
        out += R"({"prompt":")" + prompt + R"(","cluster":"c)" + std::to_string(i) + "\"," +
               labels + "}\n";
    };
    for (int i = 0; i < 240; ++i) {
        std::string n = std::to_string(i % 7);
        bool hard = i % 2 == 0;
        std::string about =
            hard ? "prove the theorem about lattice " : "say something nice about day ";
        line(i, about + n,
             hard ? R"("source":"s","domain":"math","difficulty":5,"ref_out_chars":8000)"
                  : R"("source":"s","domain":"writing","difficulty":1,"ref_out_chars":80)");
        std::string options = "\\nA. red\\nB. blue\\nC. green";
        line(1000 + i, (hard ? "which eigenvalue fits " : "which colour is nice ") + n + options,
             std::string(R"("bench":"mmlu","contaminated":false,"weak":)") + (hard ? "0" : "1") +
                 R"(,"strong":1)");
        line(2000 + i, (hard ? "Ann buys twelve apples each hour " : "Ann has an apple ") + n,
             std::string(R"("bench":"gsm8k","contaminated":false,"weak":)") + (hard ? "0" : "1") +
                 R"(,"strong":1)");
    }
    return out;
}

RouterData read_small_set() {
    TemporaryFile file(small_set());
    auto data = read_router_data({file.path()});
    REQUIRE(data);
    return std::move(*data);
}

std::string fault_of(const std::string& text) {
    TemporaryFile file(text);
    auto data = read_router_data({file.path()});
    return data ? "" : data.error().message.substr(file.path().size());
}

double target(const RouterRow& row, Head head) {
    return row.target[static_cast<std::size_t>(head)];
}

const auto say_nothing = [](const std::string&) {};

}  // namespace

TEST_CASE("labels of both kinds of line are read", "[train]") {
    TemporaryFile file(
        R"({"prompt":"2 + 2","source":"a","domain":"math","p_solve":0.9})"
        "\n"
        R"({"prompt":"x\nA. 1\nB. 2","source":"b","domain":"knowledge","difficulty":4,)"
        R"("weak_correct":0,"strong_correct":1})"
        "\n\n"
        R"({"prompt":"Tom buys","bench":"gsm8k","weak":1.0,"strong":0.0,"contaminated":true,)"
        R"("strong_out_chars":400})"
        "\n"
        R"({"prompt":"w","source":"arena","subset":"v2.0/coding","domain":"chat",)"
        R"("p_solve":null,"weak_score":0.25})");
    auto data = read_router_data({file.path()});
    REQUIRE(data);
    REQUIRE(data->rows.size() == 4);
    CHECK(data->files.at(0).rows == 4);
    CHECK(data->files.at(0).sha256.size() == 64);
    const auto& rows = data->rows;
    CHECK(target(rows[0], Head::reasoning) == 1);
    CHECK(target(rows[0], Head::local_ok) == Approx(0.9));
    CHECK(target(rows[0], Head::maths) == 1);
    CHECK(target(rows[0], Head::code) == 0);
    CHECK(target(rows[0], Head::problem) == 0);
    CHECK(rows[0].kind == Kind::open);
    CHECK(target(rows[0], Head::measured) == 0);
    CHECK_FALSE(rows[0].paired);
    CHECK(rows[1].options == 2);
    CHECK(rows[1].paired);
    CHECK(target(rows[1], Head::reasoning) == 0);
    CHECK(target(rows[1], Head::local_ok) == Approx(0.22));
    CHECK(rows[1].kind == Kind::choice);
    CHECK(rows[1].weak == 0);
    CHECK(rows[1].strong == 1);
    CHECK(std::isnan(target(rows[1], Head::measured)));
    CHECK(std::isnan(target(rows[1], Head::problem)));
    CHECK(rows[2].source == "routellm/gsm8k");
    CHECK_FALSE(rows[2].paired);  // contaminated: trained on, not measured on
    CHECK(target(rows[2], Head::problem) == 1);
    CHECK(rows[2].kind == Kind::problem);
    CHECK(rows[2].weak == 1);
    CHECK(target(rows[2], Head::log_output_frontier) == Approx(std::log(100)));
    CHECK(std::isnan(target(rows[2], Head::log_output_local)));
    CHECK(target(rows[3], Head::reasoning) == 1);
    CHECK(std::isnan(target(rows[3], Head::local_ok)));
    CHECK(target(rows[3], Head::code) == 1);
    CHECK_FALSE(rows[3].paired);
}

TEST_CASE("a line that is no labelled prompt is named", "[train]") {
    CHECK_THAT(fault_of("{\"prompt\":\"a\"}\n{\"prompt\":"), Catch::StartsWith(":2: not JSON: "));
    CHECK(fault_of("{\"promt\":\"a\"}") == ":1: missing 'prompt', a text");
    CHECK(fault_of("[1]") == ":1: expected a JSON object");
    auto folder = read_router_data({SLUICE_SOURCE_DIR "/policies/weights"});  // ordinary.jsonl
    REQUIRE(folder);
    CHECK(folder->rows.size() > 100);
    CHECK(folder->files.size() == 1);
    auto none = read_router_data({SLUICE_SOURCE_DIR "/policies/golden"});
    REQUIRE_FALSE(none);
    CHECK_THAT(none.error().message, Catch::Contains("a folder without files NAME.jsonl"));
    auto empty = read_router_data({"/dev/null"});
    REQUIRE_FALSE(empty);
    CHECK(empty.error().message == "/dev/null: has no labelled prompts");
    auto missing = read_router_data({"/nowhere/rows.jsonl"});
    REQUIRE(!missing);
    CHECK(missing.error().message == "/nowhere/rows.jsonl: cannot be opened");
}

TEST_CASE("the fit finds the minimum of a head that is solved by hand", "[train]") {
    // Three rows without features: the bias alone, whose best value is known.
    FitRow empty;
    empty.structural.fill(0);
    std::vector<FitExample> examples = {{&empty, 1, 1}, {&empty, 1, 1}, {&empty, 0, 1}};
    LinearHead logistic = fit_head(examples, Loss::logistic);
    CHECK(sigmoid(logistic.bias) == Approx(2.0 / 3).epsilon(1e-3));
    LinearHead squared = fit_head(examples, Loss::squared);
    CHECK(squared.bias == Approx(2.0 / 3).epsilon(1e-3));
    // One feature of value 1 in half of the rows, targets 3 and 0, each weighing 1/2 n: the ridge
    // solution is cov / (var + var / n): a count's weight is shrunk in its standard deviations.
    FitRow marked = empty;
    marked.structural[4] = 1;
    examples.clear();
    for (int i = 0; i < 100; ++i)
        examples.push_back({i % 2 ? &marked : &empty, i % 2 ? 3.0 : 0, 1});
    LinearHead ridge = fit_head(examples, Loss::squared);
    CHECK(ridge.structural[4] == Approx(3.0 / (1 + 0.01)).epsilon(1e-3));
    CHECK(ridge.score(marked) - ridge.score(empty) == Approx(ridge.structural[4]));
    CHECK(ridge.structural[5] == 0);
}

TEST_CASE("a small set trains into a classifier that tells its halves apart", "[train]") {
    TrainOptions options;
    options.command = "sluice train-router --data small.jsonl";
    auto weights = train_router(read_small_set(), options, say_nothing);
    REQUIRE(weights);
    std::string bytes = write_weights(*weights);
    auto again = train_router(read_small_set(), options, say_nothing);
    REQUIRE(again);
    again->data = weights->data;  // the temporary file's name differs
    CHECK(write_weights(*again) == bytes);

    REQUIRE(weights->figures.size() >= head_count);
    CHECK_THAT(weights->figures[0], Catch::StartsWith("reasoning: 366 rows, AUC "));
    options.kept_back = true;
    auto kept = train_router(read_small_set(), options, say_nothing);
    REQUIRE(kept);
    CHECK_THAT(kept->figures[0], Catch::StartsWith("reasoning: 114 rows, AUC "));  // 480 in all
    CHECK(kept->hashed == weights->hashed);
    CHECK_THAT(kept->figures.back(), Catch::StartsWith("gain on routellm/mmlu: "));
    options.transfer = true;
    options.kept_back = false;
    auto transfer = train_router(read_small_set(), options, say_nothing);
    REQUIRE(transfer);
    CHECK_THAT(transfer->figures.back(),
               Catch::StartsWith("left out of the fit, gain on routellm/mmlu: ") &&
                   Catch::Contains("random"));
    auto read = read_weights(bytes, "small.weights");
    REQUIRE(read);
    auto classifier = make_classifier(std::move(*read));
    auto of = [&](const std::string& prompt) { return classifier->classify(request_of(prompt)); };
    CHECK(of("prove the theorem about lattice 3").score > 0.8);
    CHECK(of("say something nice about day 3").score < 0.2);
    CHECK(of("prove the theorem about lattice 3").expected_output_tokens >
          10 * of("say something nice about day 3").expected_output_tokens);
    CHECK(of("which eigenvalue fits 3\nA. red\nB. blue\nC. green").gain >
          0.1 + of("which colour is nice 3\nA. red\nB. blue\nC. green").gain);
    CHECK(of("Ann buys twelve apples each hour 3").gain > 0.1 + of("Ann has an apple 3").gain);
}

TEST_CASE("what kind of text it is is never learnt from its length", "[train]") {
    RouterData data = read_small_set();
    for (RouterRow& row : data.rows)
        for (std::size_t i = 0; i < structural_count; ++i)
            row.features.structural[i] =
                tells_length(i) ? static_cast<float>(row.target[0] == 1 ? 5 : 1) : 0.0F;
    Weights weights;
    prepare(data.rows, weights);
    FittedHeads fitted = fit_heads(data.rows, std::vector<bool>(data.rows.size(), true));
    auto counts = [&](Head head) {
        return fitted.heads[static_cast<std::size_t>(head)].structural;
    };
    for (double weight : counts(Head::reasoning)) CHECK(weight == 0);
    auto local = counts(Head::local_ok);
    CHECK(std::any_of(local.begin(), local.end(), [](double weight) { return weight != 0; }));
}

TEST_CASE("a kind of text speaks of the source with most outcomes of it", "[train]") {
    RouterData data = read_small_set();
    for (std::size_t i = 0; i < data.rows.size(); ++i)
        if (i % 5 == 0) data.rows[i].source = "other";
    Weights weights;
    prepare(data.rows, weights);
    for (const RouterRow& row : data.rows)
        CHECK(row.reference == (row.kind == Kind::open || row.source != "other"));
    std::vector<bool> used;
    for (const RouterRow& row : data.rows) used.push_back(row.source != "routellm/mmlu");
    FittedHeads fitted = fit_heads(data.rows, used);
    auto forests = [&](Kind kind) { return fitted.forests[static_cast<std::size_t>(kind)]; };
    CHECK(forests(Kind::choice).local.empty());  // only another pair's outcomes are left
    CHECK_FALSE(forests(Kind::problem).local.empty());
}

TEST_CASE("too little data is refused with what is missing", "[train]") {
    RouterData data = read_small_set();
    for (RouterRow& row : data.rows)
        row.target[static_cast<std::size_t>(Head::problem)] = std::nan("");
    auto weights = train_router(std::move(data), TrainOptions{}, say_nothing);
    REQUIRE(!weights);
    CHECK(weights.error().message == "only 0 rows say anything of 'problem', it takes 20");
}

TEST_CASE("routing is measured on the pairs of each source, with intervals", "[train]") {
    RouterData data = read_small_set();
    auto weights = train_router(read_small_set(), TrainOptions{}, say_nothing);
    REQUIRE(weights);
    auto classifier = make_classifier(std::move(*weights));
    std::vector<Difficulty> said;
    for (const RouterRow& row : data.rows)
        said.push_back(classifier->classify(request_of(row.prompt)));
    auto figures = measure_routing(data.rows, said, Shown::all);
    REQUIRE(figures.size() == 2);
    CHECK(figures[0].source == "routellm/gsm8k");
    const RouterFigures& mmlu = figures[1];
    CHECK(mmlu.source == "routellm/mmlu");
    CHECK(mmlu.pairs == 240);
    CHECK(mmlu.auc > 0.95);
    CHECK(mmlu.gain.at.apgr > 0.7);
    CHECK(mmlu.gain.low.apgr <= mmlu.gain.at.apgr);
    CHECK(mmlu.gain.high.apgr >= mmlu.gain.at.apgr);
    CHECK(mmlu.random.at.apgr < 0.65);
    CHECK(mmlu.ece >= 0);
    auto kept = measure_routing(data.rows, said, Shown::kept_back);
    auto others = measure_routing(data.rows, said, Shown::development);
    REQUIRE(kept.size() == 2);
    CHECK(kept[1].pairs + others[1].pairs == 240);
    CHECK(kept[1].pairs > 30);
    CHECK(kept[1].pairs < 90);
}

TEST_CASE("what another local model does to calibration is told from what its own outcomes mend",
          "[train]") {
    std::vector<RouterRow> rows(400);
    std::vector<Difficulty> said(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i].source = "better model";
        rows[i].prompt.assign(1 + i % 7, 'x');
        rows[i].cluster = i;
        rows[i].weak = i % 10 == 0 ? 0 : 1;
        rows[i].strong = 1;
        rows[i].paired = true;
        said[i].score = 0.5 + 0.001 * static_cast<double>(i % 3);
        said[i].domain = Domain::choice;
    }
    auto figures = measure_routing(rows, said, Shown::all);
    REQUIRE(figures.size() == 1);
    CHECK(figures[0].ece == Approx(0.4).margin(0.01));
    CHECK(figures[0].ece_own < 0.03);
    for (std::size_t i = 0; i < rows.size(); i += 2) {  // half of another model, just as sure
        rows[i].source = "worse model";
        rows[i].weak = i % 20 == 0 ? 1 : 0;
    }
    auto of_each = measure_routing(rows, said, Shown::all);
    REQUIRE(of_each.size() == 2);
    CalibrationFigures together = measure_calibration(rows, said, Shown::all);
    CHECK(together.outcomes == 400);
    CHECK(together.ece < 0.06);  // one too sure, one not sure enough
    CHECK(of_each[0].ece > 0.3);
    CHECK(of_each[1].ece > 0.3);
}

TEST_CASE("the everyday prompts that the shipped weights were fitted on are built in", "[train]") {
    RouterData data = ordinary_prompts();
    REQUIRE(data.files.size() == 1);
    CHECK(data.rows.size() == data.files[0].rows);
    CHECK(data.rows.size() > 400);
    CHECK(Classifier::builtin()->trained_on(data.files[0].sha256));
}

TEST_CASE("flips under noise and the time of a decision are measured", "[train]") {
    RouterData data = read_small_set();
    auto flips = measure_flips(*Classifier::builtin(), data.rows, Shown::all);
    REQUIRE(flips.size() == 2);
    for (const FlipFigures& one : flips) {
        CHECK(one.prompts == 240);
        CHECK(one.all() <= 1);
        CHECK(one.spaces == 0);    // white space does not count
        CHECK(one.greeting == 0);  // nor does politeness
    }
    std::vector<std::string_view> prompts;
    for (const RouterRow& row : data.rows) prompts.push_back(row.prompt);
    RouterSpeed speed = measure_speed(*Classifier::builtin(), prompts, 300);
    CHECK(speed.bytes == 300);
    CHECK(speed.prompts > 50);
    CHECK(speed.p50_us > 0);
    CHECK(speed.p99_us >= speed.p50_us);
}

}  // namespace sluice
