#include "gateway/eval/eval_report.h"

#include <algorithm>

#include "engine/log.h"
#include "providers/json_write.h"

namespace sluice {
namespace {

// Rounded to whole pico-dollars.
Money shared(Money sum, int among) {
    if (among <= 0) return sum;
    return Money{(sum.pico_usd + among / 2) / among};
}

template <class... Values>
std::string line(const char* format, Values... values) {
    char text[256];
    std::snprintf(text, sizeof text, format, values...);
    return text;
}

double percent(double share) { return share * 100; }

std::string errors_text(const MeasuredTier& tier) {
    std::string out;
    for (const auto& [kind, count] : tier.errors)
        out += "  " + std::to_string(count) + " x " + kind;
    if (tier.left_out > 0) out += "  " + std::to_string(tier.left_out) + " left out";
    return out;
}

std::string cost_per_right(const MeasuredTier& tier) {
    return tier.right() == 0 ? "-" : usd_text(shared(tier.cost, tier.right()));
}

const char* test_name(const Comparison& found) { return found.exact ? "McNemar" : "bootstrap"; }

template <class Each>
void each_pair(const GoldenResult& result, double tolerance, Each&& each) {
    for (std::size_t a = 0; a < result.tiers.size(); ++a)
        for (std::size_t b = a + 1; b < result.tiers.size(); ++b)
            each(result.tiers[a], result.tiers[b],
                 compare_scores(result.tiers[a].scores, result.tiers[b].scores, tolerance));
}

void add_tier(std::string& out, const MeasuredTier& tier) {
    ShareInterval share = wilson_interval(tier.right(), tier.measured());
    out += "{\"tier\":";
    append_json_string(out, tier.tier);
    out += ",\"upstream\":";
    append_json_string(out, tier.upstream);
    out += ",\"identity\":";
    append_json_string(out, tier.identity);
    out += ",\"measured\":" + std::to_string(tier.measured()) +
           ",\"right\":" + std::to_string(tier.right()) +
           ",\"left_out\":" + std::to_string(tier.left_out) + ",\"right_interval\":[";
    append_json_number(out, share.low);
    out += ',';
    append_json_number(out, share.high);
    out += "],\"mean_score\":";
    append_json_number(out, tier.mean());
    out += ",\"cost_usd\":" + usd_text(tier.cost) +
           ",\"cost_per_case_usd\":" + usd_text(shared(tier.cost, tier.measured())) +
           ",\"cost_per_right_usd\":" + (tier.right() == 0 ? "null" : cost_per_right(tier)) +
           ",\"median_ms\":" + std::to_string(tier.median_ms) + ",\"errors\":{";
    for (auto at = tier.errors.begin(); at != tier.errors.end(); ++at) {
        if (at != tier.errors.begin()) out += ',';
        append_json_string(out, at->first);
        out += ":" + std::to_string(at->second);
    }
    out += "}}";
}

void add_pair(std::string& out, const MeasuredTier& first, const MeasuredTier& second,
              const Comparison& found) {
    out += "{\"first\":";
    append_json_string(out, first.tier);
    out += ",\"second\":";
    append_json_string(out, second.tier);
    out += ",\"pairs\":" + std::to_string(found.pairs) + ",\"lost\":" + std::to_string(found.lost) +
           ",\"won\":" + std::to_string(found.won) + ",\"difference\":";
    append_json_number(out, found.difference);
    out += ",\"interval\":[";
    append_json_number(out, found.interval.low);
    out += ',';
    append_json_number(out, found.interval.high);
    out += "],\"test\":\"" + std::string(test_name(found)) + "\",\"p\":";
    append_json_number(out, found.p);
    out += ",\"verdict\":\"" + std::string(verdict_text(found.verdict)) + "\"}";
}

void add_cases(std::string& out, const EvalReport& report) {
    const auto& tiers = report.result.tiers;
    for (std::size_t i = 0; i < report.set.cases.size(); ++i) {
        out += i == 0 ? "{\"id\":" : ",{\"id\":";
        append_json_string(out, report.set.cases[i].id);
        out += ",\"scorer\":";
        append_json_string(out, scorer_name(report.set.cases[i].scorer));
        out += ",\"tiers\":{";
        for (std::size_t t = 0; t < tiers.size(); ++t) {
            if (t > 0) out += ',';
            append_json_string(out, tiers[t].tier);
            out += ":{\"score\":";
            if (tiers[t].scores[i])
                append_json_number(out, *tiers[t].scores[i]);
            else
                out += "null";
            append_json_member(out, ",\"why\":", report.run.why(t, i));
            out += '}';
        }
        out += "}}";
    }
}

}  // namespace

std::vector<std::string> failures_of(const GoldenResult& result, double tolerance) {
    std::vector<std::string> out;
    for (const MeasuredTier& tier : result.tiers)
        if (!tier.errors.empty())
            out.push_back("tier " + tier.tier + ": answers were not measured:" + errors_text(tier));
    each_pair(result, tolerance,
              [&](const MeasuredTier& first, const MeasuredTier& second, const Comparison& found) {
                  if (&first != &result.tiers.front() || found.verdict != Verdict::loses) return;
                  out.push_back("tier " + second.tier +
                                line(" loses %.1f %% against ", percent(-found.difference)) +
                                first.tier + line(", tolerated are %.1f %%", percent(tolerance)));
              });
    return out;
}

std::string report_text(const EvalReport& report) {
    std::string out = line("%-12s %9s %18s %7s %16s %16s %10s\n", "tier", "right", "95 %", "score",
                           "$ per case", "$ per right", "median ms");
    for (const MeasuredTier& tier : report.result.tiers) {
        ShareInterval share = wilson_interval(tier.right(), tier.measured());
        std::string right = std::to_string(tier.right()) + " of " + std::to_string(tier.measured());
        std::string per_case = usd_text(shared(tier.cost, tier.measured()));
        std::string per_right = cost_per_right(tier);
        out += line("%-12s %9s   %5.1f %% - %5.1f %% %7.3f %16s %16s %10lld", tier.tier.c_str(),
                    right.c_str(), percent(share.low), percent(share.high), tier.mean(),
                    per_case.c_str(), per_right.c_str(), static_cast<long long>(tier.median_ms)) +
               errors_text(tier) + "\n";
    }
    each_pair(report.result, report.tolerance,
              [&](const MeasuredTier& first, const MeasuredTier& second, const Comparison& found) {
                  out +=
                      second.tier + " against " + first.tier +
                      line(": %+.1f %% [%+.1f, %+.1f], %d worse and %d better of %d, %s p %.3g: ",
                           percent(found.difference), percent(found.interval.low),
                           percent(found.interval.high), found.lost, found.won, found.pairs,
                           test_name(found), found.p) +
                      std::string(verdict_text(found.verdict)) + "\n";
              });
    if (report.run.judge_calls() > 0)
        out += "judge: " + std::to_string(report.run.judge_calls()) + " calls, $" +
               usd_text(report.run.judge_cost()) + " besides\n";
    constexpr int shown_max = 20;
    int shown = 0;
    for (std::size_t i = 0; i < report.set.cases.size(); ++i)
        for (std::size_t t = 0; t < report.result.tiers.size() && shown < shown_max; ++t) {
            std::string why = report.run.why(t, i);
            if (why.empty()) continue;
            out += "  " + report.set.cases[i].id + " on " + report.result.tiers[t].tier + ": " +
                   why + "\n";
            ++shown;
        }
    if (shown == shown_max) out += "  and perhaps more: --json has all\n";
    return out;
}

std::string report_json(const EvalReport& report) {
    std::string out = "{\"golden\":";
    append_json_string(out, report.set.file);
    out += ",\"golden_sha256\":";
    append_json_string(out, report.set.sha256);
    out += ",\"policy_version\":";
    append_json_string(out, report.result.policy_version);
    out += ",\"tolerance\":";
    append_json_number(out, report.tolerance);
    out += ",\"tiers\":";
    append_json_list(out, report.result.tiers,
                     [&](const MeasuredTier& one) { add_tier(out, one); });
    out += ",\"pairs\":[";
    bool first_pair = true;
    each_pair(report.result, report.tolerance,
              [&](const MeasuredTier& first, const MeasuredTier& second, const Comparison& found) {
                  if (!first_pair) out += ',';
                  first_pair = false;
                  add_pair(out, first, second, found);
              });
    out += "],\"judge_calls\":" + std::to_string(report.run.judge_calls()) +
           ",\"judge_cost_usd\":" + usd_text(report.run.judge_cost()) + ",\"cases\":[";
    add_cases(out, report);
    out += "],\"passed\":" + std::string(report.failures.empty() ? "true" : "false") +
           ",\"failures\":";
    append_json_list(out, report.failures,
                     [&out](const std::string& one) { append_json_string(out, one); });
    return out + "}\n";
}

}  // namespace sluice
