#include "policies/match.h"

#include <algorithm>

#include "policies/language.h"
#include "policies/pii_request.h"

namespace sluice {
namespace {

bool has_word(const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

bool needs_tools(const ChatRequest& request) {
    return !request.tools.empty() ||
           std::any_of(request.messages.begin(), request.messages.end(), [](const Message& one) {
               return one.role == Role::tool || !one.tool_calls.empty();
           });
}

}  // namespace

Facts::Facts(const Given& given)
    : tools(needs_tools(given.request)),
      images(given.request.has(Part::Kind::image)),
      audio(given.request.has(Part::Kind::audio)),
      files(given.request.has(Part::Kind::file)),
      json_schema(given.request.wants_json_schema()),
      given_(given) {
    const Caller& caller = given.caller;
    texts_ = {caller.org, caller.team,         caller.key_id,          caller.user,
              "",         given.request.model, given.labels.data_class};
    if (auto app = named(Field::tag, "app")) texts_[static_cast<std::size_t>(Field::app)] = *app;
    for (const Message& message : given.request.messages)
        if (message.role == Role::user) ++turns_;
}

bool Facts::hold(const RuleMatch& match) {
    return std::all_of(match.all.begin(), match.all.end(),
                       [this](const Condition& one) { return holds(one); });
}

std::optional<std::string_view> Facts::named(Field field, std::string_view name) const {
    const auto& all = field == Field::tag ? given_.labels.tags : given_.labels.headers;
    auto found = all.find(name);
    if (found == all.end()) return {};
    return found->second;
}

double Facts::number(Field field) const {
    if (field == Field::input_tokens) return static_cast<double>(given_.input_tokens);
    if (field == Field::turns) return turns_;
    if (field == Field::difficulty) return given_.difficulty.score;
    if (field == Field::needs_reasoning) return given_.difficulty.needs_reasoning;
    return given_.budget_pressure;
}

bool Facts::holds(const Condition& condition) {
    switch (condition.field) {
        case Field::org:
        case Field::team:
        case Field::key:
        case Field::user:
        case Field::app:
        case Field::model:
        case Field::data_class:
            return has_word(condition.words, text(condition.field));
        case Field::tag:
        case Field::header: {
            auto value = named(condition.field, condition.name);
            if (!value) return false;
            return condition.words.front() == "*" || has_word(condition.words, *value);
        }
        case Field::language:
            return has_word(condition.words, language());
        case Field::domain:
            return has_word(condition.words, domain_name(given_.difficulty.domain));
        case Field::pii:
            return (pii(condition.pii) != 0) == condition.wanted;
        case Field::tools:
            return tools == condition.wanted;
        case Field::images:
            return images == condition.wanted;
        case Field::audio:
            return audio == condition.wanted;
        case Field::files:
            return files == condition.wanted;
        case Field::json_schema:
            return json_schema == condition.wanted;
        case Field::input_tokens:
        case Field::turns:
        case Field::difficulty:
        case Field::needs_reasoning:
        case Field::budget_pressure: {
            double value = number(condition.field);
            return value >= condition.min && value < condition.below;
        }
        case Field::time:
            return holds_time(condition);
        case Field::any:
        case Field::none: {
            bool one = std::any_of(condition.parts.begin(), condition.parts.end(),
                                   [this](const RuleMatch& part) { return hold(part); });
            return one == (condition.field == Field::any);
        }
    }
    return false;
}

// A span that passes midnight belongs to the day on which it began.
bool Facts::holds_time(const Condition& condition) const {
    constexpr std::int64_t day_minutes = 1'440;
    std::int64_t minutes = given_.unix_seconds / 60 + condition.offset_minutes;
    std::int64_t day = minutes / day_minutes;
    auto minute = minutes % day_minutes;
    auto on = [&condition](std::int64_t which) {
        constexpr std::int64_t thursday = 3;  // 1970-01-01
        return (condition.days >> ((which + thursday) % 7) & 1) != 0;
    };
    if (condition.from_minute < condition.to_minute)
        return on(day) && minute >= condition.from_minute && minute < condition.to_minute;
    return (on(day) && minute >= condition.from_minute) ||
           (on(day + 6) && minute < condition.to_minute);
}

PiiSet Facts::pii(PiiSet asked) {
    PiiSet fresh = asked & static_cast<PiiSet>(~seen_.pii_asked);
    if (fresh == 0) return seen_.pii_found & asked;
    seen_.pii_asked |= fresh;
    if (given_.recorded != nullptr) {
        seen_.pii_found |= given_.recorded->pii_found & fresh;
        return seen_.pii_found & asked;
    }
    seen_.pii_found |= find_pii(given_.request, fresh);
    return seen_.pii_found & asked;
}

std::string_view Facts::language() {
    if (!seen_.language && given_.recorded != nullptr)
        seen_.language = given_.recorded->language.value_or("");
    if (!seen_.language) seen_.language = language_of(given_.request);
    return *seen_.language;
}

}  // namespace sluice
