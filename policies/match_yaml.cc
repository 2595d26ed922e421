// `when`: conditions of a rule. Every key may stand once in a map; all of a map must hold.
#include <algorithm>
#include <charconv>

#include "policies/language.h"
#include "policies/policy_reading.h"

namespace sluice {
namespace {

constexpr int depth_max = 8;
constexpr std::size_t words_max = 1'000;
constexpr std::size_t conditions_max = 200'000;  // of a file, with their words

struct WordKey {
    const char* key;
    Field field;
};
constexpr WordKey word_keys[] = {{"org", Field::org}, {"team", Field::team},
                                 {"key", Field::key}, {"user", Field::user},
                                 {"app", Field::app}, {"model", Field::model}};

class MatchReader {
public:
    explicit MatchReader(PolicyReading& reading) : reading_(reading) {}

    RuleMatch read(Cursor& when, int depth) {
        RuleMatch match;
        if (!when.expect_map()) return match;
        count(when, 1);
        if (too_many()) return match;
        if (depth > depth_max) {
            when.fault("conditions nest at most " + std::to_string(depth_max) + " deep");
            return match;
        }
        out_ = &match.all;
        for (const WordKey& one : word_keys)
            if (auto at = when.find(one.key)) add(one.field).words = plain_words(*at);
        check_callers(when);
        if (auto at = when.find("data_class")) add_classes(*at);
        if (auto at = when.find("tags")) read_named(*at, Field::tag, "tag");
        if (auto at = when.find("headers")) read_named(*at, Field::header, "header");
        if (auto at = when.find("input_tokens")) read_count(*at, Field::input_tokens);
        if (auto at = when.find("turns")) read_count(*at, Field::turns);
        if (auto at = when.find("difficulty")) read_share(*at, Field::difficulty, 1);
        if (auto at = when.find("needs_reasoning")) read_share(*at, Field::needs_reasoning, 1);
        if (auto at = when.find("domain")) read_domain(*at);
        if (auto at = when.find("budget_pressure")) read_share(*at, Field::budget_pressure, 10);
        read_flag(when, "tools", Field::tools);
        read_flag(when, "images", Field::images);
        read_flag(when, "audio", Field::audio);
        read_flag(when, "files", Field::files);
        read_flag(when, "json_schema", Field::json_schema);
        if (auto at = when.find("time")) read_time(*at);
        if (auto at = when.find("language")) read_language(*at);  // after what costs nothing
        if (auto at = when.find("pii")) read_pii(*at);
        read_nested(when, match, depth);
        when.close();
        return match;
    }

private:
    Condition& add(Field field) {
        out_->emplace_back().field = field;
        return out_->back();
    }

    bool too_many() const { return reading_.conditions > conditions_max; }
    void count(Cursor& at, std::size_t more) {
        const bool before = too_many();
        reading_.conditions += more;
        if (too_many() && !before)
            at.fault("expected at most " + std::to_string(conditions_max) +
                     " conditions and words in a file");
    }

    std::vector<std::string> words(Cursor& list) {
        std::vector<std::string> out = list.texts();
        if (list.is_list() && out.empty() && list.items().empty())
            list.fault("expected at least one value: an empty list would match nothing");
        count(list, out.size());
        if (out.size() > words_max)
            list.fault("expected at most " + std::to_string(words_max) + " values");
        return out;
    }

    // A star would be looked for as it stands, and never found.
    std::vector<std::string> plain_words(Cursor& list) {
        std::vector<std::string> out = words(list);
        for (const std::string& word : out)
            if (word.find('*') != std::string::npos)
                list.fault("'" + word +
                           "' is no pattern, names are compared whole: list them, or leave the "
                           "condition out for any ('*' is for tags and headers)");
        return out;
    }

    void check_callers(Cursor& when) {
        const NamedCallers& callers = reading_.policy.callers;
        for (auto [kind, listed] :
             {std::pair("org", &callers.orgs), std::pair("team", &callers.teams),
              std::pair("key", &callers.keys)})
            if (auto at = when.find(kind))
                for (Cursor& name : at->is_list() ? at->items() : std::vector{*at})
                    check_caller(name, kind, name.plain(), *listed);
    }

