// Figures of merit against values worked out by hand.
#include <catch2/catch.hpp>
#include <cmath>

#include "policies/router_ranking.h"

namespace sluice {

TEST_CASE("AUC counts the pairs in right order, ties half", "[metrics]") {
    std::vector<double> score = {0.1, 0.4, 0.35, 0.8};
    CHECK(auc_of({false, false, true, true}, score) == 0.75);
    CHECK(auc_of({false, false, true, true}, std::vector<double>{1, 1, 1, 1}) == 0.5);
    CHECK(auc_of({true, false}, std::vector<double>{0, 1}) == 0);
    CHECK(std::isnan(auc_of({true, true}, std::vector<double>{0, 1})));
}

TEST_CASE("calibration error is the bins' mean distance", "[metrics]") {
    std::vector<double> target = {1, 0, 1, 1}, right = {0.5, 0.5, 1, 1}, wrong = {0.9, 0.9, 0, 0};
    CHECK(ece_of(target, right) == Approx(0).margin(1e-12));
    CHECK(ece_of(target, wrong) == Approx((0.8 + 2.0) / 4));
}

TEST_CASE("chance alone shows a calibration error, less of it with more answers", "[metrics]") {
    // Two bins: sqrt(2/pi * 100 * .25) + sqrt(2/pi * 100 * .09), over 200.
    std::vector<double> p(100, 0.5);
    p.insert(p.end(), 100, 0.9);
    CHECK(ece_by_chance(p) == Approx((3.98942 + 2.39365) / 200).epsilon(1e-4));
    CHECK(ece_by_chance(std::vector<double>(400, 0.5)) ==
          Approx(ece_by_chance(std::vector<double>(100, 0.5)) / 2));
    CHECK(ece_by_chance(std::vector<double>{0, 1, 1}) == 0);
    CHECK(ece_by_chance({}) == 0);
}

TEST_CASE("an interval is that of the draws that have a figure", "[metrics]") {
    double none = std::nan(""), endless = HUGE_VAL;
    std::vector<double> drawn = {none, 3, -endless, 1, none, 2, endless, none};
    ApgrInterval some = interval_of(2, drawn);
    CHECK(some.low == Approx(1.05));
    CHECK(some.high == Approx(2.95));
    for (const auto& nothing : {std::vector<double>{none, endless}, std::vector<double>{}}) {
        ApgrInterval bounds = interval_of(2, nothing);
        CHECK(bounds.at == 2);
        CHECK(std::isnan(bounds.low));
        CHECK(std::isnan(bounds.high));
    }
}

TEST_CASE("rank correlation sees order alone", "[metrics]") {
    CHECK(spearman_of(std::vector<double>{1, 2, 3}, std::vector<double>{1, 10, 1000}) == Approx(1));
    CHECK(spearman_of(std::vector<double>{1, 2, 3}, std::vector<double>{3, 2, 1}) == Approx(-1));
}

TEST_CASE("a perfect router recovers the whole gap with the calls that matter", "[metrics]") {
    // Of 100 calls the strong model is right where the weak is not in 20.
    std::vector<double> weak, strong, perfect, useless;
    for (int i = 0; i < 100; ++i) {
        weak.push_back(i < 20 ? 0 : 1);
        strong.push_back(1);
        perfect.push_back(100 - i);
        useless.push_back((i * 37) % 100);
    }
    RoutingFigures best = routing_figures(perfect, weak, strong);
    CHECK(best.apgr == Approx(0.9));  // the gap is closed at 20% of the calls
    CHECK(best.cpt50 == Approx(10.0));
    CHECK(best.cpt80 == Approx(16.0));
    RoutingFigures none = routing_figures(useless, weak, strong);
    CHECK(none.apgr == Approx(0.5).margin(0.05));
    CHECK(none.cpt50 == Approx(50).margin(8));
}

TEST_CASE("a constant score routes like a coin", "[metrics]") {
    std::vector<double> weak = {0, 1, 0, 1}, strong = {1, 1, 1, 1}, score = {2, 2, 2, 2};
    RoutingFigures figures = routing_figures(score, weak, strong);
    CHECK(std::isfinite(figures.cpt50));  // one threshold only: no area to speak of
}

namespace {

RouterRow pair(int n, bool hard) {
    RouterRow row;
    row.prompt.assign(static_cast<std::size_t>(10 + n % 7), 'x');
    row.cluster = static_cast<std::uint64_t>(n);
    row.weak = hard ? 0 : 1;
    row.strong = 1;
    return row;
}

// One in five is hard; the score tells it of all but so many in a hundred.
Rankings rankings(int rows, int wrong) {
    Rankings out;
    for (int n = 0; n < rows; ++n) {
        bool hard = n % 5 == 0, told = n % 100 >= wrong;
        out.add(pair(n, hard), (hard == told ? 1 : 0) + 0.001 * (n % 13));
    }
    return out;
}

}  // namespace

TEST_CASE("a ranking stands beside length and chance with intervals", "[metrics]") {
    Rankings good = rankings(500, 0);
    RankingFigures figures = ranking_figures({&good, 1});
    CHECK(figures.pairs == 500);
    CHECK(figures.gain.at.apgr > 0.85);
    for (const RoutingIntervals* one : {&figures.gain, &figures.length, &figures.random}) {
        CHECK(one->low.apgr < one->at.apgr);
        CHECK(one->at.apgr < one->high.apgr);
    }
    CHECK(figures.length.at.apgr == Approx(0.5).margin(0.1));
    CHECK(figures.random.at.apgr == Approx(0.5).margin(0.1));
    CHECK(figures.less_length.at == Approx(figures.gain.at.apgr - figures.length.at.apgr));
    CHECK(figures.less_length.low > 0.2);
    RankingFigures same = ranking_figures(std::vector{good, good});
    CHECK(same.gain.low.apgr == Approx(figures.gain.low.apgr).margin(1e-3));
}

TEST_CASE("fits that differ widen the interval of their mean", "[metrics]") {
    std::vector<Rankings> fits = {rankings(500, 0), rankings(500, 40)};
    RankingFigures better = ranking_figures({&fits[0], 1}), worse = ranking_figures({&fits[1], 1});
    RankingFigures both = ranking_figures(fits);
    CHECK(both.pairs == 500);
    CHECK(both.gain.at.apgr == Approx((better.gain.at.apgr + worse.gain.at.apgr) / 2));
    CHECK(both.gain.low.apgr < worse.gain.at.apgr);
    CHECK(both.gain.high.apgr > better.gain.at.apgr);
    CHECK(both.length.at.apgr == Approx(better.length.at.apgr));
}

}  // namespace sluice
