// A quick estimate of a request's prompt tokens, for routing, ceilings and the context gate of
// hosted upstreams. The engine counts exactly; vendors bill what they count. Pure.
#pragma once

#include <cstdint>

#include "providers/chat.h"

namespace sluice {

// About 4 bytes a token for ASCII, 2.5 for the rest (CJK: 3 bytes a character, about 1.2 tokens),
// plus 4 tokens a message; an image part counts 1,000.
std::int64_t estimate_input_tokens(const ChatRequest& request);
// The same rule for one text.
std::int64_t estimate_text_tokens(std::string_view text);

}  // namespace sluice
