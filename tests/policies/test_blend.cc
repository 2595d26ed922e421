// From the heads' scores to difficulty and gain, with scores made by hand.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "policies/blend.h"
#include "policies/calibrate.h"
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
    Calibration& choice = calibrations[static_cast<std::size_t>(Domain::choice)];
    choice.said[0] = static_cast<float>(sigmoid(1));
    choice.right[0] = 0.4F;
    CHECK(blend(scores, calibrations).score == Approx(0.6).epsilon(1e-3));
    auto proof = scores_of(0, {{Head::local_ok, 0.0}, {Head::reasoning, 20.0}});
    CHECK(blend(proof, {}).score == Approx(sigmoid(1.25)).epsilon(1e-3));
    CHECK(calibrated(0.0, {}) < 0.001);
    CHECK(calibrated(1.0, {}) > 0.999);
}

TEST_CASE("a calibration says how often it was right, and never turns the order round", "[blend]") {
    std::minstd_rand chance(1);
    auto draw = [&] { return static_cast<double>(chance() % 1'000'000) / 1e6; };
    auto truth = [](double p) { return p < 0.4 ? 0.2 : p < 0.7 ? 0.2 + 2 * (p - 0.4) : 0.8; };
    std::vector<Outcome> outcomes(20'000);
    for (Outcome& one : outcomes) {
        one.p = draw();
        one.ok = draw() < truth(one.p) ? 1 : 0;
    }
    const Calibration fitted = fit_calibration(outcomes);
    CHECK(is_usable(fitted));
    double before = 0;
    for (int i = 1; i < 100; ++i) {
        const double p = i / 100.0, said = calibrated(p, fitted);
        CHECK(said > before);
        before = said;
        if (p > 0.05 && p < 0.95) CHECK(said == Approx(truth(p)).margin(0.06));
    }
}

TEST_CASE("a calibration of few outcomes, or of one answer only, stays sane", "[blend]") {
    std::vector<Outcome> outcomes(calibration_rows_min - 1, {0.3, 1, 1});
    CHECK(calibrated(0.3, fit_calibration(outcomes)) == Approx(0.3));
    outcomes.resize(400, {0.3, 1, 1});
    const Calibration same = fit_calibration(outcomes);
    CHECK(is_usable(same));
    CHECK(calibrated(0.3, same) > 0.95);
    for (Outcome& one : outcomes) one.p = 0;
    CHECK(is_usable(fit_calibration(outcomes)));
    for (Outcome& one : outcomes) one.p = 1;
    CHECK(is_usable(fit_calibration(outcomes)));
    for (std::size_t i = 0; i < outcomes.size(); ++i)  // the wrong way round
        outcomes[i] = {static_cast<double>(i) / 400, i < 200 ? 1.0 : 0.0, 1};
    CHECK(is_usable(fit_calibration(outcomes)));
}

TEST_CASE("knots that fall or leave [0, 1] are not usable", "[blend]") {
    Calibration good;
    good.said[0] = 0.2F;
    good.said[1] = 0.4F;
    good.right[0] = 0.1F;
    good.right[1] = 0.3F;
    CHECK(is_usable({}));
    CHECK(is_usable(good));
    auto with = [&](std::size_t knot, float said, float right) {
        Calibration changed = good;
        changed.said[knot] = said;
        changed.right[knot] = right;
        return is_usable(changed);
    };
    CHECK(with(1, 0.4F, 0.1F));  // one value for a stretch is no fall
    CHECK_FALSE(with(1, 0.1F, 0.3F));
    CHECK_FALSE(with(1, 0.2F, 0.3F));
    CHECK_FALSE(with(1, 0.4F, 0.05F));
    CHECK_FALSE(with(1, 1.1F, 0.3F));
    CHECK_FALSE(with(1, 0.4F, 1.1F));
    CHECK_FALSE(with(0, 0.2F, -0.1F));
    CHECK_FALSE(with(0, 0.0F, 0.0F));
    CHECK_FALSE(with(1, 0.4F, std::nanf("")));
}

TEST_CASE("what is fitted is usable, of values that are equal or nearly so, too", "[blend]") {
    std::minstd_rand chance(7);
    for (int round = 0; round < 300; ++round) {
        std::vector<Outcome> outcomes(60 + chance() % 1'000);
        const double p = static_cast<double>(1 + chance() % 999) / 1000;
        const double spread = round % 3 == 0 ? 0 : round % 3 == 1 ? 1e-7 : 1e-4;
        for (Outcome& one : outcomes) {
            one.p = p + spread * static_cast<double>(chance() % 100) / 100;
            one.ok = chance() % 2 == 0 ? 0 : 1;
            one.weight = static_cast<double>(chance() % 5);  // some weigh nothing
        }
        const Calibration fitted = fit_calibration(outcomes);
        INFO(p << " and " << spread << " of " << outcomes.size());
        REQUIRE(is_usable(fitted));
        REQUIRE(std::isfinite(calibrated(p, fitted)));
    }
}

}  // namespace sluice
