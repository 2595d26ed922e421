#include "policies/blend.h"

#include <algorithm>
#include <cmath>

#include "policies/calibrate.h"
#include "policies/linear_fit.h"

namespace sluice {
namespace {

// Of text whose outcomes were not measured. Means over the sources that were: 0.2 of an exam or a
// word problem; length adds something everywhere, most to word problems; need of reasoning where
// there are no options, or many.
constexpr double closed_gain = 0.2;
struct ByText {
    double length, reasoning;
};
constexpr ByText of_choice = {0.03, 0}, of_exam = {0.03, 0.04}, of_problem = {0.05, 0.02};
constexpr double open_by_reasoning = 0.15, open_by_length = 0.02;
constexpr double log_bytes_usual = 5.5;
// Log-odds of difficulty, up or down. All code needs reasoning, the easy as well, and most of
// mathematics.
constexpr double reasoning_moves = 1.25, reasoning_moves_maths = 0.6;
constexpr double log_tokens_max = 10.4;  // 32,768
constexpr double probability_least = 1e-4;
constexpr double kind_least = -1.0;      // log-odds under which a text is of no known kind
constexpr double share_least = 0.02;     // of which less does not count
constexpr double problem_steepness = 3;  // a text is a word problem or not, seldom half of one
// How far a text is of a sort that was measured, and calibrated: most that look a little like it.
constexpr double measured_steepness = 1.5, measured_shift = 1.5;

double log_odds(double p) {
    p = std::clamp(p, probability_least, 1 - probability_least);
    return std::log(p) - std::log1p(-p);
}

double mix(double share, double one, double other) { return share * one + (1 - share) * other; }

double tokens_of(double log_tokens) {
    return std::exp(std::clamp(log_tokens, 0.0, log_tokens_max));
}

// Needed more than once, and an exponential costs as much as two words.
struct Shares {
    double reasoning, problem;
};

Shares shares_of(const HeadScores& scores) {
    return {sigmoid(scores[Head::reasoning]), problem_share(scores)};
}

double gain_of(const HeadScores& scores, Domain domain, const Shares& shares) {
    double longer = scores.log_bytes - log_bytes_usual;
    double reasoning = shares.reasoning;
    ByText by = domain == Domain::choice ? of_choice
                : domain == Domain::exam ? of_exam
                                         : of_problem;
    double closed = closed_gain + by.length * longer + by.reasoning * reasoning;
    if (scores.familiar && scores.closed.known)
        closed = mix(scores.closed.trust, scores.closed.frontier - scores.closed.local, closed);
    if (domain == Domain::choice || domain == Domain::exam) return closed;
    double open = open_by_reasoning * reasoning + open_by_length * longer;
    if (scores.familiar && scores.open.known)
        open = mix(scores.open.trust * sigmoid(scores[Head::measured]),
                   scores.open.frontier - scores.open.local, open);
    return mix(shares.problem, closed, open);
}

double local_ok_by(const HeadScores& scores, Domain domain, const Shares& shares) {
    double ok = sigmoid(scores[Head::local_ok]);
    if (scores.closed.known && scores.options >= options_min)
        ok = (scores.closed.local + ok) / 2;
    else if (scores.closed.known)
        ok = mix(shares.problem, scores.closed.local, ok);
    if (domain <= Domain::code) return ok;
    double moves = domain == Domain::maths ? reasoning_moves_maths : reasoning_moves;
    return sigmoid(log_odds(ok) + moves * (1 - 2 * shares.reasoning));
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

double problem_share(const HeadScores& scores) {
    if (scores.options >= options_min) return 0;
    return sigmoid(problem_steepness * scores[Head::problem]);
}

void ask_forests(const std::array<KindForests, kind_count>& forests, TreeInputs& inputs,
                 HeadScores& scores) {
    inputs.back() = static_cast<float>(scores[Head::steps]);
    auto ask = [&](Kind kind) {
        const KindForests& both = forests[static_cast<std::size_t>(kind)];
        if (both.local.empty() || both.frontier.empty()) return HeadScores::Odds{};
        return HeadScores::Odds{true, sigmoid(static_cast<double>(both.local.log_odds(inputs))),
                                sigmoid(static_cast<double>(both.frontier.log_odds(inputs))),
                                static_cast<double>(both.trust)};
    };
    if (scores.options >= options_min) {
        scores.closed = ask(scores.options > choice_options_max ? Kind::exam : Kind::choice);
        return;
    }
    double share = problem_share(scores);
    if (share > share_least) scores.closed = ask(Kind::problem);
    if (share < 1 - share_least) scores.open = ask(Kind::open);
}

double local_ok_of(const HeadScores& scores, Domain domain) {
    return local_ok_by(scores, domain, shares_of(scores));
}

Difficulty blend(const HeadScores& scores, const Calibrations& calibrations) {
    Difficulty out;
    out.domain = domain_of(scores);
    out.familiar = scores.familiar;
    const Shares shares = shares_of(scores);
    out.needs_reasoning = shares.reasoning;
    double ok = local_ok_by(scores, out.domain, shares);
    if (is_calibrated(out.domain)) {
        double like = out.domain <= Domain::problem
                          ? 1
                          : sigmoid(measured_steepness * (scores[Head::measured] + measured_shift));
        ok = mix(like, calibrated(ok, calibrations[static_cast<std::size_t>(out.domain)]), ok);
    }
    out.score = 1 - ok;
    out.gain = gain_of(scores, out.domain, shares);
    out.ok_frontier = std::clamp(ok + out.gain, 0.0, 1.0);
    out.expected_output_tokens = tokens_of(scores[Head::log_output_local]);
    out.expected_output_tokens_frontier = tokens_of(scores[Head::log_output_frontier]);
    return out;
}

}  // namespace sluice
