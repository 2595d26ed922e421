// The alphabet in which byte-level BPE vocabularies spell bytes: each of the 256 bytes is one
// printable character. Bytes that are printable in Latin-1 stand for themselves, the others are
// U+0100, U+0101, ... in order (GPT-2's bytes_to_unicode): a space is 'Ġ', a line feed 'Ċ'. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Appends the bytes that `spelled` stands for. False, with `bytes` as it was, when it has a
// character outside the alphabet, as the texts of many special tokens do.
bool append_spelled_bytes(std::string& bytes, std::string_view spelled);

// The character that stands for `byte`, in UTF-8.
std::string spelling_of(unsigned char byte);

}  // namespace sluice
