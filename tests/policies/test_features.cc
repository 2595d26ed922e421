// Text to counts and hashed words: what changes them and what must not.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "policies/features.h"
#include "policies/word_groups.h"

namespace sluice {
namespace {

struct Read {
    TextFeatures features;
    explicit Read(std::initializer_list<std::string_view> pieces) {
        FeatureReader reader(features);
        for (std::string_view piece : pieces)
            for (std::size_t from = 0, to = 0; from < piece.size(); from = to) {
                to = std::min(from + FeatureReader::part_max, piece.size());
                const std::size_t space = piece.substr(0, to).rfind(' ');  // cuts no word
                if (to != piece.size() && space != piece.npos && space >= from) to = space + 1;
                reader.read(piece, from, to);
            }
        reader.finish();
    }
    explicit Read(std::string_view text) : Read({text}) {}

    std::set<std::uint16_t> buckets() const {
        auto hashed = features.hashed();
        return {hashed.begin(), hashed.end()};
    }
    float operator[](std::string_view name) const {
        auto names = structural_names();
        for (std::size_t i = 0; i < names.size(); ++i)
            if (names[i] == name) return features.structural[i];
        throw std::logic_error("no such feature in the test");
    }
};

}  // namespace

TEST_CASE("case, spaces and greetings change no hashed word", "[features]") {
    auto plain = Read("translate this sentence").buckets();
    CHECK(plain.size() == 3);
    CHECK(Read("TRANSLATE  this\n\tSentence").buckets() == plain);
    CHECK(Read("Hi, translate this sentence please, thanks!").buckets() == plain);
    CHECK(Read("translate that sentence").buckets() != plain);
}

TEST_CASE("spaces that do not break are spaces", "[features]") {
    const Read plain("Prove that x > 3, please."),
        unbroken("Prove\u00a0that x\u00a0>\u00a03, please.");
    CHECK(unbroken.features.structural == plain.features.structural);
    CHECK(unbroken.buckets() == plain.buckets());
    CHECK(unbroken.features.words == 4);
    CHECK(Read("a\xc2").features.words == 1);
    CHECK(Read("\u00a0\u00a0b\u00e9").features.words == 1);
}

TEST_CASE("numbers count by their length only", "[features]") {
    CHECK(Read("add 12 and 34").buckets() == Read("add 56 and 78").buckets());
    CHECK(Read("add 12").buckets() != Read("add 123").buckets());
    CHECK(Read("add 12345").buckets() == Read("add 1234567").buckets());
    CHECK(Read("a 12345678901234567890")["longest_number"] == 12.0F);
    CHECK(Read("1 22 333")["log_numbers"] == std::log1p(3.0F));
}

TEST_CASE("case says nothing, and spaces nothing by their number", "[features]") {
    Read small("what is the capital of peru"), large("WHAT IS THE CAPITAL OF PERU");
    CHECK(small.features.structural == large.features.structural);
    CHECK(Read("what  is\tthe capital of   peru ").features.structural ==
          small.features.structural);
}

TEST_CASE("the first words are kept, numbers and symbols left out", "[features]") {
    Read one("3 + none");
    CHECK(one.features.sampled == 1);
    CHECK(one.features.sample[0] == word_hash("none"));
    std::string many;
    for (int i = 0; i < 500; ++i) many += i % 2 == 0 ? "even " : "odd ";
    Read long_text(many);
    CHECK(long_text.features.sampled == sample_max);
    CHECK(long_text.features.sample[1] == word_hash("odd"));
    CHECK(long_text.features.words == 500);
}

TEST_CASE("a repeated word is one bucket", "[features]") {
    Read one("go go go go");
    CHECK(one.features.buckets_used == 1);
    CHECK(one.features.words == 4);
    CHECK(one["unique_share"] == 0.25F);
}

TEST_CASE("words of every length hash alike wherever they stand", "[features]") {
    std::string word;
    for (int length = 1; length <= 40; ++length) {
        word += static_cast<char>('a' + length % 26);
        Read alone(word), first(word + " x"), padded("x " + word + "               ");
        CHECK(alone.buckets().count(static_cast<std::uint16_t>(bucket_of(word_hash(word)))));
        for (std::uint16_t bucket : alone.buckets()) {
            CHECK(first.buckets().count(bucket));
            CHECK(padded.buckets().count(bucket));
        }
    }
}

TEST_CASE("words and symbols are those that a plain loop finds, to the last byte", "[features]") {
    std::minstd_rand chance(1);
    constexpr std::string_view drawn = "abcdefgxzABZ      ,.=+(-'?$";
    for (int round = 0; round < 2'000; ++round) {
        std::string text;
        for (std::size_t size = chance() % 120; text.size() < size;) {
            const bool longer = chance() % 16 == 0;  // than is read at once
            text.append(longer ? chance() % 40 : 1, drawn[chance() % drawn.size()]);
        }
        std::set<std::uint16_t> expected;
        std::uint32_t words = 0;
        for (std::size_t at = 0; at < text.size();) {
            auto letter = [&](std::size_t i) {
                return i < text.size() && (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
            };
            std::string token;
            while (letter(at)) token += static_cast<char>(text[at++] | 0x20);
            words += token.empty() ? 0 : 1;
            const char symbol = token.empty() ? text[at++] : ' ';
            if (symbol == '=' || symbol == '+' || symbol == '$') token = symbol;
            if (!token.empty())
                expected.insert(static_cast<std::uint16_t>(bucket_of(word_hash(token))));
        }
        Read read(text);
        INFO(text);
        CHECK(read.buckets() == expected);
        CHECK(read.features.words == words);
    }
}

TEST_CASE("what is counted does not depend on where in a text it stands", "[features]") {
    const std::string tricky =
        "Hi, x = = y ==z __ 3.14 of 1/2? Thanks!! \\frac{a}{b} caf\xc3\xa9s "
        "\xe4\xbd\xa0\xe5\xa5\xbd 50% ";
    for (const std::string& ends : {std::string("end."), std::string("hello , . !"),
                                    std::string(70, 'q'), std::string("\\beta")}) {
        const Read first(tricky + ends);
        for (std::size_t lines = 1; lines < 70; ++lines) {
            const Read moved(std::string(lines, '\n') + tricky + ends);
            INFO(lines << ends);
            CHECK(moved.features.structural == first.features.structural);
            CHECK(moved.buckets() == first.buckets());
            CHECK(moved.features.words == first.features.words);
        }
    }
    CHECK(Read("Hi, thanks!")["log_bytes"] == 0.0F);
    CHECK(Read("\\frac")["symbol_share"] == 0.0F);
}

TEST_CASE("nothing is left of texts whose numbers come round again", "[features]") {
    auto first = Read("translate this sentence").buckets();
    for (int text = 0; text < 254; ++text) Read("another");
    for (int text = 0; text < 600; ++text)
        REQUIRE(Read("translate this sentence").buckets() == first);
}

TEST_CASE("of a text that was read nothing is left for the next", "[features]") {
    const Read first("go on with this"), other("prove that x > 3"), again("go on with this");
    CHECK(again.buckets() == first.buckets());
    CHECK(again.features.structural == first.features.structural);
}

TEST_CASE("every word of every group is found in its group or an earlier one", "[features]") {
    std::size_t words = 0;
    for (std::size_t group = 0; group < word_group_count; ++group) {
        std::string_view rest = word_groups[group].words;
        while (!rest.empty()) {
            std::string_view word = rest.substr(0, rest.find(' '));
            std::uint32_t found = word_group_table.find(word_hash(word));
            INFO(word);
            CHECK(found <= group);
            rest.remove_prefix(std::min(rest.size(), word.size() + 1));
            ++words;
        }
    }
    CHECK(words > 200);
    CHECK(word_group_table.find(word_hash("sluice")) == WordGroupTable::none);
}

TEST_CASE("structure is counted", "[features]") {
    Read choice("Which is a fruit?\nA. stone\nB) apple\n(C) rain\nD: road");
    CHECK(choice.features.options == 4);
    CHECK(choice["log_questions"] == std::log1p(1.0F));
    CHECK(choice["ends_asking"] == 0.0F);
    CHECK(Read("Which is a fruit?")["ends_asking"] == 1.0F);
    CHECK(Read("- one\n* two\n3. three")["log_items"] == std::log1p(3.0F));
    CHECK(Read("look:\n```\nx = {1};\n```")["log_fences"] == std::log1p(2.0F));
    CHECK(Read("Let $x = \\frac{1}{2}$ and $\\alpha > 0$")["log_latex"] == std::log1p(2.0F));
    CHECK(Read("Let $x$")["log_dollars"] == std::log1p(2.0F));
    CHECK(Read("a ___ b")["blanks"] == 1.0F);
    CHECK(Read("a. stone\nb) apple").features.options == 2);
    CHECK(Read("x\n\n  \ny\n")["log_lines"] == std::log1p(2.0F));
    CHECK(Read("3.5 of 12, 12 or 1/2 is 40%")["log_decimals"] == std::log1p(1.0F));
    CHECK(Read("3.5 of 12, 12 or 1/2 is 40%")["log_fractions"] == std::log1p(1.0F));
    CHECK(Read("3.5 of 12, 12 or 1/2 is 40%")["log_percents"] == std::log1p(1.0F));
    CHECK(Read("7 and 12 and 12")["distinct_numbers"] == std::log1p(2.0F));
    CHECK(Read("Prove the theorem")["prove"] == std::log1p(2.0F));
    CHECK(Read("x\n    y\n    z")["indent_share"] == Approx(2.0 / 3));
}

TEST_CASE("characters of scripts without spaces are words", "[features]") {
    Read chinese("你好吗");
    CHECK(chinese.features.words == 3);
    CHECK(chinese.features.buckets_used == 3);
    CHECK(chinese["wide_share"] == 1.0F);
    CHECK(chinese.features.sampled == 3);
}

TEST_CASE("letters with marks are letters, typographic marks are none", "[features]") {
    CHECK(Read("Übergrößenträger").features.words == 1);
    CHECK(Read("GRÖSSE").buckets() == Read("grösse").buckets());
    CHECK(Read("“café”").buckets() == Read("café").buckets());
    CHECK(Read("don’t — stop…").features.words == 3);
    CHECK(Read("“hello”, explain").features.words == 1);  // a greeting still
    CHECK(Read("我用python写code").features.words == 5);
    CHECK(Read("我用python写code")
              .buckets()
              .count(static_cast<std::uint16_t>(bucket_of(word_hash("python")))));
    std::string cut_short;  // more words than bytes of white space
    for (int i = 0; i < 2'000; ++i) cut_short += "a\xe3 ";
    CHECK(Read(cut_short).features.words == 4'000);
    std::string unspaced = "a.";
    for (int i = 0; i < 600; ++i) unspaced += "a你";
    CHECK(Read(unspaced + " tail").features.words >= 1'200);
    // Cut in the middle of a character.
    for (std::size_t cut = 1; cut < 9; ++cut)
        CHECK(Read(std::string("你好吗").substr(0, cut)).features.words == (cut + 2) / 3);
}

TEST_CASE("a text reads the same whole and in parts that end behind white space", "[features]") {
    std::minstd_rand chance(3);
    const std::string_view drawn[] = {"word ",  "12 ",   "thanks, ", "\\frac{1}{2} ",
                                      "größe ", "x=3; ", "a.\n- ",   "incomprehensibilities ",
                                      "3.5% ",  "b) ",   "\nC. ",    "\n    "};
    for (int round = 0; round < 200; ++round) {
        std::string text;
        TextFeatures parted;
        FeatureReader reader(parted);
        std::vector<std::size_t> places = {0};
        while (text.size() < FeatureReader::part_max - 30) {
            text += drawn[chance() % std::size(drawn)];
            if (chance() % 8 == 0) places.push_back(text.size());
        }
        places.push_back(text.size());
        for (std::size_t i = 1; i < places.size(); ++i) reader.read(text, places[i - 1], places[i]);
        reader.finish();
        Read whole(text);
        // Told by the first words, which numbers follow part by part.
        const auto unique =
            std::find(structural_names().begin(), structural_names().end(), "unique_share") -
            structural_names().begin();
        whole.features.structural[static_cast<std::size_t>(unique)] =
            parted.structural[static_cast<std::size_t>(unique)];
        INFO(text);
        CHECK(parted.structural == whole.features.structural);
        CHECK(parted.words == whole.features.words);
        CHECK(parted.options == whole.features.options);
        auto hashed = parted.hashed();
        CHECK(std::set<std::uint16_t>(hashed.begin(), hashed.end()) == whole.buckets());
    }
}

TEST_CASE("no more of a part is looked at than there is room for", "[features]") {
    TextFeatures features;
    FeatureReader reader(features);
    const std::string text = std::string(FeatureReader::part_max, ' ') + "behind";
    reader.read(text, 0, text.size());
    reader.finish();
    CHECK(features.words == 0);
}

TEST_CASE("other scripts are seen behind what is long or of LaTeX", "[features]") {
    const std::string longest(40, 'q');
    CHECK(Read(longest + "你好").features.words == 3);
    CHECK(Read(longest + "你好")["wide_share"] == 6.0F / 46);
    CHECK(Read(longest + "你好").buckets() == Read(longest + " 你好").buckets());
    CHECK(Read("\\frac你好").features.words == 3);
    CHECK(Read("\\frac你好").buckets() == Read("\\frac 你好").buckets());
    CHECK(Read("\\frac你好")["log_latex"] == std::log1p(1.0F));
    const std::string command = "\\" + longest;
    CHECK(Read(command + "你").buckets() == Read(command + " 你").buckets());
}

TEST_CASE("any bytes and any length are read without fault", "[features]") {
    std::string every;
    for (int round = 0; round < 300; ++round)
        for (int c = 0; c < 256; ++c) every += static_cast<char>((c * 7 + round * 13) % 256);
    for (std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{7}, every.size()}) {
        Read read(std::string_view(every).substr(0, cut));
        for (float value : read.features.structural) CHECK(std::isfinite(value));
        CHECK(read.features.buckets_used <= bucket_count);
    }
    std::string many;
    for (int i = 0; i < 300'000; ++i) {
        many += "w";
        for (int n = i; n > 0; n /= 26) many += static_cast<char>('a' + n % 26);
        many += ' ';
    }
    CHECK(Read(many).features.buckets_used == bucket_count);  // full, and not beyond
}

TEST_CASE("pieces that end between words read like the whole", "[features]") {
    Read whole("Explain the plan. Then write it down."),
        pieces({"Explain the plan. ", "", "Then write it down."});
    CHECK(whole.buckets() == pieces.buckets());
    CHECK(whole["log_words"] == pieces["log_words"]);
}

}  // namespace sluice
