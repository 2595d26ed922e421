// Which rules can never be reached. Pure.
#pragma once

#include "policies/policy.h"

namespace sluice {

// Every request that `later` matches is also matched by `earlier`. Exact for the conditions of
// RuleMatch one by one; a rule taken by several earlier ones together is not found.
bool covers(const RuleMatch& earlier, const RuleMatch& later);

}  // namespace sluice
