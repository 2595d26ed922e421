#include <catch2/catch.hpp>

#include "gateway/keys.h"
#include "policies/sha256.h"

using namespace sluice;

namespace {

VirtualKey key(const std::string& id, const std::string& secret) {
    VirtualKey made;
    made.id = id;
    made.sha256 = sha256_hex(secret);
    made.caller.key_id = id;
    made.caller.team = "team-" + id;
    return made;
}

KeyRing ring() {
    std::vector<VirtualKey> keys;
    for (int i = 0; i < 50; ++i) keys.push_back(key(std::to_string(i), "sk-" + std::to_string(i)));
    keys.push_back(key("old", "sk-old"));
    keys.back().expires = "2020-01-01";
    keys.push_back(key("later", "sk-later"));
    keys.back().expires = "2999-01-01";
    keys.push_back(key("demo", "sk-demo"));
    keys.back().loopback_only = true;
    return KeyRing(std::move(keys));
}

}  // namespace

TEST_CASE("every key of a ring proves its own caller", "[keys]") {
    KeyRing keys = ring();
    for (int i = 0; i < 50; ++i) {
        auto caller = keys.authenticate("Bearer sk-" + std::to_string(i), false);
        REQUIRE(caller);
        CHECK(caller->key_id == std::to_string(i));
        CHECK(caller->team == "team-" + std::to_string(i));
    }
}

TEST_CASE("the word Bearer is read in any case and may be absent", "[keys]") {
    KeyRing keys = ring();
    for (const char* text : {"Bearer sk-7", "bearer sk-7", "BEARER   sk-7 ", "sk-7", " sk-7"}) {
        INFO(text);
        CHECK(keys.authenticate(text, false));
    }
}

TEST_CASE("an absent key is told apart from an unknown one", "[keys]") {
    KeyRing keys = ring();
    for (const char* text : {"", "Bearer", "Bearer ", "  "}) {
        auto caller = keys.authenticate(text, true);
        REQUIRE_FALSE(caller);
        CHECK(caller.error().code == Errc::unauthorized);
        CHECK(caller.error().message.starts_with("No API key was given"));
    }
    for (const char* text : {"Bearer sk-77", "Basic sk-7", "Bearersk-7", "Bearer sk-7x"}) {
        auto caller = keys.authenticate(text, true);
        REQUIRE_FALSE(caller);
        CHECK(caller.error().code == Errc::unauthorized);
        CHECK(caller.error().message.starts_with("The API key is not known here"));
        CHECK(caller.error().message.find("sk-7") == std::string::npos);
    }
    CHECK_FALSE(KeyRing().authenticate("Bearer sk-1", true));
}

TEST_CASE("an expired key is refused with its date and a later one served", "[keys]") {
    KeyRing keys = ring();
    auto old = keys.authenticate("Bearer sk-old", true);
    REQUIRE_FALSE(old);
    CHECK(old.error().code == Errc::unauthorized);
    CHECK(old.error().message.find("2020-01-01") != std::string::npos);
    CHECK(keys.authenticate("Bearer sk-later", true));
}

TEST_CASE("a loopback-only key is forbidden from elsewhere", "[keys]") {
    KeyRing keys = ring();
    CHECK(keys.authenticate("Bearer sk-demo", true));
    auto far = keys.authenticate("Bearer sk-demo", false);
    REQUIRE_FALSE(far);
    CHECK(far.error().code == Errc::forbidden);
}

TEST_CASE("only keys with admin: true are administrators'", "[keys]") {
    VirtualKey root = key("root", "sk-root");
    root.caller.admin = true;
    root.loopback_only = true;
    KeyRing keys({root, key("other", "sk-other")});
    CHECK(keys.authenticate_administrator("Bearer sk-root", true));
    auto other = keys.authenticate_administrator("Bearer sk-other", true);
    REQUIRE_FALSE(other);
    CHECK(other.error().code == Errc::forbidden);
    CHECK(other.error().message.find("admin: true") != std::string::npos);
    for (const char* none : {"", "sk-unknown"})
        CHECK(keys.authenticate_administrator(none, true).error().code == Errc::unauthorized);
    CHECK(keys.authenticate_administrator("sk-root", false).error().code == Errc::forbidden);
}

TEST_CASE("a digest of the wrong length in the config proves nobody", "[keys]") {
    std::vector<VirtualKey> keys(1);
    keys[0].id = "short";
    KeyRing ring_of_short(std::move(keys));
    CHECK_FALSE(ring_of_short.authenticate("Bearer x", true));
}
