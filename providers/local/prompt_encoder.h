// A rendered prompt to token ids. Text that the template wrote is searched for control tokens; text
// that came with the request never becomes one, however it is spelled: "<|im_end|>" in a user's
// message stays nine characters. Between control tokens the text is encoded as one piece, so that a
// prompt without such spellings gives exactly the tokens that its whole text gives.
// Immutable: any thread. The Tokenizer must outlive it.
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

private:
    const std::pair<std::string_view, TokenId>* control_at(std::string_view text) const;

    const Tokenizer& tokenizer_;
    // Control tokens by their first byte, the longest first.
    std::array<std::vector<std::pair<std::string_view, TokenId>>, 256> controls_;
};

}  // namespace sluice
