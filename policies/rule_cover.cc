#include "policies/rule_cover.h"

#include <algorithm>

namespace sluice {
namespace {

bool words_cover(const std::vector<std::string>& earlier, const std::vector<std::string>& later) {
    if (earlier.empty()) return true;
    if (later.empty()) return false;
    return std::all_of(later.begin(), later.end(), [&](const std::string& word) {
        return std::find(earlier.begin(), earlier.end(), word) != earlier.end();
    });
}

bool tags_cover(const RuleMatch& earlier, const RuleMatch& later) {
    return std::all_of(earlier.tags.begin(), earlier.tags.end(), [&](const auto& tag) {
        auto same = later.tags.find(tag.first);
        return same != later.tags.end() && (tag.second == "*" || tag.second == same->second);
    });
}

template <class Number>
bool range_covers(const std::optional<Number>& earlier_min,
                  const std::optional<Number>& earlier_below,
                  const std::optional<Number>& later_min,
                  const std::optional<Number>& later_below) {
    bool from = !earlier_min || (later_min && *later_min >= *earlier_min);
    bool to = !earlier_below || (later_below && *later_below <= *earlier_below);
    return from && to;
}

bool flag_covers(const std::optional<bool>& earlier, const std::optional<bool>& later) {
    return !earlier || earlier == later;
}

}  // namespace

bool covers(const RuleMatch& earlier, const RuleMatch& later) {
    return words_cover(earlier.teams, later.teams) && words_cover(earlier.keys, later.keys) &&
           words_cover(earlier.models, later.models) &&
           words_cover(earlier.data_classes, later.data_classes) && tags_cover(earlier, later) &&
           range_covers(earlier.input_tokens_min, earlier.input_tokens_below,
                        later.input_tokens_min, later.input_tokens_below) &&
           range_covers(earlier.difficulty_min, earlier.difficulty_below, later.difficulty_min,
                        later.difficulty_below) &&
           flag_covers(earlier.tools, later.tools) && flag_covers(earlier.images, later.images) &&
           flag_covers(earlier.json_schema, later.json_schema);
}

}  // namespace sluice
