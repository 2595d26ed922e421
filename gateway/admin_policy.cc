#include "gateway/admin_policy.h"

#include <charconv>
#include <ctime>

#include "engine/log.h"
#include "gateway/day_pace.h"
#include "gateway/utc_text.h"

namespace sluice {
namespace {

void append_field(std::string& out, const char* name, std::string_view value) {
    if (out.back() != '{') out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
}

// Exact decimals and null stand as they are.
void append_plain(std::string& out, const char* name, std::string_view value) {
    if (out.back() != '{') out += ',';
    append_json_string(out, name);
    out += ':';
    out += value;
}

std::string number_text(double value) {
    char text[64];
    auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 4).ptr;
    return {text, end};
}

std::string policy_json(const Policy& policy, std::string_view what) {
    std::string out = "{";
    append_field(out, "version", policy.version);
    append_field(out, "owner", policy.owner);
    append_field(out, "file", policy.file);
    if (!what.empty()) append_field(out, "what", what);
    return out + "}";
}

std::string rollback_json(const PolicyRollback& one) {
    std::string out = "{";
    append_field(out, "from", one.from);
    append_field(out, "by", one.by);
    append_field(out, "why", one.why);
    append_field(out, "at", one.at);
    return out + "}";
}

// When its window ends; "" for one in total.
std::string resets_text(const Budget& budget, std::int64_t offset_s, std::int64_t unix_seconds) {
    if (budget.per == BudgetPer::total) return "";
    std::int64_t next = window_at(budget.per, offset_s, unix_seconds) + 1;
    return utc_text(window_begin(budget.per, offset_s, next));
}

std::string budget_json(const BudgetNow& now, std::int64_t offset_s, std::int64_t unix_seconds) {
    std::string out = "{";
    append_field(out, "scope", now.budget->scope());
    append_plain(out, "limit_usd", usd_text(now.budget->limit));
    append_plain(out, "spent_usd", usd_text(now.spent));
    append_plain(out, "held_usd", usd_text(now.held));
    std::string resets = resets_text(*now.budget, offset_s, unix_seconds);
    if (resets.empty())
        append_plain(out, "resets", "null");
    else
        append_field(out, "resets", resets);
    return out + "}";
}

}  // namespace

std::string admin_policy_json(const Snapshot& snapshot, const DayPace& pace,
                              const std::vector<std::string>& damaged, std::int64_t unix_seconds) {
    const Config& config = *snapshot.config;
    std::string out = "{";
    append_plain(out, "live", policy_json(config.policy, ""));
    append_plain(out, "rolled_back",
                 config.rolled_back ? rollback_json(*config.rolled_back) : "null");
    append_plain(out, "candidate",
                 config.candidate ? policy_json(config.candidate->policy, config.candidate->what())
                                  : "null");
    std::string moved = "null";
    if (config.policy.pace.active())
        moved = "{\"shift\":" + number_text(pace.shift()) +
                ",\"forecast_ratio\":" + number_text(pace.forecast()) + "}";
    append_plain(out, "pace", moved);
    std::string files;
    for (const std::string& one : damaged) {
        if (!files.empty()) files += ',';
        append_json_string(files, one);
    }
    append_plain(out, "damaged", "[" + files + "]");
    std::string budgets;
    for (const BudgetNow& one : budgets_now(snapshot.budgets(), unix_seconds))
        budgets +=
            (budgets.empty() ? "" : ",") + budget_json(one, config.budgets.offset_s, unix_seconds);
    append_plain(out, "budgets", "[" + budgets + "]");
    return out + "}";
}

}  // namespace sluice
