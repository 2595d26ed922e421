// The tokenizer's part of a GGUF file's metadata (tokenizer.ggml.*), checked and with llama.cpp's
// readings of it applied. Views point into the file's mapping.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/model/gguf.h"
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
    PreTokenizer pre = PreTokenizer::gpt2;
    bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
    bool add_bos = false;
    bool add_eos = false;
    TokenId bos = -1;
    TokenId eos = -1;
    std::vector<std::string_view> texts;   // as spelled in the file
    std::vector<TokenType> types;          // as many as texts
    std::vector<std::string_view> merges;  // "left right", lowest rank first
    std::unordered_set<TokenId> ends;
};

// Errors: bad_file, naming the key and what is supported.
Result<Vocabulary> read_vocabulary(const GgufFile& file);

}  // namespace sluice
