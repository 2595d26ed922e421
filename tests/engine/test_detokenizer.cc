#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/text/detokenizer.h"
#include "engine/text/unicode.h"

using namespace sluice;

namespace {

const std::string fffd = "\xEF\xBF\xBD";

std::string fed(const std::vector<std::string>& pieces) {
    Detokenizer detokenizer;
    std::string out;
    for (const std::string& piece : pieces) {
        std::string characters = detokenizer.push(piece);
        for (std::size_t at = 0; at < characters.size();) {
            Utf8Char next = read_utf8(characters, at);
            REQUIRE(next.kind == Utf8Char::Kind::whole);
            at += next.bytes;
        }
        out += characters;
    }
    return out + detokenizer.finish();
}

// The text with each maximal subpart replaced, the slow way: all at once.
std::string repaired(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        Utf8Char next = read_utf8(text, at);
        out += next.kind == Utf8Char::Kind::whole ? text.substr(at, next.bytes) : fffd;
        at += next.bytes;
    }
    return out;
}

const std::string samples[] = {
    "",
    "plain",
    "\xC3\xA9",
    "a\xE2\x82\xAC z",
    "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9",
    "\xE4\xBD\xA0\xE5\xA5\xBD",
    "\xC3",
    "x\xF0\x9F\x98",
    "\xF0\x9F\x98x",
    "\x80\xBF\xC0\xAF\xFF",
    "\xE0\x80\x80\xED\xA0\x80\xF4\x90\x80\x80",
    "\xE2\xE2\x82\xAC\xE2\x82",
    "\xF0\xF0\x9F\xF0\x9F\x98\xF0\x9F\x98\x80",
};

}  // namespace

TEST_CASE("characters split over tokens come out whole, wherever they are split", "[detokenizer]") {
    for (const std::string& text : samples) {
        std::string expected = repaired(text);
        for (std::size_t i = 0; i <= text.size(); ++i)
            for (std::size_t j = i; j <= text.size(); ++j)
                CHECK(fed({text.substr(0, i), text.substr(i, j - i), text.substr(j)}) == expected);
        std::vector<std::string> bytes;
        for (char c : text) bytes.emplace_back(1, c);
        CHECK(fed(bytes) == expected);
    }
}

TEST_CASE("an unfinished character is held and shown as one U+FFFD at the end", "[detokenizer]") {
    Detokenizer detokenizer;
    CHECK(detokenizer.push("a\xF0\x9F") == "a");
    CHECK(detokenizer.push("\x98") == "");
    CHECK(detokenizer.finish() == fffd);
    CHECK(detokenizer.finish() == "");
    CHECK(detokenizer.push("b") == "b");
}

TEST_CASE("a byte that can never fit comes out as U+FFFD at once", "[detokenizer]") {
    Detokenizer detokenizer;
    CHECK(detokenizer.push("\xFF") == fffd);
    CHECK(detokenizer.push("\xE2") == "");
    CHECK(detokenizer.push("z") == fffd + "z");
    CHECK(detokenizer.push("\xC3") == "");
    CHECK(detokenizer.push("\xA9") == "\xC3\xA9");
    CHECK(detokenizer.finish() == "");
}

TEST_CASE("whatever the bytes, what comes out is whole characters", "[detokenizer]") {
    std::uint64_t state = 1;
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::string> pieces;
        std::string all;
        for (int i = 0; i < 8; ++i) {
            std::string piece;
            for (int n = 0; n < 3; ++n) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                constexpr char bytes[] =
                    "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xED\xFF\xF4\xC0\x8F";
                piece += bytes[(state >> 33) % (sizeof bytes - 1)];
            }
            pieces.push_back(piece);
            all += piece;
        }
        REQUIRE(fed(pieces) == repaired(all));
    }
}