    void add_classes(Cursor& at) {
        const auto& known = reading_.policy.data_classes;
        Condition& condition = add(Field::data_class);
        condition.words = plain_words(at);
        for (std::string& word : condition.words) {
            word = lower_case(word);
            if (!is_data_class(word)) at.fault(std::string(data_class_shape));
            if (!known.empty() && std::find(known.begin(), known.end(), word) == known.end())
                at.fault(unknown_name("data class", word, known));
        }
    }

    void read_language(Cursor& at) {
        auto known = language_codes();
        Condition& condition = add(Field::language);
        condition.words = words(at);
        for (const std::string& word : condition.words)
            if (std::find(known.begin(), known.end(), word) == known.end())
                at.fault(unknown_name("language", word, {known.begin(), known.end()}));
    }

    void read_domain(Cursor& at) {
        std::vector<std::string> known;
        for (std::size_t i = 0; i < domain_count; ++i)
            known.emplace_back(domain_name(static_cast<Domain>(i)));
        Condition& condition = add(Field::domain);
        condition.words = words(at);
        for (const std::string& word : condition.words)
            if (std::find(known.begin(), known.end(), word) == known.end())
                at.fault(unknown_name("domain", word, known));
    }

    // {name: value}, {name: [a, b]}; "*" means present.
    void read_named(Cursor& map, Field field, const char* kind) {
        auto pairs = map.pairs();
        if (map.is_map() && pairs.empty()) map.fault(std::string("expected at least one ") + kind);
        for (auto& [name, value] : pairs) {
            Condition& condition = add(field);
            condition.words = words(value);
            bool present = !condition.words.empty() && condition.words.front() == "*";
            if (field == Field::tag && name == "app" && !present) {
                condition.field = Field::app;
                continue;
            }
            condition.name = name;
            if (condition.words.empty()) condition.words.emplace_back();
            if (field == Field::header) check_header(value, condition.name);
        }
    }

    void check_header(Cursor& at, std::string& name) {
        name = lower_case(name);
        const auto& allowed = reading_.policy.headers;
        if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) return;
        if (allowed.empty())
            at.fault("header '" + name + "' is not in the policy's list 'headers'");
        else
            at.fault(unknown_name("header", name, allowed));
    }

    void read_flag(Cursor& when, const char* key, Field field) {
        if (auto at = when.find(key)) add(field).wanted = at->boolean().value_or(true);
    }

    void read_count(Cursor& range, Field field) {
        constexpr std::int64_t most = 1'000'000'000;
        Condition& condition = add(field);
        if (!range.expect_map()) return;
        auto read = [](std::optional<Cursor> at, std::int64_t low, double& out) {
            if (at)
                if (auto value = at->integer(low, most)) out = static_cast<double>(*value);
        };
        read(range.find("min"), 0, condition.min);
        read(range.find("below"), 1, condition.below);
        check_range(range, condition);
    }

    void read_share(Cursor& range, Field field, double most) {
        Condition& condition = add(field);
        if (!range.expect_map()) return;
        if (auto at = range.find("min")) condition.min = at->number(0, most).value_or(0);
        if (auto at = range.find("below")) condition.below = at->number(0, most).value_or(most);
        check_range(range, condition);
    }

    static void check_range(Cursor& range, const Condition& condition) {
        bool has_bound = range.find("min") || range.find("below");
        range.close();
        if (!has_bound) range.fault("expected 'min', 'below' or both");
        if (condition.min >= condition.below)
            range.fault("matches nothing: 'min' must be under 'below'");
    }

