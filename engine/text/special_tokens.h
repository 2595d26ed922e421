// Finds the tokens that are matched on the raw text, before it is cut into words. As in llama.cpp,
// the longest token has first choice over the whole text (of equal lengths the lower id), its
// places are taken from left to right, and the next token looks at what is left between them.
// Immutable: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace sluice {

class SpecialTokens {
public:
    struct Special {
        std::string text;  // not empty
        TokenId token = -1;
    };
    struct Piece {
        std::size_t begin = 0;
        std::size_t end = 0;
        TokenId token = -1;  // -1: plain text
    };

    explicit SpecialTokens(std::vector<Special> specials = {});
    // The text as pieces in order; none is empty.
    std::vector<Piece> split(std::string_view text) const;

private:
    struct Range {
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    std::vector<bool> present_in(std::string_view text) const;
    void mark_at(std::string_view text, std::size_t at, std::vector<bool>& present) const;

    std::vector<Special> specials_;       // by text
    std::vector<std::size_t> by_choice_;  // indices, the longest first
    std::array<Range, 256> by_first_byte_{};
};

}  // namespace sluice
