// A policy's reasoning effort, put into a request. Pure.
#pragma once

#include <memory>
#include <string_view>

#include "providers/chat.h"

namespace sluice {

// A copy of the request with this effort in place of all that the caller said of thinking, in
// whichever dialect.
std::unique_ptr<const ChatRequest> with_effort(const ChatRequest& request, std::string_view effort);

}  // namespace sluice
