#include "providers/local/prompt_encoder.h"

#include <algorithm>

namespace sluice {

namespace {

// No vocabulary's words hold a letter between '<' and '>': such a token was added whole.
bool is_tag(std::string_view text) {
    return text.size() > 2 && text.front() == '<' && text.back() == '>' &&
           std::any_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

}  // namespace

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
        const std::string_view text = tokenizer.bytes_of(id, true);
        if (text.empty()) continue;
        longest_token_ = std::max(longest_token_, text.size());
        bool control = tokenizer.is_special(id);
        if (!control && is_tag(text)) {
            const std::vector<TokenId> alone = {id};
            const bool unasked = tokenizer.encode(text, false, false) == alone;
            if (unasked) tags_.push_back(text);
            control = !unasked && tokenizer.encode(text, true, false) == alone;
        }
        if (control) controls_[static_cast<unsigned char>(text.front())].emplace_back(text, id);
    }
    for (auto& row : controls_) {
        std::stable_sort(row.begin(), row.end(), [](const Control& a, const Control& b) {
            return a.first.size() > b.first.size();
        });
    }
}

const PromptEncoder::Control* PromptEncoder::control_at(std::string_view text) const {
    for (const Control& control : controls_[static_cast<unsigned char>(text.front())]) {
        if (text.starts_with(control.first)) return &control;
    }
    return nullptr;
}

// The size of the tag that `text` starts with, or 0.
std::size_t PromptEncoder::tag_at(std::string_view text) const {
    if (text.front() != '<') return 0;
    for (const std::string_view tag : tags_) {
        if (text.starts_with(tag)) return tag.size();
    }
    return 0;
}

std::vector<TokenId> PromptEncoder::encode(const jinja::Text& prompt) const {
    std::vector<TokenId> tokens;
    const std::string_view bytes = prompt.bytes();
    std::size_t plain = 0;  // start of the text not yet encoded
    const auto flush = [&](std::size_t to) {
        if (to == plain) return;
        const auto some = tokenizer_.encode(bytes.substr(plain, to - plain), false, false);
        tokens.insert(tokens.end(), some.begin(), some.end());
        plain = to;
    };
    std::size_t at = 0;
    for (const auto& run : prompt.runs()) {
        while (at < run.end) {
            if (!run.trusted) at = std::min(bytes.find('<', at), run.end);
            if (at == run.end) break;
            const Control* control =
                run.trusted ? control_at(bytes.substr(at, run.end - at)) : nullptr;
            if (control != nullptr) {
                flush(at);
                tokens.push_back(control->second);
                at += control->first.size();
                plain = at;
                continue;
            }
            const std::size_t tag = tag_at(bytes.substr(at));
            if (tag > 0 && run.trusted && at + tag <= run.end) {
                at += tag;  // the template's own: the tokenizer finds it
                continue;
            }
            ++at;
            if (tag > 0) flush(at);  // cut apart, so that nobody finds it
        }
    }
    flush(bytes.size());
    return tokens;
}

}  // namespace sluice
