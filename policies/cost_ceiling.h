// The most that a request may cost at an upstream, for ceilings and budgets. Pure.
#pragma once

#include <cstdint>

#include "providers/chat.h"
#include "providers/usage.h"

namespace sluice {

// Where the request marks parts for the vendor's cache, the whole prompt may be written to it,
// which costs more than reading it once.
Money cost_ceiling(const ChatRequest& request, std::int64_t input_tokens,
                   std::int64_t output_tokens, const Price& price);

}  // namespace sluice