    void read_time(Cursor& time) {
        constexpr std::string_view names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
        constexpr std::uint8_t every_day = 127;
        Condition& condition = add(Field::time);
        condition.days = every_day;
        condition.offset_minutes = reading_.offset_minutes;
        if (!time.expect_map()) return;
        if (auto at = time.find("from")) condition.from_minute = minute(*at, 1'439);
        if (auto at = time.find("to")) condition.to_minute = minute(*at, 1'440);
        if (auto at = time.find("days")) {
            condition.days = 0;
            for (const std::string& day : words(*at)) {
                auto found = std::find(std::begin(names), std::end(names), day);
                if (found == std::end(names))
                    at->fault(unknown_name("day", day, {std::begin(names), std::end(names)}));
                else
                    condition.days |= static_cast<std::uint8_t>(1 << (found - std::begin(names)));
            }
        }
        bool any = time.find("from") || time.find("to") || time.find("days");
        time.close();
        if (!any) time.fault("expected 'from', 'to', 'days' or some of them");
        if (condition.from_minute == condition.to_minute)
            time.fault("matches nothing: 'from' and 'to' are the same");
    }

    // "HH:MM". YAML 1.1 readers take 18:00 for a number of minutes in base 60; ours sees the text.
    static std::int16_t minute(Cursor& at, int most) {
        auto text = at.text();
        if (!text) return 0;
        int hours = -1, minutes = -1;
        const char* end = text->data() + text->size();
        auto [colon, bad] = std::from_chars(text->data(), end, hours);
        bool shaped = bad == std::errc() && colon != end && *colon == ':' && end - colon == 3;
        if (shaped) shaped = std::from_chars(colon + 1, end, minutes).ptr == end;
        int total = hours * 60 + minutes;
        if (shaped && minutes >= 0 && minutes < 60 && hours >= 0 && total <= most)
            return static_cast<std::int16_t>(total);
        at.fault(std::string("expected a time of day such as 18:30, at most ") +
                 (most == 1'440 ? "24:00" : "23:59") + ", got '" + *text + "'");
        return 0;
    }

    void read_pii(Cursor& at) {
        Condition& condition = add(Field::pii);
        condition.pii = pii_all;
        if (at.is_scalar()) {
            std::string text = at.text().value_or("");
            if (text == "true" || text == "false") {
                condition.wanted = text == "true";
                return;
            }
        }
        std::vector<std::string> known;
        for (const PiiName& one : pii_names()) known.emplace_back(one.name);
        condition.pii = 0;
        for (const std::string& word : words(at)) {
            auto found = std::find_if(pii_names().begin(), pii_names().end(),
                                      [&](const PiiName& one) { return one.name == word; });
            if (found != pii_names().end())
                condition.pii |= found->kind;
            else
                at.fault(unknown_name("kind of personal data", word, known) +
                         " (or true, or false)");
        }
    }

    // Last: what nests is looked at last.
    void read_nested(Cursor& when, RuleMatch& match, int depth) {
        if (auto at = when.find("all"))
            for (RuleMatch& part : parts(*at, depth))
                match.all.insert(match.all.end(), part.all.begin(), part.all.end());
        for (auto [key, field] : {std::pair("any", Field::any), std::pair("not", Field::none)})
            if (auto at = when.find(key)) {
                Condition condition;
                condition.field = field;
                condition.parts = parts(*at, depth);
                match.all.push_back(std::move(condition));
            }
        out_ = &match.all;
    }

    // A list of maps, or one map.
    std::vector<RuleMatch> parts(Cursor& at, int depth) {
        std::vector<RuleMatch> out;
        if (at.is_map()) {
            out.push_back(read_part(at, depth));
            return out;
        }
        auto items = at.items();
        if (at.is_list() && items.empty()) at.fault("expected at least one map of conditions");
        for (Cursor& item : items)
            if (!too_many()) out.push_back(read_part(item, depth));
        return out;
    }

    RuleMatch read_part(Cursor& at, int depth) {
        RuleMatch part = MatchReader(reading_).read(at, depth + 1);
        if (at.is_map() && part.all.empty() && !too_many())
            at.fault("expected at least one condition");
        return part;
    }

    PolicyReading& reading_;
    std::vector<Condition>* out_ = nullptr;
};

}  // namespace

RuleMatch read_match(PolicyReading& reading, Cursor& when) {
    return MatchReader(reading).read(when, 1);
}

}  // namespace sluice
