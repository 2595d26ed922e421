// What a byte of a text is, and what it counts as where it is neither letter nor space.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace sluice {

enum class ByteKind : std::uint8_t { letter, digit, space, newline, symbol, wide };

constexpr std::array<ByteKind, 256> make_byte_kinds() {
    std::array<ByteKind, 256> kinds{};
    for (unsigned c = 0; c < 256; ++c) {
        ByteKind kind = ByteKind::symbol;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            kind = ByteKind::letter;
        else if (c >= '0' && c <= '9')
            kind = ByteKind::digit;
        else if (c == '\n')
            kind = ByteKind::newline;
        else if (c <= ' ' || c == 0x7f)
            kind = ByteKind::space;
        else if (c >= 0x80)
            kind = ByteKind::wide;
        kinds[c] = kind;
    }
    return kinds;
}

inline constexpr std::array<ByteKind, 256> byte_kinds = make_byte_kinds();

inline ByteKind kind_of(char c) { return byte_kinds[static_cast<unsigned char>(c)]; }

// What a byte counts as; those up to `underscore` are symbols.
enum class Sign : std::uint8_t {
    plain,
    question,
    stop,
    math,
    percent,
    dollar,
    brace,
    underscore,
    none
};

// What is looked up of a byte that is of no word, no digit and no space: its sign and these. Those
// of the byte behind tell whether the last two come to count; each has room to be added up.
constexpr std::uint32_t sign_bits = 0x0f;
constexpr std::uint32_t line_bit = 0x10;            // a line begins behind it
constexpr std::uint32_t ends_bit = 1U << 8;         // with white space behind it a sentence ends
constexpr std::uint32_t underscore_bit = 1U << 20;  // with another behind it: a blank to fill in
constexpr std::uint32_t ends_added(std::uint32_t sum) { return sum / ends_bit & 0xfff; }

constexpr std::array<std::uint32_t, 256> make_byte_abouts() {
    std::array<std::uint32_t, 256> abouts{};
    for (unsigned c = 0; c < 256; ++c) {
        const ByteKind kind = byte_kinds[c];
        if (kind != ByteKind::symbol) abouts[c] = static_cast<std::uint32_t>(Sign::none);
        if (kind == ByteKind::newline) abouts[c] |= line_bit;
    }
    constexpr std::pair<Sign, std::string_view> listed[] = {
        {Sign::question, "?"},  {Sign::stop, ".!"},  {Sign::math, "=+*/^<>|"},
        {Sign::percent, "%"},   {Sign::dollar, "$"}, {Sign::brace, "{}[];()"},
        {Sign::underscore, "_"}};
    for (auto [sign, symbols] : listed)
        for (char c : symbols)
            abouts[static_cast<unsigned char>(c)] |= static_cast<std::uint32_t>(sign);
    for (char c : std::string_view("?.!")) abouts[static_cast<unsigned char>(c)] |= ends_bit;
    abouts['_'] |= underscore_bit;
    return abouts;
}
inline constexpr std::array<std::uint32_t, 256> byte_abouts = make_byte_abouts();

constexpr std::array<std::uint32_t, 256> make_byte_behinds() {
    std::array<std::uint32_t, 256> behinds{};
    for (unsigned c = 0; c < 256; ++c)
        if (byte_kinds[c] == ByteKind::space || byte_kinds[c] == ByteKind::newline)
            behinds[c] = ends_bit;
    behinds['_'] = underscore_bit;
    return behinds;
}
inline constexpr std::array<std::uint32_t, 256> byte_behinds = make_byte_behinds();

// Symbols that are hashed like words, and a bit for each.
inline constexpr std::string_view telling_symbols = "\\=+*/^<>|$_{}%";

constexpr std::array<std::uint16_t, 256> make_byte_symbols() {
    std::array<std::uint16_t, 256> symbols{};
    for (std::size_t i = 0; i < telling_symbols.size(); ++i)
        symbols[static_cast<unsigned char>(telling_symbols[i])] =
            static_cast<std::uint16_t>(1U << i);
    return symbols;
}
inline constexpr std::array<std::uint16_t, 256> byte_symbols = make_byte_symbols();

// What it is at a line's beginning: an option "B. " has a letter and what closes it, an item "- "
// or "3. " a mark, or a number and what closes that.
constexpr unsigned option_bit = 1, item_bit = 2, number_bit = 4, closes_bit = 8;

constexpr std::array<std::uint8_t, 256> make_byte_openings() {
    std::array<std::uint8_t, 256> openings{};
    for (char c : std::string_view("abcdefghijABCDEFGHIJ"))
        openings[static_cast<unsigned char>(c)] = option_bit;
    for (char c : std::string_view("-*")) openings[static_cast<unsigned char>(c)] = item_bit;
    for (char c : std::string_view("0123456789"))
        openings[static_cast<unsigned char>(c)] = number_bit;
    for (char c : std::string_view(".):")) openings[static_cast<unsigned char>(c)] = closes_bit;
    return openings;
}
inline constexpr std::array<std::uint8_t, 256> byte_openings = make_byte_openings();

}  // namespace sluice
