// What a judging model is asked, and what it said. The judge sees the question, the rubric and the
// answers, never which tier gave them. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policies/golden/golden_set.h"

namespace sluice {

ChatRequest grade_request(const GoldenCase& asked, const std::string& rubric,
                          const std::string& answer, std::int64_t max_tokens);
// 1 to 5 from its last "GRADE: n", as 0 to 1; nothing when there is none.
std::optional<double> read_grade(std::string_view said);

enum class Preference { first, second, tie };
// Asked twice with the answers swapped: what holds in one order only is a tie.
ChatRequest preference_request(const GoldenCase& asked, const std::string& rubric,
                               const std::string& first, const std::string& second,
                               std::int64_t max_tokens);
// From its last "VERDICT: A", "B" or "TIE".
std::optional<Preference> read_preference(std::string_view said);

// Both verdicts as the score of the answer that was second in the first order: 1 when it won in
// both orders, 0 when it lost in both, else one half.
double agreed(Preference plain, Preference swapped);

}  // namespace sluice
