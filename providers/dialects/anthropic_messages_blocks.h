// The conversation inside an Anthropic request. Used by the reader of requests only.
#pragma once

#include "providers/chat.h"
#include "providers/json_read.h"

namespace sluice {

// A list of turns. One turn may become several messages: each tool result is one of its own.
Status read_turns(JsonReader& json, JsonValue value, const JsonPath& path,
                  std::vector<Message>& messages);
// The system prompt: a string or a list of text blocks.
Status read_system(JsonReader& json, JsonValue value, const JsonPath& path, Message& message);

}  // namespace sluice
