#include "engine/text/unicode.h"

#include <array>
#include <span>

namespace sluice {
namespace {

struct CodeRange {
    char32_t first;
    char32_t last;
};

#include "engine/text/unicode_ranges.inc"

// PropList.txt, property White_Space.
constexpr CodeRange space_ranges[] = {
    {0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
};

constexpr char32_t code_end = 0x110000;

// Two bits a code point: 272 KiB, of which a text touches the pages of its scripts.
class ClassTable {
public:
    ClassTable() {
        mark(letter_ranges, CharClass::letter);
        mark(number_ranges, CharClass::number);
        mark(space_ranges, CharClass::space);
    }
    CharClass at(char32_t code) const {
        return static_cast<CharClass>((bits_[code / 4] >> (code % 4 * 2)) & 3);
    }

private:
    void mark(std::span<const CodeRange> ranges, CharClass kind) {
        for (const CodeRange& range : ranges)
            for (char32_t code = range.first; code <= range.last; ++code)
                bits_[code / 4] |=
                    static_cast<std::uint8_t>(static_cast<unsigned>(kind) << (code % 4 * 2));
    }
    std::array<std::uint8_t, code_end / 4> bits_{};
};

}  // namespace

Utf8Char read_utf8(std::string_view text, std::size_t at) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    unsigned lead = byte(0);
    if (lead < 0x80) return {lead, 1, Utf8Char::Kind::whole};
    if (lead < 0xC2 || lead > 0xF4) return {0, 1, Utf8Char::Kind::broken};
    std::uint8_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // The second byte's range is narrower after some leads: no overlong forms, no surrogates,
    // nothing above U+10FFFF (Unicode 3.9, table 3-7).
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    char32_t code = lead & (0x7Fu >> length);
    for (std::uint8_t i = 1; i < length; ++i) {
        if (at + i >= text.size()) return {0, i, Utf8Char::Kind::unfinished};
        if (byte(i) < low || byte(i) > high) return {0, i, Utf8Char::Kind::broken};
        code = code << 6 | (byte(i) & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    return {code, length, Utf8Char::Kind::whole};
}

CharClass class_of(char32_t code) {
    static const ClassTable table;
    return code < code_end ? table.at(code) : CharClass::other;
}

}  // namespace sluice
