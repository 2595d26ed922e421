// What a tokenizer is made of, checked, whichever file it comes from. Views point into the file's
// mapping, or into `storage`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/text/pretokenizer.h"
#include "engine/text/tokenizer.h"

namespace sluice {

// Numbers are the file format's (enum llama_token_type).
enum class TokenType : std::uint8_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6,
};

struct Vocabulary {
    static constexpr std::size_t tokens_max = std::size_t{1} << 24;      // known ones: up to 2^18
    static constexpr std::size_t text_bytes_max = std::size_t{1} << 30;  // of all tokens together

    PreTokenizer pre = PreTokenizer::gpt2;
    bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
    bool nfc = false;            // text is brought to Unicode's form C first
    bool add_bos = false;
    bool add_eos = false;
    TokenId bos = -1;
    TokenId eos = -1;
    std::vector<std::string_view> texts;   // as spelled in the file
    std::vector<TokenType> types;          // as many as texts
    std::vector<std::string_view> merges;  // "left right", lowest rank first
    std::unordered_set<TokenId> ends;
    std::shared_ptr<const std::string> storage;
};

// Whether a token of this text ends a generation whatever else the file says: files often name
// only one of them.
bool ends_generation(std::string_view text);

}  // namespace sluice
