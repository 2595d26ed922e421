// An Engine that says what the test tells it to, through a tokenizer of bytes: token ids 0 to 255
// are the bytes, from 256 on the special tokens given. Any thread may play the engine thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace sluice {

class ByteTokenizer final : public Tokenizer {
public:
    struct Special {
        std::string text;
        bool control = true;
        bool end = false;
    };

    explicit ByteTokenizer(std::vector<Special> specials) : specials_(std::move(specials)) {
        for (int byte = 0; byte < 256; ++byte) bytes_ += static_cast<char>(byte);
    }

    std::vector<TokenId> encode(std::string_view text, bool parse_special,
                                bool /*add_special*/) const override {
        std::vector<TokenId> tokens;
        while (!text.empty()) {
            std::size_t taken = 1;
            TokenId id = static_cast<unsigned char>(text.front());
            for (std::size_t i = 0; i < specials_.size(); ++i) {
                if (specials_[i].control && !parse_special) continue;  // as llama.cpp has it
                if (specials_[i].text.size() <= taken || !text.starts_with(specials_[i].text)) {
                    continue;
                }
                id = static_cast<TokenId>(256 + i);
                taken = specials_[i].text.size();
            }
            tokens.push_back(id);
            text.remove_prefix(taken);
        }
        return tokens;
    }
    std::string_view bytes_of(TokenId token, bool render_special) const override {
        if (token < 256) return std::string_view(bytes_).substr(static_cast<std::size_t>(token), 1);
        const Special& special = specials_.at(static_cast<std::size_t>(token - 256));
        return special.control && !render_special ? std::string_view() : special.text;
    }
    int vocab_size() const override { return 256 + static_cast<int>(specials_.size()); }
    bool is_special(TokenId token) const override {
        return token >= 256 && specials_[static_cast<std::size_t>(token - 256)].control;
    }
    bool is_end(TokenId token) const override {
        return token >= 256 && specials_[static_cast<std::size_t>(token - 256)].end;
    }
    TokenId find(std::string_view text) const override {
        for (std::size_t i = 0; i < specials_.size(); ++i) {
            if (specials_[i].text == text) return static_cast<TokenId>(256 + i);
        }
        return text.size() == 1 ? static_cast<unsigned char>(text.front()) : -1;
    }
    TokenId bos() const override { return specials_.empty() ? -1 : 256; }
    TokenId eos() const override { return specials_.size() < 2 ? -1 : 257; }

private:
    std::vector<Special> specials_;
    std::string bytes_;
};

class ScriptedEngine final : public Engine {
public:
    struct Submitted {
        std::vector<TokenId> prompt;
        Sampling sampling;
        Sink sink;
        SubmitOptions options;
    };

    ScriptedEngine(std::vector<ByteTokenizer::Special> specials, std::string chat_template,
                   int context_tokens = 1'000)
        : tokenizer_(std::move(specials)) {
        model_.name = "scripted";
        model_.chat_template = std::move(chat_template);
        model_.context_tokens = context_tokens;
    }

    Result<SequenceId> submit(std::vector<TokenId> prompt, Sampling sampling, Sink sink,
                              SubmitOptions options = {}) override {
        const std::lock_guard lock(mutex_);
        if (refusal) return *refusal;
        sequences_[++last_] = {std::move(prompt), std::move(sampling), std::move(sink),
                               std::move(options)};
        return last_;
    }
    void cancel(SequenceId id) override {
        const std::lock_guard lock(mutex_);
        sequences_.erase(id);
        ++cancelled;
    }
    Occupancy occupancy() const override { return now; }
    const Tokenizer& tokenizer() const override { return tokenizer_; }
    const ModelInfo& model() const override { return model_; }
    void set_sampling(float temperature, float top_p) {
        model_.temperature = temperature;
        model_.top_p = top_p;
    }

    // The engine thread's turn: offers a piece; false when the sequence is gone or its sink is
    // full.
    bool put(SequenceId id, Piece piece) {
        Sink sink;
        {
            const std::lock_guard lock(mutex_);
            const auto found = sequences_.find(id);
            if (found == sequences_.end()) return false;
            sink = found->second.sink;  // called outside of the lock, as the engine does
        }
        return sink(piece);
    }
    bool holds(SequenceId id) {
        const std::lock_guard lock(mutex_);
        return sequences_.contains(id);
    }
    Submitted submitted(SequenceId id) {
        const std::lock_guard lock(mutex_);
        return sequences_.at(id);
    }
    SequenceId last() {
        const std::lock_guard lock(mutex_);
        return last_;
    }

    // One token a byte.
    static Piece piece(std::string text) {
        Piece piece;
        for (const char c : text) piece.tokens.push_back(static_cast<unsigned char>(c));
        piece.text = std::move(text);
        return piece;
    }
    static Piece end(FinishReason finish, int prompt, int generated) {
        Piece piece;
        piece.last = true;
        piece.finish = finish;
        piece.prompt_tokens = prompt;
        piece.generated_tokens = generated;
        return piece;
    }

    ModelInfo& says() { return model_; }

    std::optional<Error> refusal;  // what submit answers
    Occupancy now;                 // what occupancy answers
    std::atomic<int> cancelled = 0;

private:
    std::mutex mutex_;
    ByteTokenizer tokenizer_;
    ModelInfo model_;
    std::map<SequenceId, Submitted> sequences_;
    SequenceId last_ = 0;
};

}  // namespace sluice
