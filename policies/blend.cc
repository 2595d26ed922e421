#include "policies/blend.h"

#include <algorithm>
#include <cmath>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

// What a stronger model may add where nothing closer is known: about what it adds on the multiple
// choice and the word problems that we know.
constexpr double chat_gain_most = 0.25;
constexpr double log_tokens_max = 10.4;  // 32,768

}  // namespace

Difficulty blend(const HeadScores& scores) {
    double reasoning = sigmoid(scores[Head::reasoning]);
    Difficulty out;
    out.score = sigmoid(scores[Head::failing_share] + 2 * reasoning - 1);
    if (scores.choice) {
        out.gain = sigmoid(scores[Head::choice_strong]) - sigmoid(scores[Head::choice_weak]);
    } else {
        double problem = sigmoid(scores[Head::problem]);
        double solved = sigmoid(scores[Head::problem_strong]) - sigmoid(scores[Head::problem_weak]);
        out.gain = problem * solved + (1 - problem) * chat_gain_most * reasoning * out.score;
    }
    out.expected_output_tokens =
        std::exp(std::clamp(scores[Head::log_output], 0.0, log_tokens_max));
    return out;
}

}  // namespace sluice
