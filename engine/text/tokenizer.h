// Text to token ids and back, as the model's own file says. Immutable after load: any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

using TokenId = std::int32_t;

class ModelFile;
struct Vocabulary;

class Tokenizer {
public:
    // Byte-level BPE with the pre-tokenizers of GPT-2, SmolLM, Qwen2 and Llama 3. Error bad_file
    // names the file's key and what is supported.
    static Result<std::shared_ptr<const Tokenizer>> from_file(const ModelFile& file);
    // `path` names the file in messages. An error that stands in for the vocabulary is passed on.
    static Result<std::shared_ptr<const Tokenizer>> from_vocabulary(
        const Result<Vocabulary>& vocabulary, const std::string& path);
    virtual ~Tokenizer() = default;

    // `parse_special`: special tokens spelled out in the text become their ids (a rendered chat
    // template); otherwise they are plain text. `add_special`: put BOS in front and EOS behind if
    // the file asks. Invalid UTF-8 is taken byte by byte. A byte that the vocabulary has no token
    // for is left out (SmolLM2 lacks some control characters). Never fails.
    virtual std::vector<TokenId> encode(std::string_view text, bool parse_special,
                                        bool add_special) const = 0;
    // The bytes of one token; special (control) tokens give "" unless `render_special`.
    virtual std::string_view bytes_of(TokenId token, bool render_special = false) const = 0;
    std::string decode(const std::vector<TokenId>& tokens, bool render_special = false) const;

    virtual int vocab_size() const = 0;
    virtual bool is_special(TokenId token) const = 0;  // control tokens
    virtual bool is_end(TokenId token) const = 0;      // ends a generation: eos, eot, eom
    virtual TokenId find(std::string_view token_text) const = 0;  // -1 if absent
    virtual TokenId bos() const = 0;                              // -1 if none
    virtual TokenId eos() const = 0;                              // -1 if none
};

}  // namespace sluice
