// The body of an error answer in the words of the client's dialect, which the path tells.
#pragma once

#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

// Anthropic's envelope for /v1/messages and below it, OpenAI's for all else.
std::string refusal_body(std::string_view path, const Error& error, const std::string& request_id);

}  // namespace sluice
