// The content blocks of the Anthropic wire: a conversation being read, a thought being written.
// Used by the files of this dialect only.
#pragma once

#include "providers/chat.h"
#include "providers/json_read.h"

namespace sluice {

// A list of turns. One turn may become several messages: each tool result is one of its own.
Status read_turns(JsonReader& json, JsonValue value, const JsonPath& path,
                  std::vector<Message>& messages);
// The system prompt: a string or a list of text blocks.
Status read_system(JsonReader& json, JsonValue value, const JsonPath& path, Message& message);

// A thinking or redacted_thinking block, of an answer or sent back in a request.
void append_thought(std::string& out, const Thought& thought);

}  // namespace sluice
