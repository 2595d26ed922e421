// A quick estimate of a request's prompt tokens, for routing, ceilings and the context gate of
// hosted upstreams. The engine counts exactly; vendors bill what they count. Pure.
#pragma once

#include <cstdint>

#include "providers/chat.h"

namespace sluice {

// By the kinds of characters: words, digits, punctuation, scripts (fitted, token_estimate.cc), plus
// 4 tokens a message; an image part counts 1,000.
std::int64_t estimate_input_tokens(const ChatRequest& request);
// The same rule for one text.
std::int64_t estimate_text_tokens(std::string_view text);

}  // namespace sluice
