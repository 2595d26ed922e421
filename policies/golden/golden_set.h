// A team's own questions with what makes an answer right: the golden set. YAML, documented in
// policies/golden/README.md. Immutable after reading.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policies/golden/json_shape.h"
#include "policies/golden/pattern.h"
#include "providers/caller.h"
#include "providers/chat.h"
#include "providers/yaml_cursor.h"

namespace sluice {

// Data of this class goes to no hosted upstream and to no judge, whatever a policy says.
constexpr std::string_view restricted_class = "restricted";

struct ExactScorer {
    std::vector<std::string> right;  // any of them
    bool ignore_case = false;        // of ASCII letters
    bool collapse_space = false;     // each run of white space is one space
    bool trim = true;
};
struct NumericScorer {
    double right = 0;
    double tolerance = 0;  // absolute
};
struct RegexScorer {
    Pattern pattern;
};
struct JsonScorer {
    JsonShape shape;
};
constexpr std::string_view passed_mark = "{{passed}}";
struct CodeScorer {
    std::vector<std::string> command;   // run in the folder that has the file
    std::string file;                   // gets the answer's code
    std::string append;                 // behind it: the team's own tests; passed_mark in them
                                        // becomes a word that they print once all hold
    std::string input;                  // its standard input
    std::optional<std::string> output;  // what it must print, but for white space around it
    int timeout_ms = 10'000;
};
struct JudgeScorer {
    bool compare = false;  // with the first tier's answer; else by grades of 1 to 5
    std::string rubric;
};
using Scorer =
    std::variant<ExactScorer, NumericScorer, RegexScorer, JsonScorer, CodeScorer, JudgeScorer>;

std::string_view scorer_name(const Scorer& scorer);

struct GoldenCase {
    std::string id;
    int line = 0;
    std::string digest;  // of all that it says: cases of two versions of a file are compared by it
    std::vector<Message> messages;
    std::int64_t max_tokens = 1'024;
    double temperature = 0;
    int repeats = 1;
    int deadline_ms = 120'000;  // of one answer, waiting for a rate limit included
    std::string org, team = "eval";
    Labels labels;  // tags, data class
    Scorer scorer;
    bool restricted() const { return labels.data_class == restricted_class; }
};

struct JudgeSection {
    std::string tier;
    std::int64_t max_tokens = 1'024;
};

struct GoldenSet {
    std::string file;
    std::string sha256;
    std::vector<GoldenCase> cases;
    JudgeSection judge;
    bool runs_code() const;
    bool asks_judge() const;
};

// Appends every fault; the set is usable only if none was.
GoldenSet read_golden(std::string_view yaml, const std::string& file, std::vector<Fault>& faults);

}  // namespace sluice
