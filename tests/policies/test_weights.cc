// The weights' file: what is written is read, and every damage is named.
#include <catch2/catch.hpp>
#include <fstream>
#include <limits>
#include <sstream>

#include "policies/classifier.h"
#include "policies/sha256.h"
#include "policies/weights.h"

namespace sluice {
namespace {

Weights some_weights() {
    Weights weights;
    weights.command = "sluice train-router --data a.jsonl";
    weights.data.push_back({"a.jsonl", 12, std::string(64, 'a')});
    weights.seed = 7;
    weights.figures = {"reasoning: AUC 0.9", "with a\nline break"};
    weights.mean[3] = 1.5F;
    weights.scale[3] = 2.0F;
    weights.bias[1] = -0.25F;
    weights.step[1] = 0.5F;
    weights.structural[3][1] = 4.0F;
    weights.hashed.resize(std::size_t{bucket_count} * lane_count);
    weights.hashed[17] = -127;
    weights.calibration[2].said[0] = 0.25F;
    weights.calibration[2].right[0] = 0.75F;
    weights.known.resize(known_bytes);
    weights.known[9] = 4;
    Tree tree;
    tree.input[1] = 3;
    tree.threshold[1] = 0.5F;
    tree.leaf[7] = -2;
    weights.forests[1].frontier = {0.25F, {}, {tree, Tree{}}};
    weights.forests[1].frontier.line[2] = 1.5F;
    weights.forests[1].trust = 0.5F;
    return weights;
}

std::string fault_of(const std::string& bytes) {
    auto read = read_weights(bytes, "router.weights");
    if (read) return "";
    CHECK(read.error().code == Errc::bad_file);
    return read.error().message;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    auto at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), by);
}

// With the header's digest right again.
std::string signed_anew(const std::string& bytes) {
    const std::string line = "\nheader: sha256 ";
    auto at = bytes.find(line);
    REQUIRE(at != std::string::npos);
    std::string before = bytes.substr(0, at + 1);
    return before + line.substr(1) + sha256_hex(before) + bytes.substr(at + line.size() + 64);
}

std::string shipped_bytes(const std::string& name) {
    std::ifstream in(SLUICE_SOURCE_DIR "/policies/weights/" + name, std::ios::binary);
    REQUIRE(in);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

}  // namespace

TEST_CASE("weights come back from their file as they were", "[weights]") {
    Weights weights = some_weights();
    std::string bytes = write_weights(weights);
    auto read = read_weights(bytes, "router.weights");
    REQUIRE(read);
    CHECK(read->command == weights.command);
    REQUIRE(read->data.size() == 1);
    CHECK(read->data[0].name == "a.jsonl");
    CHECK(read->data[0].rows == 12);
    CHECK(read->data[0].sha256 == std::string(64, 'a'));
    CHECK(read->seed == 7);
    CHECK(read->figures == std::vector<std::string>{"reasoning: AUC 0.9", "with a line break"});
    CHECK(read->payload_sha256 == weights.payload_sha256);
    CHECK(read->mean == weights.mean);
    CHECK(read->structural == weights.structural);
    CHECK(read->hashed == weights.hashed);
    CHECK(read->known == weights.known);
    CHECK(read->calibration[2].said[0] == 0.25F);
    const Forest& forest = read->forests[1].frontier;
    REQUIRE(forest.trees.size() == 2);
    CHECK(forest.trees[0].leaf[7] == -2);
    CHECK(forest.base == 0.25F);
    CHECK(forest.line[2] == 1.5F);
    CHECK(read->forests[1].trust == 0.5F);
    CHECK(read->forests[1].local.empty());
    CHECK(read->calibration[2].right == weights.calibration[2].right);
    CHECK(write_weights(*read) == bytes);
}

