#include "policies/router_bench.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "policies/classify_lines.h"

namespace sluice {
namespace {

constexpr std::size_t pairs_min = 20;

struct Pairs {
    std::string source;
    std::vector<double> gain, difficulty, length, random, weak, strong;
    std::vector<bool> weak_fails;
};

Pairs& pairs_of(std::vector<Pairs>& all, const std::string& source) {
    for (Pairs& one : all)
        if (one.source == source) return one;
    all.emplace_back().source = source;
    return all.back();
}

RouterFigures figures_of(const Pairs& pairs) {
    RouterFigures out;
    out.source = pairs.source;
    out.pairs = pairs.weak.size();
    out.auc = auc_of(pairs.weak_fails, pairs.gain);
    out.gain = routing_figures(pairs.gain, pairs.weak, pairs.strong);
    out.difficulty = routing_figures(pairs.difficulty, pairs.weak, pairs.strong);
    out.length = routing_figures(pairs.length, pairs.weak, pairs.strong);
    out.random = routing_figures(pairs.random, pairs.weak, pairs.strong);
    return out;
}

}  // namespace

std::vector<RouterFigures> measure_routing(const Classifier& classifier, const RouterData& data) {
    std::vector<Pairs> all;
    std::minstd_rand chance(1);  // the same on every run
    for (const RouterRow& row : data.rows) {
        if (!row.paired) continue;
        Pairs& pairs = pairs_of(all, row.source);
        Difficulty difficulty = classifier.classify(request_of(row.prompt));
        bool graded = row.weak > 1 || row.strong > 1;
        pairs.gain.push_back(difficulty.gain);
        pairs.difficulty.push_back(difficulty.score);
        pairs.length.push_back(static_cast<double>(row.prompt.size()));
        pairs.random.push_back(static_cast<double>(chance()));
        pairs.weak.push_back(row.weak);
        pairs.strong.push_back(row.strong);
        pairs.weak_fails.push_back(row.weak < (graded ? row.strong : 0.5));
    }
    std::vector<RouterFigures> out;
    for (const Pairs& pairs : all)
        if (pairs.weak.size() >= pairs_min) out.push_back(figures_of(pairs));
    return out;
}

RouterSpeed measure_speed(const Classifier& classifier, const RouterData& data) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> us;
    RouterSpeed out;
    double checked = 0;
    for (const RouterRow& row : data.rows) {
        ChatRequest request = request_of(row.prompt);
        auto start = Clock::now();
        checked += classifier.classify(request).score;
        us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
        out.bytes_mean += static_cast<double>(row.prompt.size());
    }
    if (us.empty() || checked < 0) return out;
    out.bytes_mean /= static_cast<double>(us.size());
    std::sort(us.begin(), us.end());
    out.p50_us = us[us.size() / 2];
    out.p99_us = us[us.size() * 99 / 100];
    return out;
}

}  // namespace sluice
