// What a run of a golden set found, as a value and as a file: JSON of a version, with digests and
// scores. It has no text of a question or an answer unless that was asked for.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "policies/golden/statistics.h"
#include "providers/money.h"

namespace sluice {

constexpr std::int64_t result_version = 1;

struct MeasuredCase {
    std::string id;
    std::string digest;
    std::string scorer;  // its name
    std::string routed;  // the tier that the whole policy would choose; "" = it refuses
};

struct MeasuredTier {
    std::string tier;
    std::string upstream;
    std::string identity;  // of what answered: a change of it makes the result stale
    // Parallel to the result's cases; none: not measured, by an error or on purpose.
    std::vector<std::optional<double>> scores;
    std::map<std::string, int> errors;  // kind -> answers
    int left_out = 0;                   // cases that may not go there
    Money cost;                         // of its answers, failed attempts included
    std::int64_t median_ms = 0;
    std::vector<std::string> texts;  // of the answers, where asked for; parallel to the cases

    int measured() const;
    int right() const;  // cases with more than half of the score
    double mean() const;
};

struct GoldenResult {
    std::string made;           // 2026-11-22T09:00:00Z
    std::string golden_sha256;  // of the golden file
    std::string policy_version;
    Money judge_cost;
    std::vector<MeasuredCase> cases;
    std::vector<MeasuredTier> tiers;
    std::shared_ptr<const GoldenResult> before;  // the last one that was good enough

    const MeasuredTier* tier(std::string_view name) const;
};

// At most one `before` deep.
std::string write_result(const GoldenResult& result);
// Errors: bad_file with what is wrong.
Result<GoldenResult> read_result(std::string_view json);

enum class Verdict { holds, unsure, loses };
std::string_view verdict_text(Verdict verdict);

// Scores of two on the same cases.
struct Comparison {
    int pairs = 0;
    int lost = 0, won = 0;   // pairs in which the second is worse, better
    double difference = 0;   // mean of second - first
    ShareInterval interval;  // 95 %
    double p = 1;            // two-sided
    bool exact = false;      // McNemar's test on right and wrong; else a bootstrap of graded scores
    Verdict verdict = Verdict::unsure;
};

using Scores = std::vector<std::optional<double>>;
// Pairs of which one was not measured are left out. `loses`: the second's mean is lower by more
// than the tolerance; `holds`: a loss above it is outside the interval, too; else too few cases to
// say.
Comparison compare_scores(const Scores& first, const Scores& second, double tolerance);

}  // namespace sluice
