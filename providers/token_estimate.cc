#include "providers/token_estimate.h"

#include <algorithm>

namespace sluice {

std::int64_t estimate_text_tokens(std::string_view text) {
    auto ascii = std::count_if(text.begin(), text.end(),
                               [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    auto rest = static_cast<std::int64_t>(text.size()) - ascii;
    return (ascii + 3) / 4 + (rest * 2 + 4) / 5;
}

std::int64_t estimate_input_tokens(const ChatRequest& request) {
    constexpr std::int64_t tokens_a_message = 4;
    constexpr std::int64_t tokens_an_image = 1000;
    std::int64_t tokens = 0;
    for (const Message& message : request.messages) {
        tokens += tokens_a_message;
        for (const Part& part : message.parts)
            tokens +=
                part.kind == Part::Kind::text ? estimate_text_tokens(part.text) : tokens_an_image;
        for (const ToolCall& call : message.tool_calls)
            tokens += estimate_text_tokens(call.name) + estimate_text_tokens(call.arguments);
    }
    for (const Tool& tool : request.tools)
        tokens += estimate_text_tokens(tool.name) + estimate_text_tokens(tool.description) +
                  estimate_text_tokens(tool.parameters);
    return tokens;
}

}  // namespace sluice
