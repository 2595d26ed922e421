// What a rule asks of a request, and whether a request has it. A match is a list of conditions that
// must all hold; `any` and `not` nest further lists. Pure; a Facts belongs to one request.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/classifier.h"
#include "policies/pii.h"
#include "providers/caller.h"
#include "providers/chat.h"

namespace sluice {

enum class Field : std::uint8_t {
    // one text of the request, compared with words; rules are indexed by these
    org,
    team,
    key,
    user,
    app,
    model,
    data_class,
    // texts by name, and what is found out only when a rule asks
    tag,
    header,
    language,
    pii,
    domain,
    // yes or no
    tools,
    images,
    audio,
    files,
    json_schema,
    // numbers, from min, under below
    input_tokens,
    turns,
    difficulty,
    needs_reasoning,
    budget_pressure,
    // the rest
    time,
    any,
    none,
};
constexpr std::size_t indexed_fields = 7;

struct Condition;
struct RuleMatch {
    std::vector<Condition> all;  // empty = always
};

struct Condition {
    Field field = Field::any;
    bool wanted = true;               // flags and pii
    PiiSet pii = 0;                   // any of these
    std::uint8_t days = 0;            // time: bit 0 = Monday
    std::int16_t from_minute = 0;     // time: of the local day; a span may pass midnight
    std::int16_t to_minute = 1'440;   // exclusive
    std::int16_t offset_minutes = 0;  // of that day's time zone, from UTC
    std::string name;                 // of a tag or header
    std::vector<std::string> words;   // any of; "*" for a tag or header = present
    double min = -std::numeric_limits<double>::infinity();
    double below = std::numeric_limits<double>::infinity();
    std::vector<RuleMatch> parts;  // any: one holds; none: none holds
};

// What was worked out of a request's text, because a rule asked.
struct Seen {
    PiiSet pii_asked = 0, pii_found = 0;
    std::optional<std::string_view> language;  // one of language_codes(), or "" for none
};

// One request as conditions see it. What costs something is worked out when first asked for.
class Facts {
public:
    struct Given {
        const Caller& caller;
        const Labels& labels;
        const ChatRequest& request;
        const Difficulty& difficulty;
        std::int64_t input_tokens = 0;
        std::int64_t unix_seconds = 0;
        double budget_pressure = 0;
        const Seen* recorded = nullptr;  // in place of a text that is gone
    };
    explicit Facts(const Given& given);

    bool hold(const RuleMatch& match);
    const Seen& seen() const { return seen_; }
    int turns() const { return turns_; }
    bool holds(const Condition& condition);
    std::string_view text(Field field) const {  // of an indexed field
        return texts_[static_cast<std::size_t>(field)];
    }
    // A tag's or header's value; nothing where it is not there.
    std::optional<std::string_view> named(Field field, std::string_view name) const;

    // Looked at once; routes need them, too.
    const bool tools, images, audio, files, json_schema;

private:
    double number(Field field) const;
    bool holds_time(const Condition& condition) const;
    PiiSet pii(PiiSet asked);
    std::string_view language();

    const Given& given_;
    std::array<std::string_view, indexed_fields> texts_;
    int turns_ = 0;
    Seen seen_;
};

}  // namespace sluice
