// From the heads' scores to difficulty and gain, with scores made by hand.
#include <catch2/catch.hpp>

#include "policies/blend.h"
#include "policies/linear_fit.h"

namespace sluice {
namespace {

HeadScores scores_of(std::uint32_t options,
                     std::initializer_list<std::pair<Head, double>> given = {}) {
    HeadScores scores;
    scores.options = options;
    for (Head kind : {Head::problem, Head::code, Head::maths, Head::factual, Head::writing})
        scores.of[static_cast<std::size_t>(kind)] = -5;
    for (auto [head, score] : given) scores.of[static_cast<std::size_t>(head)] = score;
    return scores;
}

}  // namespace

TEST_CASE("options come first, then the likeliest kind of text", "[blend]") {
    CHECK(domain_of(scores_of(4, {{Head::code, 5.0}})) == Domain::choice);
    CHECK(domain_of(scores_of(10)) == Domain::exam);
    CHECK(domain_of(scores_of(1, {{Head::code, 2.0}, {Head::maths, 1.0}})) == Domain::code);
    CHECK(domain_of(scores_of(0, {{Head::problem, 3.0}})) == Domain::problem);
    CHECK(domain_of(scores_of(0)) == Domain::other);
    CHECK(domain_name(Domain::exam) == "exam");
}

TEST_CASE("gain is what the frontier adds in the text's own kind", "[blend]") {
    auto choice = scores_of(4, {{Head::choice_frontier, 2.0}, {Head::choice_local, 0.0}});
    CHECK(blend(choice, {}).gain == Approx(sigmoid(2) - 0.5));
    auto problem = scores_of(
        0, {{Head::problem, 5.0}, {Head::problem_frontier, 1.0}, {Head::problem_local, -1.0}});
    CHECK(blend(problem, {}).gain == Approx(sigmoid(1) - sigmoid(-1)).epsilon(1e-3));
    auto chat = scores_of(0, {{Head::reasoning, 3.0}});
    CHECK(blend(chat, {}).gain == Approx(0.25 * sigmoid(3)).epsilon(1e-3));
    choice.familiar = false;  // words never met: only the need of reasoning counts
    CHECK(blend(choice, {}).gain == Approx(0.25 * 0.5));
    CHECK_FALSE(blend(choice, {}).familiar);
}

TEST_CASE("difficulty is calibrated where outcomes are known, and moved by reasoning elsewhere",
          "[blend]") {
    auto scores = scores_of(4, {{Head::choice_local, 1.0}, {Head::local_ok, 1.0}});
    CHECK(blend(scores, {}).score == Approx(1 - sigmoid(1)).epsilon(1e-3));
    Calibrations calibrations{};
    calibrations[static_cast<std::size_t>(Domain::choice)] = {2, 2, 0.5F};
    CHECK(blend(scores, calibrations).score == Approx(1 - sigmoid(2.5)).epsilon(1e-3));
    auto proof = scores_of(0, {{Head::local_ok, 0.0}, {Head::reasoning, 20.0}});
    CHECK(blend(proof, {}).score == Approx(sigmoid(1.25)).epsilon(1e-3));
    CHECK(calibrated(0.0, {}) < 0.001);
    CHECK(calibrated(1.0, {}) > 0.999);
}

}  // namespace sluice
