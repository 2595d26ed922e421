#include "providers/token_estimate.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace sluice {

namespace {

// Eight bytes at a time: most texts have none.
std::int64_t bytes_beyond_ascii(std::string_view text) {
    constexpr std::uint64_t highs = 0x8080808080808080ULL;
    std::int64_t count = 0;
    std::size_t at = 0;
    for (std::uint64_t word = 0; at + sizeof word <= text.size(); at += sizeof word) {
        std::memcpy(&word, text.data() + at, sizeof word);
        if ((word & highs) != 0) count += std::popcount(word & highs);
    }
    for (; at < text.size(); ++at) count += static_cast<unsigned char>(text[at]) >> 7;
    return count;
}

}  // namespace

std::int64_t estimate_text_tokens(std::string_view text) {
    std::int64_t rest = bytes_beyond_ascii(text);
    std::int64_t ascii = static_cast<std::int64_t>(text.size()) - rest;
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
