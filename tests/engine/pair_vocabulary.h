// A vocabulary with a token for every byte and every pair of bytes: tokens show where words end,
// because a pair is never merged across a word boundary. make_tokenizer_golden.py builds the same.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/byte_alphabet.h"
#include "engine/text/tokenizer.h"
#include "tests/engine/gguf_writer.h"

namespace sluice {

inline std::shared_ptr<const Tokenizer> pair_tokenizer(std::string_view pre) {
    std::vector<std::string> tokens;
    std::vector<std::string> merges;
    for (int byte = 0; byte < 256; ++byte)
        tokens.push_back(spelling_of(static_cast<unsigned char>(byte)));
    for (unsigned i = 0; i < 65536; ++i) {
        unsigned pair = (i * 40503 + 12345) % 65536;
        tokens.push_back(tokens[pair / 256] + tokens[pair % 256]);
        merges.push_back(tokens[pair / 256] + " " + tokens[pair % 256]);
    }
    GgufWriter file;
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", pre);
    file.set("tokenizer.ggml.tokens", tokens);
    file.set("tokenizer.ggml.merges", merges);
    file.set("tokenizer.ggml.add_bos_token", false);
    TempFile model(file.bytes());
    auto opened = GgufFile::open(model.path());
    if (!opened) throw std::runtime_error(opened.error().message);
    auto tokenizer = Tokenizer::from_file(**opened);
    if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
    return *tokenizer;
}

}  // namespace sluice
