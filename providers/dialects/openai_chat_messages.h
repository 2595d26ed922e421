// The parts of an OpenAI chat request that have a form of their own. Used by the reader of requests
// only.
#pragma once

#include "providers/chat.h"
#include "providers/json_read.h"

namespace sluice {

Status read_messages(JsonReader& json, JsonValue value, const JsonPath& path,
                     std::vector<Message>& messages);
Status read_tools(JsonReader& json, JsonValue value, const JsonPath& path,
                  std::vector<Tool>& tools);
// In their shortest form: "auto", or {"type":"function","function":{"name":...}}.
Status read_tool_choice(JsonReader& json, JsonValue value, const JsonPath& path,
                        std::string& choice);
// "" for {"type":"text"}, the default.
Status read_response_format(JsonReader& json, JsonValue value, const JsonPath& path,
                            std::string& format);

// Shared by the readers of messages and of tools.

// What clients send back of an answer although it says nothing to the model.
bool is_echo(std::string_view key);
Error unknown_key(JsonReader& json, const JsonPath& path, std::string_view where);
Error unsupported(const JsonPath& path, const std::string& message);
// The value of a "type" that must be "function".
Status expect_function(JsonReader& json, JsonValue value, const JsonPath& path);
// {"name":...,"arguments":...}, or {"name":...} when `arguments` is null.
Status read_function(JsonReader& json, JsonValue value, const JsonPath& path, std::string& name,
                     std::string* arguments);

}  // namespace sluice
