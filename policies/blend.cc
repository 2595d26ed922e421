#include "policies/blend.h"

#include <algorithm>
#include <cmath>

#include "policies/linear_fit.h"

namespace sluice {
namespace {

// What a stronger model may add where nothing closer is known: about what it adds on the multiple
// choice and the word problems that we know.
constexpr double open_gain_most = 0.25;
constexpr double reasoning_moves = 1.25;  // log-odds of difficulty, up or down
constexpr double log_tokens_max = 10.4;   // 32,768
constexpr double probability_least = 1e-4;
constexpr double kind_least = -1.0;      // log-odds under which a text is of no known kind
constexpr double problem_steepness = 3;  // a text is a word problem or not, seldom half of one

double log_odds(double p) {
    p = std::clamp(p, probability_least, 1 - probability_least);
    return std::log(p) - std::log1p(-p);
}

double problem_share(const HeadScores& scores) {
    return sigmoid(problem_steepness * scores[Head::problem]);
}

double mix(double share, double one, double other) { return share * one + (1 - share) * other; }

double tokens_of(double log_tokens) {
    return std::exp(std::clamp(log_tokens, 0.0, log_tokens_max));
}

double gain_of(const HeadScores& scores, Domain domain) {
    auto added = [&](Head frontier, Head local) {
        return sigmoid(scores[frontier]) - sigmoid(scores[local]);
    };
    double open = open_gain_most * sigmoid(scores[Head::reasoning]);
    if (!scores.familiar) return open;
    if (domain == Domain::choice) return added(Head::choice_frontier, Head::choice_local);
    if (domain == Domain::exam) return added(Head::exam_frontier, Head::exam_local);
    return mix(problem_share(scores), added(Head::problem_frontier, Head::problem_local), open);
}

}  // namespace

std::string_view domain_name(Domain domain) {
    constexpr std::string_view names[domain_count] = {"choice", "exam",    "problem", "code",
                                                      "maths",  "factual", "writing", "other"};
    return names[static_cast<std::size_t>(domain)];
}

Domain domain_of(const HeadScores& scores) {
    if (scores.options > choice_options_max) return Domain::exam;
    if (scores.options >= options_min) return Domain::choice;
    if (scores[Head::problem] > 0) return Domain::problem;  // which are mathematics, too
    constexpr std::pair<Domain, Head> kinds[] = {{Domain::code, Head::code},
                                                 {Domain::maths, Head::maths},
                                                 {Domain::factual, Head::factual},
                                                 {Domain::writing, Head::writing}};
    Domain best = Domain::other;
    double most = kind_least;
    for (auto [domain, head] : kinds) {
        if (scores[head] <= most) continue;
        most = scores[head];
        best = domain;
    }
    return best;
}

double local_ok_of(const HeadScores& scores) {
    Domain domain = domain_of(scores);
    double any = sigmoid(scores[Head::local_ok]);
    if (domain == Domain::choice) return (sigmoid(scores[Head::choice_local]) + any) / 2;
    if (domain == Domain::exam) return (sigmoid(scores[Head::exam_local]) + any) / 2;
    return mix(problem_share(scores), sigmoid(scores[Head::problem_local]), any);
}

double calibrated(double p, const Calibration& calibration) {
    p = std::clamp(p, probability_least, 1 - probability_least);
    return sigmoid(static_cast<double>(calibration.a) * std::log(p) -
                   static_cast<double>(calibration.b) * std::log1p(-p) +
                   static_cast<double>(calibration.c));
}

Difficulty blend(const HeadScores& scores, const Calibrations& calibrations) {
    Difficulty out;
    out.domain = domain_of(scores);
    out.familiar = scores.familiar;
    out.needs_reasoning = sigmoid(scores[Head::reasoning]);
    double ok = local_ok_of(scores);
    if (out.domain <= Domain::problem)
        ok = calibrated(ok, calibrations[static_cast<std::size_t>(out.domain)]);
    else
        ok = sigmoid(log_odds(ok) + reasoning_moves * (1 - 2 * out.needs_reasoning));
    out.score = 1 - ok;
    out.gain = gain_of(scores, out.domain);
    out.ok_frontier = std::clamp(ok + out.gain, 0.0, 1.0);
    out.expected_output_tokens = tokens_of(scores[Head::log_output_local]);
    out.expected_output_tokens_frontier = tokens_of(scores[Head::log_output_frontier]);
    return out;
}

}  // namespace sluice
