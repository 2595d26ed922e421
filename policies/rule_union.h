// Rules that no request reaches though no single earlier rule takes all that they match: those that
// contradict themselves, and those that several earlier rules take together. Pure. Both say so only
// where it is certain, and nothing once `steps_left`, which every comparison takes from, is used
// up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "policies/match.h"

namespace sluice {

// No request matches: two of its conditions exclude each other, or every branch of an `any` is
// excluded by the rest. What only three conditions together exclude is not found, but for numbers.
bool contradicts_itself(const RuleMatch& match, std::int64_t& steps_left);

// Indices of `earlier` matches that together take all that `later` matches, where none of them does
// alone (rule_cover.h); none: not found. Found
// are those that, of what `later` does not ask itself, ask for one thing each, of one kind: lists
// of words, numbers' ranges, yes and no, and the opposite of each (`not`); and that for every
// branch of the first `any` of `later`.
std::vector<std::size_t> covered_together(const std::vector<const RuleMatch*>& earlier,
                                          const RuleMatch& later, std::int64_t& steps_left);

}  // namespace sluice
