#include <catch2/catch.hpp>
#include <string>

#include "engine/log.h"

namespace {

std::string escaped(std::string_view text) {
    std::string out;
    sluice::append_json_escaped(out, text);
    return out;
}

}  // namespace

TEST_CASE("a byte that needs an escape gets it wherever it stands in a run", "[json]") {
    struct Case {
        std::string byte;
        std::string escape;
    };
    const Case cases[] = {{"\"", "\\\""},
                          {"\\", "\\\\"},
                          {"\n", "\\n"},
                          {"\r", "\\r"},
                          {"\t", "\\t"},
                          {std::string(1, '\0'), "\\u0000"},
                          {"\x1f", "\\u001f"},
                          {"\x7f", "\x7f"},
                          {" ", " "},
                          {"\xC3\xA9", "\xC3\xA9"},
                          {"\x80", "\xEF\xBF\xBD"},
                          {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
                          {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}};
    for (const Case& one : cases) {
        for (std::size_t before = 0; before < 20; ++before) {
            for (std::size_t after = 0; after < 20; ++after) {
                std::string head(before, 'a');
                std::string tail(after, '!');
                REQUIRE(escaped(head + one.byte + tail) == head + one.escape + tail);
            }
        }
    }
}

TEST_CASE("the end of a plain run is the first byte that is not plain", "[json]") {
    for (int byte = 0; byte < 256; ++byte) {
        bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
        for (std::size_t at = 0; at < 24; ++at) {
            std::string text(24, '~');
            text[at] = static_cast<char>(byte);
            for (std::size_t from = 0; from <= at; ++from)
                REQUIRE(sluice::json_plain_end(text, from) == (plain ? text.size() : at));
        }
    }
}
