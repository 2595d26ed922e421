#include <catch2/catch.hpp>

#include "providers/local/reasoning.h"

using namespace sluice;
using Start = ReasoningSplitter::Start;

namespace {

ReasoningSplitter::Split split(Start start, std::string_view text, std::size_t step) {
    ReasoningSplitter splitter(start);
    ReasoningSplitter::Split out;
    for (std::size_t at = 0; at < text.size(); at += step)
        splitter.push(text.substr(at, step), out);
    splitter.finish(out);
    return out;
}

}  // namespace

TEST_CASE("a thought is split from the answer wherever the stream is cut", "[reasoning]") {
    struct Case {
        Start start;
        std::string_view text, reasoning, answer;
    };
    const Case cases[] = {
        {Start::inside, "\nI think.\n</think>\n\nFour.", "I think.\n", "Four."},
        {Start::inside, "</think>\n\nFour.", "", "Four."},
        {Start::inside, "\n\n</think>\n\nFour.", "", "Four."},
        {Start::inside, "never closed </thin", "never closed </thin", ""},
        {Start::inside, "a < b </thinker> </think>x", "a < b </thinker> ", "x"},
        {Start::inside, "a</</think>b", "a</", "b"},
        {Start::inside, "a</think>b</think>c", "a", "b</think>c"},
        {Start::inside, "a</think>\n\n\nb\n\nc\n", "a", "b\n\nc\n"},
        {Start::inside, "", "", ""},
        {Start::detect, "<think>\nhm\n</think>\n\nFour.", "hm\n", "Four."},
        {Start::detect, "\n <think>hm</think>x", "hm", "x"},
        {Start::detect, "Four.", "", "Four."},
        {Start::detect, "  <thin is not a tag", "", "  <thin is not a tag"},
        {Start::detect, "  <thi", "", "  <thi"},
        {Start::detect, "Use <think> and </think> tags", "", "Use <think> and </think> tags"},
        {Start::detect, "</think>Four.", "", "</think>Four."},
        {Start::detect, "<think></think>", "", ""},
        {Start::detect, "\n\n", "", "\n\n"},
        {Start::off, "<think>a</think>b", "", "<think>a</think>b"},
        {Start::off, "\n\nb", "", "\n\nb"},
    };
    for (const Case& one : cases) {
        for (const std::size_t step : {1U, 2U, 3U, 5U, 7U, 1000U}) {
            INFO(one.text << " by " << step);
            const auto out = split(one.start, one.text, step);
            CHECK(out.reasoning == one.reasoning);
            CHECK(out.text == one.answer);
        }
    }
}

TEST_CASE("nothing is held back longer than it may be a tag", "[reasoning]") {
    ReasoningSplitter splitter(Start::inside);
    ReasoningSplitter::Split out;
    splitter.push("one </", out);
    CHECK(out.reasoning == "one ");
    splitter.push("b", out);
    CHECK(out.reasoning == "one </b");
    CHECK(splitter.thinking());
    splitter.push("</think>", out);
    CHECK_FALSE(splitter.thinking());
    splitter.push("x", out);
    CHECK(out.text == "x");
}

TEST_CASE("the bytes of a thought are counted with its tags", "[reasoning]") {
    ReasoningSplitter splitter(Start::detect);
    ReasoningSplitter::Split out;
    CHECK(splitter.push("<thi", out) == 0);
    CHECK(splitter.undecided());
    CHECK(splitter.push("nk>ab", out) == 5);
    CHECK(splitter.push("c</th", out) == 5);
    CHECK(splitter.push("ink>\nrest", out) == 4);
    CHECK(splitter.push("more", out) == 0);
}

TEST_CASE("only an open tag at the end of the prompt starts inside a thought", "[reasoning]") {
    CHECK(opens_thought("<Assistant><think>\n"));
    CHECK(opens_thought("</think><Assistant><think>"));
    CHECK_FALSE(opens_thought("<Assistant>"));
    CHECK_FALSE(opens_thought("<Assistant><think>\n\n</think>\n\n"));
}
