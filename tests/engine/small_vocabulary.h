// A byte-level BPE vocabulary built up by a test: the 256 bytes first, in the order of GPT-2 (so
// that their ids are those of GPT-2, Qwen and Llama-3), then what the test adds.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/byte_alphabet.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"
#include "tests/engine/gguf_writer.h"

namespace sluice {

class SmallVocabulary {
public:
    explicit SmallVocabulary(std::string_view pre = "qwen2") {
        file_.set("tokenizer.ggml.model", "gpt2");
        file_.set("tokenizer.ggml.pre", pre);
        for (bool printable : {true, false})
            for (int byte = 0; byte < 256; ++byte) {
                std::string spelling = spelling_of(static_cast<unsigned char>(byte));
                bool own = spelling.size() == 1 || spelling == latin1(byte);
                if (own == printable) token(spelling);
            }
    }

    // A token with the text as the file spells it. Its id.
    TokenId token(std::string_view spelled, TokenType type = TokenType::normal) {
        texts_.emplace_back(spelled);
        types_.push_back(static_cast<std::int32_t>(type));
        return static_cast<TokenId>(texts_.size() - 1);
    }
    void merge(std::string_view left, std::string_view right) {
        merges_.push_back(std::string(left) + " " + std::string(right));
    }
    // The bytes of `word` become one token, merged from the left: its id.
    TokenId word(std::string_view bytes) {
        std::string left;
        for (char c : bytes) {
            std::string right = spelling_of(static_cast<unsigned char>(c));
            if (!left.empty()) {
                merge(left, right);
                if (id_of(left + right) < 0) token(left + right);
            }
            left += right;
        }
        return id_of(left);
    }
    GgufWriter& file() { return file_; }  // for further keys

    Result<std::shared_ptr<const Tokenizer>> load() {
        file_.set("tokenizer.ggml.tokens", texts_);
        file_.set("tokenizer.ggml.merges", merges_);
        file_.set("tokenizer.ggml.token_type", types_);
        TempFile model(file_.bytes());
        auto opened = GgufFile::open(model.path());
        if (!opened) return opened.error();
        return Tokenizer::from_file(**opened);
    }

private:
    static std::string latin1(int byte) {
        return {static_cast<char>(0xC0 | byte >> 6), static_cast<char>(0x80 | (byte & 0x3F))};
    }
    TokenId id_of(std::string_view spelled) const {
        for (std::size_t i = 0; i < texts_.size(); ++i)
            if (texts_[i] == spelled) return static_cast<TokenId>(i);
        return -1;
    }

    GgufWriter file_;
    std::vector<std::string> texts_;
    std::vector<std::int32_t> types_;
    std::vector<std::string> merges_;
};

}  // namespace sluice
