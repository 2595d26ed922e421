#include <catch2/catch.hpp>

#include "gateway/sessions.h"

namespace sluice {

TEST_CASE("a session is recalled until its cache and then itself are forgotten", "[sessions]") {
    Sessions sessions;
    Caller caller{"acme", "search", "k", ""};
    CHECK(sessions.recall(caller, "s1", 1'000'000).upstream == 0);
    sessions.note(caller, "s1", 1'000'000, {42, 1'234});
    SessionPast past = sessions.recall(caller, "s1", 1'000'060);
    CHECK(past.upstream == 42);
    CHECK(past.prefix_tokens == 1'234);
    past = sessions.recall(caller, "s1", 1'000'000 + 6 * 60);
    CHECK(past.upstream == 42);
    CHECK(past.prefix_tokens == 0);
    CHECK(sessions.recall(caller, "s1", 1'000'000 + 25 * 3'600).upstream == 0);
}

TEST_CASE("a session belongs to its org and team, and no id is no session", "[sessions]") {
    Sessions sessions;
    Caller caller{"acme", "search", "k", ""}, other{"acme", "legal", "k", ""},
        glued{"acmes", "earch", "k", ""};
    sessions.note(caller, "s", 0, {7, 1});
    sessions.note(caller, "", 0, {8, 1});
    CHECK(sessions.recall(caller, "s", 0).upstream == 7);
    CHECK(sessions.recall(other, "s", 0).upstream == 0);
    CHECK(sessions.recall(glued, "s", 0).upstream == 0);
    CHECK(sessions.recall(caller, "", 0).upstream == 0);
}

TEST_CASE("more sessions than places, and longer prompts than fit, do no harm", "[sessions]") {
    Sessions sessions;
    Caller caller;
    for (int i = 0; i < 200'000; ++i)
        sessions.note(caller, std::to_string(i), 0, {static_cast<std::uint32_t>(i + 1), 1LL << 40});
    int kept = 0;
    for (int i = 0; i < 200'000; ++i) {
        SessionPast past = sessions.recall(caller, std::to_string(i), 0);
        if (past.upstream == 0) continue;
        ++kept;
        REQUIRE(past.upstream == static_cast<std::uint32_t>(i + 1));
        REQUIRE(past.prefix_tokens == (1 << 24) - 1);
    }
    CHECK(kept > 30'000);
    CHECK(kept <= 65'536);
}

}  // namespace sluice
