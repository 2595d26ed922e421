// The classifier's weights: one flat file, a readable header, then numbers. Made by
// `sluice train-router`, checked whole before use.
//   sluice-router-weights 6
//   command: sluice train-router --data ...
//   data: difficulty.jsonl, 23080 rows, sha256 <64 hex>     (one line a file)
//   seed: 1
//   heads: reasoning local_ok problem ...
//   features: 56 structural, 16384 buckets, 32 topics, list sha256 <12 hex>
//   figure: ...                                              (cross-validated, any number)
//   payload: 869168 bytes, sha256 <64 hex>
//   header: sha256 <64 hex>                                  (of all before this line)
//   (an empty line, then the payload, little-endian)
// Payload: float32 mean[S], scale[S] of the structural features; float32 bias[16], step[48];
// float32 structural[S][16]; float32 calibration[8][2][24]; uint8 known[16384], a bit for each hash
// of a word that was met in training; int8 hashed[B][48], 16 heads and 32 topics; then eight
// forests, local and frontier of each kind: float32 base, line[89], uint32 trees, and 100 trees of
// uint8 input[8], float32 threshold[8], float32 leaf[8], those beyond `trees` zero; behind
// both of a kind float32 trust. What one
// feature adds to all heads and topics lies together; a hashed weight is its int8 times its lane's
// step.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "policies/classifier.h"
#include "policies/features.h"
#include "policies/forest.h"

namespace sluice {

// What the linear heads predict. The order is that of the file.
enum class Head : std::size_t {
    reasoning,           // P(asks for maths, code, logic or science)
    local_ok,            // P(a small model is right), any text
    problem,             // P(a word problem), where there are no options
    measured,            // P(like text whose outcomes were measured), where neither of these
    steps,               // how many steps a word problem takes, in standard deviations
    code,                // P(the text is about code), where there are no options
    maths,               // likewise mathematics
    factual,             // likewise facts and knowledge
    writing,             // likewise writing, rewriting, extracting, small talk
    log_output_local,    // natural logarithm of the answer's tokens
    log_output_frontier  //
};
constexpr std::size_t head_count = 11;
constexpr std::size_t head_lanes = 16;  // stored side by side
constexpr std::string_view head_names[head_count] = {
    "reasoning", "local_ok", "problem",          "measured",           "steps", "code", "maths",
    "factual",   "writing",  "log_output_local", "log_output_frontier"};

// The others are numbers.
constexpr bool is_probability(Head head) {
    return head != Head::steps && head != Head::log_output_local &&
           head != Head::log_output_frontier;
}

// Texts whose outcomes are learnt together. "Local" and "frontier" are the weak and the strong
// model of the labelled pairs.
enum class Kind : std::size_t { choice, exam, problem, open };
constexpr std::size_t kind_count = 4;
constexpr std::string_view kind_names[kind_count] = {"choice", "exam", "problem", "open"};

constexpr std::uint32_t options_min = 2;         // so many lettered options make a multiple choice
constexpr std::uint32_t choice_options_max = 5;  // with more it is a harder kind of exam

// The log-odds that a local and a frontier model are right.
struct KindForests {
    Forest local, frontier;
    float trust = 0;  // in what they say a frontier model adds: more for more outcomes
};

// What p comes to, calibrated in one domain: straight lines from (0, 0) through these knots to
// (1, 1). Those that are not needed lie at (1, 1). One row for each Domain.
struct Calibration {
    static constexpr std::size_t knots = 24;
    std::array<float, knots> said = filled(1), right = filled(1);

private:
    static constexpr std::array<float, knots> filled(float value) {
        std::array<float, knots> out{};
        out.fill(value);
        return out;
    }
};

constexpr std::string_view weights_version = "6";
constexpr double familiar_share = 0.6;  // of the words: with less a text is unfamiliar
constexpr std::size_t known_bytes = std::size_t{1} << 14;

struct TrainingFile {
    std::string name;  // without its folder
    std::uint64_t rows = 0;
    std::string sha256;
};

constexpr std::size_t lane_count = head_lanes + topic_count;

struct Weights {
    std::string command;
    std::vector<TrainingFile> data;
    std::uint64_t seed = 0;
    std::vector<std::string> figures;
    std::string payload_sha256;  // set by reading and by writing

    using Lanes = std::array<float, head_lanes>;
    std::array<float, structural_count> mean{};
    std::array<float, structural_count> scale{};  // a feature is (value - mean) * scale, clipped
    Lanes bias{};
    std::array<float, lane_count> step{};
    std::array<Lanes, structural_count> structural{};
    std::array<Calibration, domain_count> calibration{};
    std::vector<std::uint8_t> known;  // [known_bytes]
    std::vector<std::int8_t> hashed;  // [bucket_count][lane_count]
    std::array<KindForests, kind_count> forests;
};

constexpr float structural_clip = 4.0F;  // standard deviations: no count runs away with a score

// (value - mean) * scale within the clip.
inline float standardised(const Weights& weights, std::size_t feature, float value) {
    float standard = (value - weights.mean[feature]) * weights.scale[feature];
    return std::clamp(standard, -structural_clip, structural_clip);
}

// Share of a text's first words, by their hashes, that are known; 1 where there are too few to
// tell.
double known_share(std::span<const std::uint32_t> words, std::span<const std::uint8_t> known);

// The whole file; sets payload_sha256.
std::string write_weights(Weights& weights);

// Errors: bad_file naming `file` and what is wrong: no such header, another version, other
// features or heads than this program's, a size or digest that does not fit.
Result<Weights> read_weights(std::string_view bytes, const std::string& file);

}  // namespace sluice
