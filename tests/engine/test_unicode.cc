#include <catch2/catch.hpp>
#include <string>

#include "engine/text/unicode.h"

using namespace sluice;
using Kind = Utf8Char::Kind;

TEST_CASE("well-formed UTF-8 is read a character at a time", "[unicode]") {
    struct Case {
        std::string text;
        char32_t code;
    };
    for (const Case& item :
         {Case{"A", 'A'}, Case{std::string(1, '\0'), 0}, Case{"\x7F", 0x7F}, Case{"\xC2\x80", 0x80},
          Case{"\xDF\xBF", 0x7FF}, Case{"\xE0\xA0\x80", 0x800}, Case{"\xED\x9F\xBF", 0xD7FF},
          Case{"\xEE\x80\x80", 0xE000}, Case{"\xEF\xBF\xBF", 0xFFFF},
          Case{"\xF0\x90\x80\x80", 0x10000}, Case{"\xF4\x8F\xBF\xBF", 0x10FFFF}}) {
        Utf8Char read = read_utf8("x" + item.text + "y", 1);
        CHECK(read.kind == Kind::whole);
        CHECK(read.code == item.code);
        CHECK(read.bytes == item.text.size());
    }
}

TEST_CASE("malformed UTF-8 is broken at its maximal subparts", "[unicode]") {
    struct Case {
        std::string text;
        int bytes;
    };
    for (const Case& item :
         {Case{"\x80", 1}, Case{"\xBF", 1}, Case{"\xC0\xAF", 1}, Case{"\xC1\xBF", 1},
          Case{"\xE0\x80\x80", 1}, Case{"\xE0\x9F\xBF", 1}, Case{"\xED\xA0\x80", 1},
          Case{"\xF0\x8F\xBF\xBF", 1}, Case{"\xF4\x90\x80\x80", 1}, Case{"\xF5\x80", 1},
          Case{"\xFF", 1}, Case{"\xC3z", 1}, Case{"\xE2\x82z", 2}, Case{"\xF0\x9F\x98z", 3},
          Case{"\xE2\xE2\x82\xAC", 1}}) {
        Utf8Char read = read_utf8(item.text, 0);
        CHECK(read.kind == Kind::broken);
        CHECK(read.bytes == item.bytes);
    }
}

TEST_CASE("a text that ends inside a character is unfinished, not broken", "[unicode]") {
    for (std::string text : {"\xC3", "\xE2", "\xE2\x82", "\xF0", "\xF0\x9F", "\xF0\x9F\x98"}) {
        Utf8Char read = read_utf8(text, 0);
        CHECK(read.kind == Kind::unfinished);
        CHECK(read.bytes == text.size());
    }
}

TEST_CASE("letters, numbers and spaces are those of Unicode 15.1", "[unicode]") {
    int letters = 0;
    int numbers = 0;
    int spaces = 0;
    std::uint64_t hash = 14695981039346656037u;  // FNV-1a over the class of every code point
    for (char32_t code = 0; code < 0x110000; ++code) {
        CharClass kind = class_of(code);
        letters += kind == CharClass::letter;
        numbers += kind == CharClass::number;
        spaces += kind == CharClass::space;
        hash = (hash ^ static_cast<std::uint64_t>(kind)) * 1099511628211u;
    }
    // Counted by Python's unicodedata2 15.1.0.
    CHECK(letters == 136726);
    CHECK(numbers == 1831);
    CHECK(spaces == 25);
    CHECK(hash == 0x7a9fdfc65ebdeb9e);
    CHECK(class_of(0x110000) == CharClass::other);
    CHECK(class_of(0xFFFFFFFF) == CharClass::other);
}
