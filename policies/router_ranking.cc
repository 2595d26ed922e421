#include "policies/router_ranking.h"

namespace sluice {
namespace {

// The same for a row on every run, however many others there are.
double chance_of(const RouterRow& row) {
    std::uint64_t mixed = (row.cluster ^ row.prompt.size() * 0x9e3779b97f4a7c15ULL) * 31;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    return static_cast<double>((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53;
}

// Means and draws of all fits.
struct Pool {
    RoutingFigures at;
    std::vector<RoutingFigures> drawn;

    void add(std::span<const RoutedRow> rows, double share) {
        RoutingDraws one = routing_draws(rows);
        at.apgr += share * one.at.apgr;
        at.cpt50 += share * one.at.cpt50;
        at.cpt80 += share * one.at.cpt80;
        drawn.insert(drawn.end(), one.drawn.begin(), one.drawn.end());
    }
};

}  // namespace

void Rankings::add(const RouterRow& row, double by) {
    auto ranked = [&row](double score) {
        return RoutedRow{score, row.weak, row.strong, row.cluster};
    };
    gain.push_back(ranked(by));
    length.push_back(ranked(static_cast<double>(row.prompt.size())));
    random.push_back(ranked(chance_of(row)));
}

RankingFigures ranking_figures(std::span<const Rankings> fits) {
    RankingFigures out;
    Pool gain, length, random;
    double share = 1 / static_cast<double>(fits.size());
    std::size_t rows = 0;
    for (const Rankings& fit : fits) {
        rows += fit.gain.size();
        gain.add(fit.gain, share);
        length.add(fit.length, share);
        random.add(fit.random, share);
    }
    out.pairs = rows / fits.size();
    out.gain = intervals_of(gain.at, gain.drawn);
    out.length = intervals_of(length.at, length.drawn);
    out.random = intervals_of(random.at, random.drawn);
    std::vector<double> differences;
    for (std::size_t i = 0; i < gain.drawn.size(); ++i)
        differences.push_back(gain.drawn[i].apgr - length.drawn[i].apgr);
    out.less_length = interval_of(gain.at.apgr - length.at.apgr, std::move(differences));
    return out;
}

}  // namespace sluice
