// A rendered prompt to token ids. Text that the template wrote is searched for control tokens; text
// that came with the request never becomes one, however it is spelled: "<|im_end|>" in a user's
// message stays ten characters. The same holds for the tags that a vocabulary adds as tokens of
// their own without calling them control (<think>, <tool_response>): a tool's result cannot close
// the result it stands in. Between control tokens the text is encoded as one piece, so that a
// prompt without such spellings gives exactly the tokens that its whole text gives. Immutable: any
// thread. The Tokenizer must outlive it.
#pragma once

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/tokenizer.h"
#include "providers/local/jinja_text.h"

namespace sluice {

class PromptEncoder {
public:
    explicit PromptEncoder(const Tokenizer& tokenizer);
    std::vector<TokenId> encode(const jinja::Text& prompt) const;
    // No prompt of these bytes has fewer tokens: what tells an endless one without encoding it.
    std::size_t tokens_min(std::size_t bytes) const { return bytes / longest_token_; }

private:
    using Control = std::pair<std::string_view, TokenId>;
    const Control* control_at(std::string_view text) const;
    std::size_t tag_at(std::string_view text) const;

    const Tokenizer& tokenizer_;
    // Control tokens by their first byte, the longest first.
    std::array<std::vector<Control>, 256> controls_;
    std::size_t longest_token_ = 1;       // bytes
    std::vector<std::string_view> tags_;  // "<...>", which the tokenizer finds without being asked
};

}  // namespace sluice
