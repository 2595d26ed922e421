// Which rules can never be reached because of one before them. What several take together:
// policies/rule_union.h. Pure.
#pragma once

#include <cstdint>

#include "policies/match.h"

namespace sluice {

// How conditions on a field compare, and those on all of its sort.
enum class Sort : std::uint8_t {
    word,   // the request's one text is any of the words
    named,  // likewise of a tag or a header; "*" is any text
    pii,
    flag,
    number,
    time,
    any,
    none,
};
Sort sort_of(Field field);

// Every request that `later` matches is also matched by `earlier`. Says so only where it is
// certain: what several earlier rules, or several branches of one, take together is not found, nor
// is anything once `steps_left`, which every comparison takes from, is used up.
bool covers(const RuleMatch& earlier, const RuleMatch& later, std::int64_t& steps_left);

// `asked` holds for every request that `given` matches; likewise.
bool follows(const RuleMatch& given, const Condition& asked, std::int64_t& steps_left);

}  // namespace sluice
