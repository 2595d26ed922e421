// Labelled prompts for training and measuring the classifier, read from JSON lines. Two kinds of
// line are known, told apart by the key "bench":
//   {"prompt","source","cluster","domain","difficulty" 1..5 or "p_solve" 0..1,
//    "weak_correct","strong_correct" 0|1 or "weak_score","strong_score" 0..1,"ref_out_chars",
//    "native_difficulty" under "native_scale":"calculator steps ..."}
//   {"prompt","bench","cluster","weak","strong","contaminated","weak_out_chars",
//    "strong_out_chars"}
// All but the prompt may be absent or null: a row then says nothing of that head.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "policies/linear_fit.h"
#include "policies/weights.h"

namespace sluice {

struct RouterRow {
    std::string source;
    std::string prompt;
    std::uint64_t cluster = 0;  // near-duplicates share it: never split them between folds
    FitRow features;            // not yet standardised
    std::array<double, head_count> target{};  // NaN: no label
    std::uint32_t options = 0;                // lettered ones
    std::vector<std::uint32_t> words;         // hashes of the first ones
    double weight = 1;                        // of the label's kind
    double log_bytes = 0;                     // as in HeadScores
    Kind kind = Kind::open;                   // whose outcomes it teaches
    bool reference = true;                    // from its kind's main source, see prepare()
    double weak = 0, strong = 0;              // measured quality of a pair, NaN without
    bool paired = false;                      // counts when routing between the two is measured
};

struct RouterData {
    std::vector<RouterRow> rows;
    std::vector<TrainingFile> files;
};

// Files, and folders for all their files NAME.jsonl. Errors: bad_file as file:line: what is wrong,
// or that there is nothing; not_found for a file that cannot be opened.
Result<RouterData> read_router_data(const std::vector<std::string>& paths);

// Everyday prompts that the shipped weights were fitted on beside others' data:
// weights/ordinary.jsonl, built in. Without them another model would be measured.
RouterData ordinary_prompts();

// The source that only judges: no part of it is fitted on, by any command.
constexpr std::string_view mt_bench = "routellm/mt_bench";

// Takes the rows of mt_bench out of `data`, and out of its files' counts; files of nothing else
// leave `files`, as nothing is learnt of them.
std::vector<RouterRow> take_mt_bench(RouterData& data);

}  // namespace sluice
