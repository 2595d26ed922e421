// Cuts text into the words that byte-level BPE merges within. Each pre-tokenizer is a regular
// expression of the model's tokenizer.json, matched here by hand over the UTF-8 bytes:
//   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   smollm  the same, within the pieces left after every \p{N} is cut out as a word of its own
//   qwen2   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*
//           |\s*[\r\n]+|\s+(?!\S)|\s+
//   llama3  qwen2's with \p{N}{1,3} for \p{N}
// The words agree with llama.cpp's, which ignores case in ASCII only. A byte that is no part
// of valid UTF-8 counts as a character that is no letter, number or space. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

enum class PreTokenizer : std::uint8_t { gpt2, smollm, qwen2, llama3 };

// By the value of tokenizer.ggml.pre; nothing when it is not supported.
std::optional<PreTokenizer> pre_tokenizer_named(std::string_view name);
std::string_view pre_tokenizer_names();  // those supported, for messages

// The end of the word that starts at text[at]; at < result <= text.size().
std::size_t word_end(PreTokenizer kind, std::string_view text, std::size_t at);

}  // namespace sluice
