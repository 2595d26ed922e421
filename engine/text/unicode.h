// UTF-8 decoding and the few facts about code points that the text code needs. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

struct Utf8Char {
    // whole: a well-formed character. broken: `bytes` bytes that no continuation can mend (the
    // maximal subpart of Unicode 3.9, D93b), to be shown as one U+FFFD. unfinished: well formed so
    // far, but the text ends inside it.
    enum class Kind : std::uint8_t { whole, broken, unfinished };
    char32_t code = 0;  // of a whole character
    std::uint8_t bytes = 0;
    Kind kind = Kind::broken;
};

// The character at text[at]; `at` < text.size().
Utf8Char read_utf8(std::string_view text, std::size_t at);

// What the pre-tokenizers' regular expressions tell apart: \p{L}, \p{N}, \s and the rest. Letters
// and numbers are those of Unicode 15.1, spaces those with the property White_Space.
enum class CharClass : std::uint8_t { other, letter, number, space };
CharClass class_of(char32_t code);  // code points beyond U+10FFFF are `other`

}  // namespace sluice
