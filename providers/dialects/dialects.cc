#include "providers/dialects/openai_chat.h"

namespace sluice {

const Dialect* find_dialect(std::string_view name) {
    static const OpenAiChat openai_chat;
    if (name == openai_chat.name()) return &openai_chat;
    return nullptr;
}

}  // namespace sluice
