#include "providers/local/prompt_encoder.h"

#include <algorithm>

namespace sluice {

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
        const std::string_view text = tokenizer.bytes_of(id, true);
        if (text.empty()) continue;
        bool control = tokenizer.is_special(id);
        if (!control && text.size() > 2 && text.front() == '<' && text.back() == '>') {
            // A token such as <think> that is found in a template's text only when asked for.
            const std::vector<TokenId> alone = {id};
            control = tokenizer.encode(text, true, false) == alone &&
                      tokenizer.encode(text, false, false) != alone;
        }
        if (control) controls_[static_cast<unsigned char>(text.front())].emplace_back(text, id);
    }
    for (auto& row : controls_) {
        std::stable_sort(row.begin(), row.end(), [](const auto& a, const auto& b) {
            return a.first.size() > b.first.size();
        });
    }
}

const std::pair<std::string_view, TokenId>* PromptEncoder::control_at(std::string_view text) const {
    for (const auto& control : controls_[static_cast<unsigned char>(text.front())]) {
        if (text.starts_with(control.first)) return &control;
    }
    return nullptr;
}

std::vector<TokenId> PromptEncoder::encode(const jinja::Text& prompt) const {
    std::vector<TokenId> tokens;
    const std::string_view bytes = prompt.bytes();
    std::size_t plain = 0;  // start of the text not yet encoded
    const auto flush = [&](std::size_t to) {
        if (to == plain) return;
        const auto some = tokenizer_.encode(bytes.substr(plain, to - plain), false, false);
        tokens.insert(tokens.end(), some.begin(), some.end());
    };
    std::size_t at = 0;
    for (const auto& run : prompt.runs()) {
        while (run.trusted && at < run.end) {
            const auto* control = control_at(bytes.substr(at, run.end - at));
            if (control == nullptr) {
                ++at;
                continue;
            }
            flush(at);
            tokens.push_back(control->second);
            at += control->first.size();
            plain = at;
        }
        at = run.end;
    }
    flush(bytes.size());
    return tokens;
}

}  // namespace sluice