TEST_CASE("damaged weights are refused with what is wrong", "[weights]") {
    Weights weights = some_weights();
    std::string good = write_weights(weights);
    CHECK(fault_of(good) == "");
    CHECK_THAT(fault_of(""), Catch::Contains("does not begin with 'sluice-router-weights'"));
    CHECK_THAT(fault_of("GGUF"), Catch::Contains("router.weights: not usable as router weights"));
    CHECK(signed_anew(good) == good);
    CHECK_THAT(fault_of(replaced(good, "weights 6\n", "weights 5\n")),
               Catch::Contains("it is of version '5', this program reads version 6"));
    Weights falls = some_weights();
    falls.calibration[2].said[1] = 0.1F;
    CHECK_THAT(fault_of(write_weights(falls)),
               Catch::Contains("a calibration of it does not rise from 0 to 1"));
    CHECK_THAT(fault_of(good.substr(0, good.size() - 1)),
               Catch::Contains("bytes, the header says"));
    CHECK_THAT(fault_of(good + "x"), Catch::Contains("bytes, the header says"));
    CHECK_THAT(fault_of(good.substr(0, 100)), Catch::Contains("header has no end"));
    std::string flipped = good;
    flipped[flipped.size() - 5] ^= 1;
    CHECK_THAT(fault_of(flipped), Catch::Contains("its payload has SHA-256"));
    for (auto [what, by] : {std::pair("seed: ", "seed: 1"),
                            {"command: ", "command: not "},
                            {"AUC 0.9", "AUC 0.8"},
                            {"seed: ", "figure: all is well\nseed: "}})
        CHECK_THAT(fault_of(replaced(good, what, by)), Catch::Contains("its header has SHA-256"));
    CHECK_THAT(fault_of(replaced(good, "header: ", "figure: ")),
               Catch::Contains("does not end in its own SHA-256"));
    CHECK_THAT(fault_of(signed_anew(replaced(good, "heads: reasoning", "heads: guessing"))),
               Catch::Contains("it has other heads"));
    CHECK_THAT(fault_of(signed_anew(replaced(good, " structural, ", " something, "))),
               Catch::Contains("other features"));
    CHECK_THAT(fault_of(replaced(good, "payload: ", "payload: x")),
               Catch::Contains("its payload line is damaged"));
    CHECK_THAT(fault_of(replaced(good, "rows, sha256 a", "rows, sha256 G")),
               Catch::Contains("a data line is damaged"));
    CHECK_THAT(fault_of(std::string(2 << 20, 'x')), Catch::Contains("more than 1 MiB"));
}

TEST_CASE("weights that do not say what they were trained on are refused", "[weights]") {
    for (int left_out = 0; left_out < 3; ++left_out) {
        Weights weights = some_weights();
        if (left_out == 0) weights.command.clear();
        if (left_out == 1) weights.data.clear();
        if (left_out == 2) weights.figures.clear();
        auto read = read_weights(write_weights(weights), "w");
        REQUIRE_FALSE(read);
        CHECK_THAT(read.error().message, Catch::Contains("does not say by what command"));
    }
}

TEST_CASE("weights that are no numbers are refused", "[weights]") {
    Weights weights = some_weights();
    weights.bias[0] = std::numeric_limits<float>::quiet_NaN();
    auto read = read_weights(write_weights(weights), "w");
    REQUIRE_FALSE(read);
    CHECK_THAT(read.error().message, Catch::Contains("no finite number"));
}

TEST_CASE("trees that look at what is not there are refused", "[weights]") {
    Weights weights = some_weights();
    weights.forests[1].frontier.trees[0].input[5] = tree_inputs;
    CHECK_THAT(fault_of(write_weights(weights)),
               Catch::Contains("a tree of it looks at what is not there"));
}

TEST_CASE("a text is known by its words, a short one always", "[weights]") {
    std::vector<std::uint8_t> known(known_bytes);
    known[1] = 1;  // the word 8
    std::vector<std::uint32_t> words = {8, 8, 8, 8, 8, 8, 9, 10};
    CHECK(known_share(words, known) == 0.75);
    words.pop_back();
    CHECK(known_share(words, known) == 1);
}

TEST_CASE("weights that do not exist are named", "[weights]") {
    auto loaded = Classifier::load("/nowhere/router.weights");
    REQUIRE(!loaded);
    CHECK(loaded.error().code == Errc::bad_file);
    CHECK(loaded.error().message == "/nowhere/router.weights: cannot be opened");
}

TEST_CASE("the shipped weights say what made them, and were made from the shipped prompts",
          "[weights]") {
    std::string bytes = shipped_bytes("router.weights");
    CHECK(bytes.size() <= 1 << 20);
    auto weights = read_weights(bytes, "router.weights");
    REQUIRE(weights);
    CHECK_THAT(weights->command, Catch::StartsWith("sluice train-router --data "));
    CHECK(weights->figures.size() >= head_count);
    REQUIRE(weights->data.size() == 3);
    CHECK(weights->data[2].name == "ordinary.jsonl");
    CHECK(weights->data[2].sha256 == sha256_hex(shipped_bytes("ordinary.jsonl")));
    CHECK(Classifier::builtin()->trained_on(weights->data[0].sha256));
    CHECK_FALSE(Classifier::builtin()->trained_on(std::string(64, '0')));
    CHECK(Classifier::builtin()->version() == "6-" + weights->payload_sha256.substr(0, 8));
    auto loaded = Classifier::load(SLUICE_SOURCE_DIR "/policies/weights/router.weights");
    REQUIRE(loaded);
    CHECK((*loaded)->version() == Classifier::builtin()->version());
}

}  // namespace sluice
