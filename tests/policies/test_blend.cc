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
    auto choice = scores_of(4);
    choice.closed = {true, 0.5, 0.9, 1};
    CHECK(blend(choice, {}).gain == Approx(0.4));
    CHECK(blend(choice, {}).ok_frontier == Approx(1 - blend(choice, {}).score + 0.4));
    auto problem = scores_of(0, {{Head::problem, 5.0}});
    problem.closed = {true, 0.2, 0.8, 1};
    CHECK(blend(problem, {}).gain == Approx(0.6).epsilon(1e-3));
    auto chat = scores_of(0, {{Head::measured, 20.0}});
    chat.open = {true, 0.25, 0.5, 1};
    CHECK(blend(chat, {}).gain == Approx(0.25).epsilon(1e-3));
}

TEST_CASE("text that was not measured is ranked by need of reasoning, and by length a little",
          "[blend]") {
    auto gain = [](double reasoning, double log_bytes, double measured) {
        auto chat = scores_of(0, {{Head::reasoning, reasoning}, {Head::measured, measured}});
        chat.open = {true, 0.9, 0.1, 1};  // an opinion of other text
        chat.log_bytes = log_bytes;
        return blend(chat, {}).gain;
    };
    CHECK(gain(3, 6, -20) > gain(-3, 6, -20));
    CHECK(gain(3, 7, -20) > gain(3, 6, -20));
    CHECK(gain(3, 4, -20) > gain(-3, 7, -20));
    CHECK(gain(3, 6, 20) == Approx(-0.8));
    auto choice = scores_of(4);
    choice.closed = {true, 0.1, 0.9, 1};
    choice.log_bytes = 5.5;
    choice.familiar = false;  // words never met
    CHECK(blend(choice, {}).gain == Approx(0.2));
    choice.log_bytes = 6.5;  // length alone moves it
    CHECK(blend(choice, {}).gain == Approx(0.2 + 0.03));
    auto exam = scores_of(10);
    exam.log_bytes = 5.5;
    CHECK(blend(exam, {}).gain == Approx(0.2 + 0.04 * 0.5));
    auto problem = scores_of(0, {{Head::problem, 20.0}});
    problem.log_bytes = 6.5;
    CHECK(blend(problem, {}).gain == Approx(0.2 + 0.05 + 0.02 * 0.5));
    CHECK_FALSE(blend(choice, {}).familiar);
}

TEST_CASE("few outcomes are half believed", "[blend]") {
    auto choice = scores_of(4);
    choice.log_bytes = 5.5;
    choice.closed = {true, 0.1, 0.9, 0.25};
    CHECK(blend(choice, {}).gain == Approx(0.25 * 0.8 + 0.75 * 0.2));
}

TEST_CASE("difficulty is calibrated where outcomes are known, and moved by reasoning elsewhere",
          "[blend]") {
    auto scores = scores_of(4, {{Head::local_ok, 1.0}});
    scores.closed = {true, sigmoid(1), 0.9, 1};
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
