// Whether an answer is right, where its text alone tells. Pure; any thread. Code runs in gateway/,
// a judge is a call: judge.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policies/golden/golden_set.h"

namespace sluice {

struct Score {
    double value = 0;  // 0 to 1
    std::string why;   // for people, where it is not right
};

// Nothing for code_run and judge.
std::optional<Score> score_text(const Scorer& scorer, std::string_view answer);

// Of the last \boxed{...} in the text where there is one, else of the whole text: the last number.
// Reads 1,234.5 and -2.5e3; a sign that follows a letter or digit is none.
std::optional<double> last_number(std::string_view text);

// The inside of the last Markdown code fence, or the whole text where there is none.
std::string_view code_of(std::string_view answer);

}  // namespace sluice
