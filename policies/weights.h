// The classifier's weights: one flat file, a readable header, then numbers. Made by
// `sluice train-router`, checked whole before use.
//   sluice-router-weights 1
//   command: sluice train-router --data ...
//   data: difficulty.jsonl, 23080 rows, sha256 <64 hex>     (one line a file)
//   seed: 1
//   heads: reasoning failing_share choice_weak ...
//   features: 43 structural, 8192 buckets, list sha256 <12 hex>
//   figure: ...                                              (cross-validated, any number)
//   payload: 66123 bytes, sha256 <64 hex>
//   (an empty line, then the payload, little-endian)
// Payload: float32 mean[S], scale[S] of the structural features; float32 bias[8], step[8];
// float32 structural[S][8]; int8 hashed[B][8]. The eight heads of one feature lie together, so a
// feature costs one cache line; a hashed weight is its int8 times the head's step.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "policies/features.h"

namespace sluice {

// What the model predicts. The order is that of the file.
enum class Head : std::size_t {
    reasoning,       // P(asks for maths, code, logic or science)
    failing_share,   // share of reference chat models, 7B to frontier, that fail
    choice_weak,     // P(a weak model is right), multiple choice
    choice_strong,   // P(a strong one is)
    problem,         // P(a word problem), where there are no options
    problem_weak,    // P(a weak model is right), word problems
    problem_strong,  // P(a strong one is)
    log_output,      // natural logarithm of the answer's tokens
};
constexpr std::size_t head_count = 8;
constexpr std::size_t head_lanes = 8;  // stored side by side
constexpr std::string_view head_names[head_count] = {
    "reasoning", "failing_share", "choice_weak",    "choice_strong",
    "problem",   "problem_weak",  "problem_strong", "log_output"};

constexpr std::uint32_t options_min = 2;  // so many lettered options make a multiple choice

struct TrainingFile {
    std::string name;  // without its folder
    std::uint64_t rows = 0;
    std::string sha256;
};

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
    Lanes step{};
    std::array<Lanes, structural_count> structural{};
    std::vector<std::int8_t> hashed;  // [bucket_count][head_lanes]
};

constexpr float structural_clip = 4.0F;  // standard deviations: no count runs away with a score

// (value - mean) * scale within the clip.
float standardised(const Weights& weights, std::size_t feature, float value);

// The whole file; sets payload_sha256.
std::string write_weights(Weights& weights);

// Errors: bad_file naming `file` and what is wrong: no such header, another version, other
// features or heads than this program's, a size or digest that does not fit.
Result<Weights> read_weights(std::string_view bytes, const std::string& file);

}  // namespace sluice
