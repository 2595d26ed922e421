// Texts as who reads them sees them.
#include "policies/pii_escapes.h"

#include <catch2/catch.hpp>
#include <random>

#include "policies/pii.h"

namespace sluice {
namespace {

std::string plain(const std::string& text) {
    std::string out = "left from before";
    bool changed = without_escapes(text, out);
    CHECK((changed || out.empty()));
    return changed ? out : text;
}

}  // namespace

TEST_CASE("escapes of JSON, addresses and HTML are taken off", "[pii]") {
    CHECK(plain(R"(a\u0040b \x40 \/ \" \\ \n1)") == "a@b @ / \" \\ \n1");
    CHECK(plain("%40 100% of %zz %2") == "@ 100% of %zz %2");
    CHECK(plain("&#64; &#x40; &#0064; &commat; &amp; &nbsp;| & &#; &#9999999; &#x;") ==
          "@ @ @ @ &  | & &#; &#9999999; &#x;");
    CHECK(plain(R"(\u00e4 \u20ac)") == "\xC3\xA4 \xE2\x82\xAC");
    CHECK(plain("&#128512;") == "\xF0\x9F\x98\x80");
    for (const char* cut : {"\\", "a\\", "%", "%4", "&", "&#", "&#1", "\xC2", "\xE2\x80", "\xEF"})
        CHECK(plain(cut) == cut);
    CHECK(plain(R"(\u004)") == "u004");
    CHECK(plain(R"(\uZZZZ)") == "uZZZZ");
}

TEST_CASE("signs that look like those of ASCII are those, unseen ones are left out", "[pii]") {
    CHECK(plain("\xEF\xBC\x94\xEF\xBC\x91 a\xEF\xBC\xA0\xEF\xBD\x82") == "41 a@b");
    CHECK(plain("\xD9\xA4\xDB\xB1\xE0\xA5\xA9") == "413");
    CHECK(plain("1\xC2\xA0"
                "2\xE2\x80\xAF"
                "3\xE2\x80\x91"
                "4\xE2\x88\x92"
                "5") == "1 2 3-4-5");
    CHECK(plain("1\xE2\x80\x8B\xC2\xAD\xEF\xBB\xBF"
                "2") == "12");
    for (const char* kept : {"\xE2\x80\x9Equoted\xE2\x80\x9C", "\xE4\xBB\x8A\xEF\xBC\x8C",
                             "\xC3\xBC\xD9\x84", "plain"}) {
        std::string out;
        CHECK_FALSE(without_escapes(kept, out));
    }
}

TEST_CASE("escapes are found wherever they stand", "[pii]") {
    for (std::size_t before = 0; before < 70; ++before) {
        std::string text(before, 'x');
        CHECK(plain(text + "%40" + text) == text + "@" + text);
        CHECK(plain(text + R"(\u0040)") == text + "@");
    }
}

TEST_CASE("base64 is told by its letters", "[pii]") {
    CHECK(is_base64("AZaz09+/-_==\\/\\n"));
    CHECK(is_base64(""));
    for (std::size_t at = 0; at < 40; ++at) {
        std::string text(40, 'A');
        for (char sign : std::string("@ .:,\0{\x80", 8)) {
            text[at] = sign;
            INFO(at << " " << int(sign));
            CHECK_FALSE(is_base64(text));
        }
    }
}

TEST_CASE("any bytes lose their escapes without harm, and no text grows", "[pii]") {
    std::mt19937 random(2);
    const std::string alphabet("\\%&#;ux04@\xC2\xA0\xE2\x80\x8B\xEF\xBC\xF0\0n", 21);
    std::string out;
    for (int i = 0; i < 20'000; ++i) {
        std::string text;
        for (auto n = random() % 60; n > 0; --n) text += alphabet[random() % alphabet.size()];
        if (without_escapes(text, out)) REQUIRE(out.size() <= text.size());
        read_base64_text(text, out);
        REQUIRE(out.size() <= text.size());
    }
}

}  // namespace sluice
