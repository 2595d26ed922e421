// What of an answer is kept to be looked into, and what it shows by itself.
#include <catch2/catch.hpp>

#include "gateway/learning/kept_answer.h"

namespace sluice {
namespace {

Delta text(std::string words) {
    Delta out;
    out.text = std::move(words);
    return out;
}

Delta call(int index, std::string arguments) {
    Delta out;
    ToolCallDelta part;
    part.index = index;
    part.arguments = std::move(arguments);
    out.tool_calls.push_back(std::move(part));
    return out;
}

ChatRequest wants_json() {
    ChatRequest chat;
    chat.response_format = R"({"type":"json_object"})";
    return chat;
}

}  // namespace

TEST_CASE("an answer of which nothing is looked into is not kept", "[learning]") {
    KeptAnswer kept;
    CHECK_FALSE(kept.answered());
    Delta thought;
    thought.reasoning = "hm";
    kept.add(thought);
    CHECK_FALSE(kept.answered());
    kept.add(text("words"));
    CHECK(kept.answered());
    CHECK(kept.text().empty());
    KeptAnswer calls(false, true);
    calls.add(text("words"));
    CHECK(calls.text().empty());
}

TEST_CASE("the pieces of calls that come between each other are put together", "[learning]") {
    KeptAnswer kept(true, true);
    for (const Delta& piece : {call(0, "{\"a\""), call(1, "[1"), call(0, ":1}"), call(1, "]")})
        kept.add(piece);
    REQUIRE(kept.calls().size() == 2);
    CHECK(kept.calls()[0].arguments == "{\"a\":1}");
    CHECK(shown_by_itself(wants_json(), kept).calls == true);
    CHECK_FALSE(shown_by_itself(wants_json(), kept).schema);
    kept.add(call(1, "]"));
    CHECK(shown_by_itself(wants_json(), kept).calls == false);
}

TEST_CASE("a format is judged only where one was asked for", "[learning]") {
    KeptAnswer kept(true, false);
    kept.add(text("{\"a\":"));
    CHECK(shown_by_itself(wants_json(), kept).schema == false);
    CHECK_FALSE(shown_by_itself({}, kept).schema);
    kept.add(text("1}"));
    CHECK(shown_by_itself(wants_json(), kept).schema == true);
}

TEST_CASE("an answer too long to be looked into shows nothing and is let go", "[learning]") {
    KeptAnswer kept(true, true);
    std::string half(KeptAnswer::bytes_max / 2, ' ');
    half.front() = '{';
    kept.add(text(half));
    half.front() = '}';
    kept.add(text(half));
    CHECK_FALSE(kept.text_too_long());
    CHECK(shown_by_itself(wants_json(), kept).schema == true);
    kept.add(text(" "));
    ShownByItself shown = shown_by_itself(wants_json(), kept);
    CHECK(shown.schema_too_long);
    CHECK_FALSE(shown.schema);
    CHECK(kept.text().capacity() < 100);

    for (const std::string& one : {half, half, std::string("1")}) kept.add(call(0, one));
    shown = shown_by_itself(wants_json(), kept);
    CHECK(shown.calls_too_long);
    CHECK_FALSE(shown.calls);
    CHECK(kept.calls().empty());

    KeptAnswer many(false, true);
    for (int i = 0; i < static_cast<int>(KeptAnswer::calls_max); ++i) many.add(call(i, "{}"));
    CHECK(shown_by_itself({}, many).calls == true);
    many.add(call(-1, "{}"));
    CHECK(shown_by_itself({}, many).calls_too_long);
}

}  // namespace sluice
