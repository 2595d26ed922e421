// Which language a request is written in: by its script, and for Latin script by the commonest
// words. Reads the first 2 KiB of the last user turn; no allocation. Pure.
#pragma once

#include <span>
#include <string_view>

#include "providers/chat.h"

namespace sluice {

// ISO 639-1 codes it can tell, as policies write them.
std::span<const std::string_view> language_codes();

// "" where it cannot say: too short, mixed, code, or another language.
std::string_view language_of_text(std::string_view text);
std::string_view language_of(const ChatRequest& request);

}  // namespace sluice
