#include <catch2/catch.hpp>

#include "providers/sse.h"

using namespace sluice;

namespace {

std::vector<SseEvent> read_whole(std::string_view bytes) {
    SseReader reader;
    std::vector<SseEvent> events;
    CHECK(reader.feed(bytes, events));
    return events;
}

void check_any_cut(std::string_view bytes, const std::vector<SseEvent>& expected) {
    auto check = [&](const std::vector<SseEvent>& events) {
        REQUIRE(events.size() == expected.size());
        for (std::size_t i = 0; i < events.size(); ++i) {
            CHECK(events[i].event == expected[i].event);
            CHECK(events[i].data == expected[i].data);
        }
    };
    check(read_whole(bytes));
    for (std::size_t step = 1; step < bytes.size(); ++step) {
        SseReader reader;
        std::vector<SseEvent> events;
        for (std::size_t at = 0; at < bytes.size(); at += step)
            REQUIRE(reader.feed(bytes.substr(at, step), events));
        check(events);
    }
}

}  // namespace

TEST_CASE("events come out the same however the bytes are cut", "[sse]") {
    check_any_cut(
        "\xEF\xBB\xBF"
        "data: one\n\nevent: two\rdata:2\rdata\rdata: b\r\r: note\r\n"
        "data: three\r\nid: 7\r\nretry: 5\r\n\r\n\n\nevent: lost\n\ndata:  x\n\n",
        {{"", "one"}, {"two", "2\n\nb"}, {"", "three"}, {"", " x"}});
}

TEST_CASE("an event without data is dropped and one with empty data is not", "[sse]") {
    check_any_cut("event: ping\n\ndata\n\ndata:\n\n", {{"", ""}, {"", ""}});
}

TEST_CASE("bytes of an unfinished event are told apart from a clean end", "[sse]") {
    SseReader reader;
    std::vector<SseEvent> events;
    CHECK(reader.feed("data: a\n\n", events));
    CHECK_FALSE(reader.unfinished());
    CHECK(reader.feed("data: b\n", events));
    CHECK(reader.unfinished());
    CHECK(reader.feed("\nda", events));
    CHECK(reader.unfinished());
    CHECK(events.size() == 2);
}

TEST_CASE("an event over its limit is refused in one piece, in many, and in many lines", "[sse]") {
    for (std::size_t step : {1U, 7U, 4096U}) {
        for (std::string_view line : {"data: 0123456789", "data: 0123456789\n"}) {
            SseReader reader(1000);
            std::string bytes;
            while (bytes.size() < 4096) bytes += line;
            std::vector<SseEvent> events;
            bool refused = false;
            for (std::size_t at = 0; at < bytes.size() && !refused; at += step) {
                auto fed = reader.feed(std::string_view(bytes).substr(at, step), events);
                refused = !fed;
                if (!fed) CHECK(fed.error().code == Errc::upstream_failed);
            }
            CHECK(refused);
        }
    }
}
