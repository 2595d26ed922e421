// A request's dice: not the caller's to throw, and the same for a conversation.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "gateway/draws.h"

namespace sluice {
namespace {

const Caller alice{"acme", "search", "key-a", "", false};
const Caller bob{"acme", "legal", "key-b", "", false};

}  // namespace

TEST_CASE("the keyed hash is SipHash-2-4, by its authors' own example", "[draws]") {
    const Draws::Secret key{0x0706050403020100, 0x0F0E0D0C0B0A0908};
    std::string text;
    for (char c = 0; c < 15; ++c) text += c;
    CHECK(keyed_hash(key, text) == 0xA129CA6149BE45E5);
    CHECK(keyed_hash(key, "") == 0x726FDB47DD0E0E31);
}

TEST_CASE("without a conversation each request is drawn anew, whatever it is called", "[draws]") {
    Draws draws;
    std::set<double> policy, canary, explore, shadow;
    int below = 0;
    for (int i = 0; i < 2'000; ++i) {
        RequestDraws one = draws.of(alice, "");
        policy.insert(one.policy);
        canary.insert(one.canary);
        explore.insert(one.explore);
        shadow.insert(one.shadow);
        below += one.explore < 0.25 ? 1 : 0;
        CHECK((one.canary >= 0 && one.canary < 1));
    }
    for (const auto* seen : {&policy, &canary, &explore, &shadow}) CHECK(seen->size() == 2'000);
    CHECK(below == Approx(500).margin(200));  // ten deviations
}

TEST_CASE("a conversation keeps its sides, another team's of the same name has its own",
          "[draws]") {
    const Draws draws(Draws::Secret{1, 2}), elsewhere(Draws::Secret{1, 3});
    RequestDraws one = draws.of(alice, "chat-1"), again = draws.of(alice, "chat-1");
    CHECK(one.policy == again.policy);
    CHECK(one.canary == again.canary);
    CHECK(one.explore != again.explore);
    CHECK(one.policy != one.canary);
    CHECK(draws.of(bob, "chat-1").canary != one.canary);
    CHECK(draws.of(alice, "chat-2").canary != one.canary);
    CHECK(elsewhere.of(alice, "chat-1").canary != one.canary);  // nobody can work it out
}

TEST_CASE("the secret outlives the process, and only its owner may read it", "[draws]") {
    char pattern[] = "/tmp/sluice-draws-XXXXXX";
    std::string folder = mkdtemp(pattern), path = folder + "/ledger.db.secret";
    CHECK(Draws::path_beside("sqlite:" + folder + "/ledger.db") == path);
    CHECK(Draws::path_beside("").empty());
    CHECK_FALSE(Draws::read(path));
    double before = Draws::kept(path).of(alice, "chat").canary;
    CHECK(Draws::kept(path).of(alice, "chat").canary == before);
    CHECK(Draws::read(path)->of(alice, "chat").canary == before);
    using std::filesystem::perms;
    CHECK((std::filesystem::status(path).permissions() & (perms::group_all | perms::others_all)) ==
          perms::none);
    std::ofstream(path) << "not one";
    CHECK(Draws::kept(path).of(alice, "chat").canary != before);  // told in the log
    std::filesystem::remove_all(folder);
}

}  // namespace sluice
