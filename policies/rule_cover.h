// Which rules can never be reached. Pure.
#pragma once

#include "policies/match.h"

namespace sluice {

// Every request that `later` matches is also matched by `earlier`. Says so only where it is
// certain: what several earlier rules, or several branches of one, take together is not found.
bool covers(const RuleMatch& earlier, const RuleMatch& later);

}  // namespace sluice
