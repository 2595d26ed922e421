#include "policies/rule_cover.h"

#include <algorithm>
#include <iterator>
#include <optional>

namespace sluice {
namespace {

bool words_within(const std::vector<std::string>& inner, const std::vector<std::string>& outer) {
    return std::all_of(inner.begin(), inner.end(), [&](const std::string& word) {
        return std::find(outer.begin(), outer.end(), word) != outer.end();
    });
}

bool days_within(unsigned inner, unsigned outer) { return (inner & ~outer) == 0; }
unsigned days_after(unsigned days) { return (days << 1 | days >> 6) & 0x7f; }

// Of one span. What passes midnight belongs to the day on which it began.
bool time_within(const Condition& inner, const Condition& outer) {
    if (inner.offset_minutes != outer.offset_minutes) return false;
    const bool same_days = days_within(inner.days, outer.days);
    const bool begins_in = inner.from_minute >= outer.from_minute;
    const bool ends_in = inner.to_minute <= outer.to_minute;
    const bool inner_passes = inner.from_minute >= inner.to_minute;
    const bool outer_passes = outer.from_minute >= outer.to_minute;
    if (inner_passes == outer_passes) return same_days && begins_in && ends_in;
    if (outer_passes)  // in its evening, or in the morning after
        return (same_days && begins_in) ||
               (ends_in && days_within(inner.days, days_after(outer.days)));
    return outer.from_minute == 0 && outer.to_minute == 1'440 && same_days &&
           days_within(days_after(inner.days), outer.days);
}

// What `not` of this list of conditions says in one: `not: {tools: true}` is `tools: false`.
std::optional<Condition> denied(const RuleMatch& match) {
    if (match.all.size() != 1) return {};
    const Sort sort = sort_of(match.all[0].field);
    if (sort != Sort::flag && sort != Sort::pii) return {};
    std::optional<Condition> out = match.all[0];
    out->wanted = !out->wanted;
    return out;
}

// Where `narrow` holds, `wide` does.
bool implies(const Condition& narrow, const Condition& wide, std::int64_t& left) {
    if (narrow.field == Field::app && wide.field == Field::tag && wide.name == "app")
        return wide.words.front() == "*";  // the tag `app` with a value is a field of its own
    if (wide.field == Field::none && narrow.field != Field::none)
        return std::all_of(wide.parts.begin(), wide.parts.end(), [&](const RuleMatch& barred) {
            auto one = denied(barred);
            return one && implies(narrow, *one, left);
        });
    if (narrow.field == Field::none && wide.field != Field::none)
        return std::any_of(narrow.parts.begin(), narrow.parts.end(), [&](const RuleMatch& barred) {
            auto one = denied(barred);
            return one && implies(*one, wide, left);
        });
    if (narrow.field != wide.field || narrow.name != wide.name) return false;
    left -= std::ssize(narrow.words) * std::ssize(wide.words);
    if (left < 0) return false;
    switch (sort_of(wide.field)) {
        case Sort::word:
            return words_within(narrow.words, wide.words);
        case Sort::named:
            return wide.words.front() == "*" || words_within(narrow.words, wide.words);
        case Sort::pii:
            if (narrow.wanted != wide.wanted) return false;
            return wide.wanted ? (narrow.pii & ~wide.pii) == 0 : (wide.pii & ~narrow.pii) == 0;
        case Sort::flag:
            return narrow.wanted == wide.wanted;
        case Sort::number:
            return narrow.min >= wide.min && narrow.below <= wide.below;
        case Sort::time:
            return time_within(narrow, wide);
        case Sort::any:  // every branch of the narrow one is within a branch of the wide one
            return std::all_of(narrow.parts.begin(), narrow.parts.end(), [&](const RuleMatch& one) {
                return std::any_of(
                    wide.parts.begin(), wide.parts.end(),
                    [&](const RuleMatch& other) { return covers(other, one, left); });
            });
        case Sort::none:  // all that the wide one bars, the narrow one bars
            return std::all_of(wide.parts.begin(), wide.parts.end(), [&](const RuleMatch& barred) {
                return std::any_of(narrow.parts.begin(), narrow.parts.end(),
                                   [&](const RuleMatch& one) { return covers(one, barred, left); });
            });
    }
    return false;
}

}  // namespace

Sort sort_of(Field field) {
    switch (field) {
        case Field::org:
        case Field::team:
        case Field::key:
        case Field::user:
        case Field::app:
        case Field::model:
        case Field::data_class:
        case Field::language:
        case Field::domain:
            return Sort::word;
        case Field::tag:
        case Field::header:
            return Sort::named;
        case Field::pii:
            return Sort::pii;
        case Field::tools:
        case Field::images:
        case Field::audio:
        case Field::files:
        case Field::json_schema:
            return Sort::flag;
        case Field::input_tokens:
        case Field::turns:
        case Field::difficulty:
        case Field::needs_reasoning:
        case Field::budget_pressure:
            return Sort::number;
        case Field::time:
            return Sort::time;
        case Field::any:
            return Sort::any;
        case Field::none:
            break;
    }
    return Sort::none;
}

bool follows(const RuleMatch& given, const Condition& asked, std::int64_t& left) {
    left -= 1 + std::ssize(given.all);
    if (left < 0) return false;
    bool stated = std::any_of(given.all.begin(), given.all.end(),
                              [&](const Condition& one) { return implies(one, asked, left); });
    if (stated) return true;
    if (asked.field == Field::any &&
        std::any_of(asked.parts.begin(), asked.parts.end(),
                    [&](const RuleMatch& branch) { return covers(branch, given, left); }))
        return true;
    return std::any_of(given.all.begin(), given.all.end(), [&](const Condition& one) {
        return one.field == Field::any &&
               std::all_of(one.parts.begin(), one.parts.end(),
                           [&](const RuleMatch& branch) { return follows(branch, asked, left); });
    });
}

bool covers(const RuleMatch& earlier, const RuleMatch& later, std::int64_t& steps_left) {
    return std::all_of(earlier.all.begin(), earlier.all.end(),
                       [&](const Condition& asked) { return follows(later, asked, steps_left); });
}

}  // namespace sluice
