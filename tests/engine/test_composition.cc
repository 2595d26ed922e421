// Unicode's form C on strings whose forms Python's unicodedata gave, and on what no table holds.
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "engine/text/composition.h"

using namespace sluice;

namespace {

std::string from_hex(const std::string& hex) {
    std::string out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return out;
}

}  // namespace

TEST_CASE("text comes into form C as Unicode says", "[composition]") {
    std::ifstream in(std::string(SLUICE_SOURCE_DIR) + "/tests/engine/golden/composition.txt");
    int seen = 0;
    for (std::string line; std::getline(in, line); ++seen) {
        std::istringstream fields(line);
        std::string text, expected;
        fields >> text >> expected;
        CAPTURE(line);
        CHECK(composed(from_hex(text)) == from_hex(expected));
        CHECK(composed(from_hex(expected)) == from_hex(expected));
        if (is_surely_composed(from_hex(text))) CHECK(text == expected);
    }
    CHECK(seen > 500);
}

TEST_CASE("form C is told at once for most text, and leaves broken bytes alone", "[composition]") {
    for (const char* text : {"", "plain", "caf\xC3\xA9", "你好世界", "Привет", "한국어", "😀"}) {
        CHECK(is_surely_composed(text));
        CHECK(composed(text) == text);
    }
    CHECK_FALSE(is_surely_composed("cafe\xCC\x81"));
    CHECK(composed("cafe\xCC\x81!") == "caf\xC3\xA9!");
    CHECK(composed("\xFF"
                   "e\xCC\x81\x80\xE4\xBD") == "\xFF\xC3\xA9\x80\xE4\xBD");
    CHECK(composed("e\xFF\xCC\x81") == "e\xFF\xCC\x81");
}
