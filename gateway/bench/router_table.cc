#include "gateway/bench/router_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/log.h"

namespace sluice::bench {
namespace {

template <class... Args>
std::string text_of(const char* format, Args... args) {
    char out[256];
    std::snprintf(out, sizeof out, format, args...);
    return out;
}

std::string grade(bool goal, bool must) {
    if (goal) return "goal";
    return must ? "must" : "missed";
}

void add(std::string& list, const std::string& one) { list += (list.empty() ? "" : "; ") + one; }

constexpr const char* no_gap = "none (no gap between the models)";

// Where the models are as good as each other no share of a gap is recovered.
std::string three(const char* format, double at, double low, double high) {
    bool all = std::isfinite(at) && std::isfinite(low) && std::isfinite(high);
    return all ? text_of(format, at, low, high) : no_gap;
}

std::string apgr(const RoutingIntervals& one) {
    return three("%.3f [%.3f, %.3f]", one.at.apgr, one.low.apgr, one.high.apgr);
}

std::string apgr(const ApgrInterval& one) {
    return three("%+.3f [%+.3f, %+.3f]", one.at, one.low, one.high);
}

// APGR, and what stands beside it.
std::string beside(const RankingFigures& one) {
    return apgr(one.gain) + ", length " + apgr(one.length) + ", random " + apgr(one.random);
}

struct Wanted {
    double apgr, cpt50, cpt80;
    bool by(const RoutingFigures& one) const {
        return one.apgr >= apgr && one.cpt50 <= cpt50 && one.cpt80 <= cpt80;
    }
    std::string text() const { return text_of("%.2f, %.0f, %.0f", apgr, cpt50, cpt80); }
};

TableRow source_row(const RouterMeasured& all, const std::string& name, std::string_view source,
                    Wanted must, Wanted goal) {
    TableRow row{name + " APGR, CPT50, CPT80", must.text(), goal.text(), "", ""};
    for (const RouterFigures& one : all.routing) {
        if (one.source != source) continue;
        const RoutingIntervals& gain = one.gain;
        row.measured =
            text_of("%zu pairs: ", one.pairs) + apgr(gain) +
            text_of(", %.1f [%.1f, %.1f], %.1f [%.1f, %.1f]", gain.at.cpt50, gain.low.cpt50,
                    gain.high.cpt50, gain.at.cpt80, gain.low.cpt80, gain.high.cpt80) +
            "; length " + apgr(one.length) + "; random " + apgr(one.random);
        if (std::isfinite(gain.at.apgr)) row.reached = grade(goal.by(gain.at), must.by(gain.at));
    }
    return row;
}

TableRow mt_bench_row(const RouterMeasured& all) {
    constexpr double none = 1'000;
    TableRow row = source_row(all, "MT-bench", mt_bench, {0.75, 17, 32}, {0.80, none, none});
    row.goal = "0.80";
    if (row.measured.empty() && !all.routing.empty())
        row.measured =
            "no file of it is given: `sluice bench router FILE`, a line a prompt {\"prompt\", "
            "\"bench\":\"mt_bench\", \"cluster\", \"weak\", \"strong\"} with both models' marks; "
            "it is never fitted on";
    return row;
}

TableRow speed_row(const RouterMeasured& all) {
    TableRow row{"classify 0.3 / 1.4 / 20 KB, p50", "2 / 6 / 40 us", "0.5 / 2 / 10 us", "", ""};
    const double must[] = {2, 6, 40}, goal[] = {0.5, 2, 10};
    bool musts = true, goals = true;
    std::size_t timed = 0;
    for (std::size_t i = 0; i < std::min(all.speed.size(), std::size(must)); ++i) {
        const RouterSpeed& one = all.speed[i];
        if (one.prompts == 0) continue;
        ++timed;
        add(row.measured, text_of("%zu bytes %.2f us (quietest pass %.2f)", one.bytes,
                                  one.p50_usual_us, one.p50_us));
        musts = musts && one.p50_usual_us <= must[i];
        goals = goals && one.p50_usual_us <= goal[i];
    }
    if (timed == std::size(must)) row.reached = grade(goals, musts);
    return row;
}

TableRow left_out_row(const RouterMeasured& all) {
    TableRow row{"worst left-out source, APGR less length's", ">= -0.02", "> 0", "", ""};
    const TransferFigures* worst = nullptr;
    for (const TransferFigures& one : all.transfer)
        if (one.labels == 0 && std::isfinite(one.ranks.less_length.at) &&
            (worst == nullptr || one.ranks.less_length.at < worst->ranks.less_length.at))
            worst = &one;
    if (worst == nullptr) return row;
    const ApgrInterval& less = worst->ranks.less_length;
    row.measured = worst->source + ": " + apgr(less) + " (" + beside(worst->ranks) + ")";
    row.reached = grade(less.at > 0, less.at >= -0.02);
    return row;
}

TableRow labels_row(const RouterMeasured& all) {
    TableRow row{"labels of a new source: 200 / 1,500, APGR", "0.60 / 0.63", "0.62 with 100", "",
                 ""};
    bool must = true, goal = true, with_100 = false, with_200 = false, with_1500 = false;
    for (const TransferFigures& one : all.transfer) {
        double found = one.ranks.gain.at.apgr;
        if (one.labels == 0 || !std::isfinite(found)) continue;
        auto of = [&](std::size_t labels, double least, bool& measured, bool& reached) {
            if (one.labels != labels) return;
            measured = true;
            reached = reached && found >= least;
        };
        of(100, 0.62, with_100, goal);
        of(200, 0.60, with_200, must);
        of(1500, 0.63, with_1500, must);
        add(row.measured, one.source + text_of(", %zu: ", one.labels) + beside(one.ranks));
    }
    if (with_200 && with_1500) row.reached = grade(with_100 && goal && must, must);
    return row;
}

TableRow calibration_row(const RouterMeasured& all) {
    TableRow row{"calibration error in-domain, all sources together", "0.03", "0.02", "", ""};
    const CalibrationFigures& together = all.calibration;
    if (together.outcomes == 0) return row;
    add(row.measured, text_of("%zu outcomes of all sources: %.3f (%.3f is chance)",
                              together.outcomes, together.ece, together.ece_chance));
    for (const RouterFigures& one : all.routing) {
        if (std::isnan(one.ece) || one.source == mt_bench) continue;
        add(row.measured, one.source + text_of(" %.3f (%.3f by its own outcomes, %.3f is chance)",
                                               one.ece, one.ece_own, one.ece_chance));
    }
    row.reached = grade(together.ece <= 0.02, together.ece <= 0.03);
    return row;
}

TableRow flips_row(const RouterMeasured& all) {
    TableRow row{"decisions flipped by typos, case, spaces, greetings", "5 % on every source",
                 "1 %", "", ""};
    double worst = 0;
    for (const FlipFigures& one : all.flips) {
        worst = std::max(worst, one.all());
        add(row.measured,
            one.source + text_of(" %.1f %% (typos alone %.1f)", 100 * one.all(), 100 * one.typos));
    }
    if (!row.measured.empty()) row.reached = grade(worst <= 0.01, worst <= 0.05);
    return row;
}

TableRow policy_row(const RouterMeasured& all) {
    TableRow row{"policy evaluation, 200 rules, p50", "5 us", "1 us", "", ""};
    double worst = 0;
    for (const PolicyTiming& one : all.policy) {
        worst = std::max(worst, one.p50_us);
        add(row.measured, one.rules + text_of(" %.2f us (p99 %.2f)", one.p50_us, one.p99_us));
    }
    if (!row.measured.empty()) row.reached = grade(worst <= 1, worst <= 5);
    return row;
}

TableRow replay_row(const RouterMeasured& all) {
    TableRow row{"replay of 1 M ledger rows", "10 s", "2 s", "", ""};
    if (!all.replay) return row;
    constexpr std::int64_t million = 1'000'000;
    row.measured = text_of("%.2f s for %lld rows (written in %.1f s), %lld change tier",
                           all.replay->replay_s, static_cast<long long>(all.replay->requests),
                           all.replay->write_s, static_cast<long long>(all.replay->moved));
    if (all.replay->requests >= million)
        row.reached = grade(all.replay->replay_s <= 2, all.replay->replay_s <= 10);
    return row;
}

TableRow learning_row(const RouterMeasured& all) {
    TableRow row{
        "20,000 requests, after 2,000 labels: APGR less offline training's; lowest on the "
        "way less the prior's",
        ">= -0.02; > -0.01", "", "", ""};
    bool must = true;
    for (const LearningFigures& one : all.learning) {
        const ApgrInterval& end = one.champion_less_offline;
        const ApgrInterval& lowest = one.champion_worst_less_prior;
        must = must && end.at >= -0.02 && lowest.at > -0.01;
        add(row.measured,
            one.source + ": " + apgr(end) + "; " + apgr(lowest) +
                text_of(" (champion %.3f [%.3f, %.3f], ", one.champion.at, one.champion.low,
                        one.champion.high) +
                text_of("prior %.3f [%.3f, %.3f], ", one.prior.at, one.prior.low, one.prior.high) +
                text_of("length %.3f [%.3f, %.3f], ", one.length.at, one.length.low,
                        one.length.high) +
                text_of("random %.3f [%.3f, %.3f])", one.random.at, one.random.low,
                        one.random.high));
    }
    if (!row.measured.empty()) row.reached = grade(false, must);
    return row;
}

}  // namespace

std::vector<TableRow> router_table(const RouterMeasured& all) {
    std::vector<TableRow> rows = {
        speed_row(all),
        source_row(all, "MMLU", "routellm/mmlu", {0.65, 30, 63}, {0.72, 22, 50}),
        source_row(all, "GSM8K", "routellm/gsm8k", {0.64, 34, 61}, {0.70, 27, 52}),
        mt_bench_row(all),
        left_out_row(all),
        labels_row(all),
        calibration_row(all),
        flips_row(all),
        policy_row(all),
        replay_row(all),
        learning_row(all)};
    for (TableRow& row : rows)
        if (row.measured.empty()) row.measured = "not measured";
    return rows;
}

std::string table_text(const std::vector<TableRow>& rows) {
    std::string out = "| | must reach | goal | measured | reached |\n|---|---|---|---|---|\n";
    for (const TableRow& row : rows)
        out += "| " + row.what + " | " + row.must + " | " + row.goal + " | " + row.measured +
               " | " + row.reached + " |\n";
    return out;
}

std::string table_lines(const std::vector<TableRow>& rows) {
    std::string out;
    for (const TableRow& row : rows) {
        out += "{\"row\":";
        append_json_string(out, row.what);
        for (auto [key, value] :
             {std::pair("must", &row.must), std::pair("goal", &row.goal),
              std::pair("measured", &row.measured), std::pair("reached", &row.reached)}) {
            out += std::string(",\"") + key + "\":";
            append_json_string(out, *value);
        }
        out += "}\n";
    }
    return out;
}

}  // namespace sluice::bench
