#include <catch2/catch.hpp>
#include <random>

#include "engine/text/stop_matcher.h"

using sluice::StopMatcher;

namespace {

struct Outcome {
    std::string text;
    std::string found;
    bool operator==(const Outcome& other) const = default;
};

Outcome feed(const std::vector<std::string>& stops, const std::vector<std::string>& pushes) {
    StopMatcher matcher(stops);
    Outcome out;
    for (const std::string& push : pushes) out.text += matcher.push(push);
    out.text += matcher.finish();
    out.found = matcher.found();
    return out;
}

// The same rule by brute force: the first end, then the first start.
Outcome expected(const std::vector<std::string>& stops, const std::string& text) {
    for (std::size_t end = 1; end <= text.size(); ++end) {
        std::string_view so_far = std::string_view(text).substr(0, end);
        std::string longest;
        for (const std::string& stop : stops)
            if (so_far.ends_with(stop) && stop.size() > longest.size()) longest = stop;
        if (!longest.empty()) return {text.substr(0, end - longest.size()), longest};
    }
    return {text, ""};
}

}  // namespace

TEST_CASE("a stop string is cut out with all that follows", "[stop-string]") {
    CHECK(feed({"END"}, {"one END two"}) == Outcome{"one ", "END"});
    CHECK(feed({"END"}, {"one E", "N", "D two"}) == Outcome{"one ", "END"});
    CHECK(feed({"END"}, {"END"}) == Outcome{"", "END"});
}

TEST_CASE("text that only began like a stop string goes out in the end", "[stop-string]") {
    CHECK(feed({"END"}, {"one E", "N", "ough"}) == Outcome{"one ENough", ""});
    CHECK(feed({"END"}, {"one EN"}) == Outcome{"one EN", ""});
}

TEST_CASE("no part of a stop string goes out before its end is known", "[stop-string]") {
    StopMatcher matcher({"\n\nHuman:"});
    CHECK(matcher.push("Hi.\n") == "Hi.");
    CHECK(matcher.push("\n") == "");
    CHECK(matcher.push("\nHu") == "\n");
    CHECK(matcher.push("m") == "");
    CHECK(matcher.push("s") == "\n\nHums");
    CHECK_FALSE(matcher.stopped());
}

TEST_CASE("an overlapping start is not lost", "[stop-string]") {
    CHECK(feed({"aab"}, {"a", "a", "a", "b", "c"}) == Outcome{"a", "aab"});
    CHECK(feed({"abab"}, {"abaabab"}) == Outcome{"aba", "abab"});
}

TEST_CASE("of two stop strings the first to end wins, then the longer", "[stop-string]") {
    CHECK(feed({"abcd", "bc"}, {"abcd"}) == Outcome{"a", "bc"});
    CHECK(feed({"c", "abc"}, {"xabc"}) == Outcome{"x", "abc"});
    CHECK(feed({"abc", "c"}, {"xabc"}) == Outcome{"x", "abc"});
}

TEST_CASE("stop strings of several bytes a character keep characters whole", "[stop-string]") {
    StopMatcher matcher({"é!"});  // è shares the first byte of é
    CHECK(matcher.push("è") == "è");
    CHECK(matcher.push("é") == "");
    CHECK(matcher.push("é") == "é");
    CHECK(matcher.push("!") == "");
    CHECK(matcher.stopped());
    CHECK(feed({"。"}, {"你好", "。", "再见"}) == Outcome{"你好", "。"});
    CHECK(feed({"👍🏽"}, {"👍", "🏽 ok"}) == Outcome{"", "👍🏽"});
}

TEST_CASE("after a stop string nothing goes out any more", "[stop-string]") {
    StopMatcher matcher({"x"});
    CHECK(matcher.push("axb") == "a");
    CHECK(matcher.push("more") == "");
    CHECK(matcher.finish() == "");
}

TEST_CASE("the cut of the pushes does not change the outcome", "[stop-string]") {
    std::mt19937 random(1);
    for (int round = 0; round < 3000; ++round) {
        auto word = [&](std::size_t least, std::size_t most) {
            std::string out;
            std::size_t length = least + random() % (most - least + 1);
            while (out.size() < length) out += static_cast<char>('a' + random() % 2);
            return out;
        };
        std::vector<std::string> stops;
        for (std::size_t n = random() % 4; n > 0; --n) stops.push_back(word(1, 8));
        std::string text = word(0, 24);
        std::vector<std::string> pushes;
        for (std::size_t at = 0; at < text.size();) {
            std::size_t length = random() % 4;
            pushes.push_back(text.substr(at, length));
            at += length;
        }
        INFO(text);
        REQUIRE(feed(stops, pushes) == expected(stops, text));
    }
}
