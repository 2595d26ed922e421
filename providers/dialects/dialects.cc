#include "providers/dialects/anthropic_messages.h"
#include "providers/dialects/openai_chat.h"

namespace sluice {

const Dialect* find_dialect(std::string_view name) {
    static const OpenAiChat openai_chat;
    static const AnthropicMessages anthropic_messages;
    if (name == openai_chat.name()) return &openai_chat;
    if (name == anthropic_messages.name()) return &anthropic_messages;
    return nullptr;
}

}  // namespace sluice
