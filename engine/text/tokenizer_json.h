// The vocabulary of a Hugging Face model folder: tokenizer.json, with the beginning and end tokens
// that tokenizer_config.json names. Byte-level BPE with the pre-tokenizers of pretokenizer.h, known
// by their regular expressions, and Unicode's form C; anything else is refused by its field.
// Pure: any thread. Format: Hugging Face tokenizers' tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/result.h"
#include "engine/text/vocabulary.h"

namespace sluice {

// `end_tokens`: ids that end a generation besides those that the files name. Errors: bad_file.
Result<Vocabulary> read_tokenizer_json(const std::string& folder,
                                       const std::vector<std::int64_t>& end_tokens);

}  // namespace sluice
