// Keys that are made by command: beside those of the configuration, with budgets of their own.
#include "gateway/key_file.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "policies/sha256.h"

using namespace sluice;

namespace {

class Folder {
public:
    Folder() {
        char pattern[] = "/tmp/sluice-keys-XXXXXX";
        path_ = mkdtemp(pattern);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
    }
    std::string config() const { return path_ + "/config.yaml"; }
    KeyFile file() const { return KeyFile(path_ + "/l.db.keys"); }
    Result<ConfigPtr> load(const std::string& keys, const std::string& more = "") const {
        write("policy.yaml",
              "version: 1\ntiers: {open: [one]}\ndefault: {bands: [{tier: open}]}\n");
        write("config.yaml",
              "version: 1\nledger: {url: 'sqlite:l.db'}\nkeys: " + keys +
                  "\nupstreams:\n  - {name: one, vendor: simulated-openai, model: sim-reasoner, "
                  "base_url: 'http://127.0.0.1:9/v1'}\npolicy: policy.yaml\n" +
                  more);
        return load_config(path_ + "/config.yaml", "2026-11-22");
    }

private:
    std::string path_;
};

IssuedKey issued(const std::string& id, const std::string& secret) {
    return {id, "search", "ann", sha256_hex(secret), "2026-11-22T10:00:00Z", "", "", ""};
}

std::string written(const std::string& id, const std::string& secret) {
    return "[{id: " + id + ", team: t, sha256: \"" + sha256_hex(secret) + "\"}]";
}

}  // namespace

TEST_CASE("keys made by command stand beside those of the configuration", "[keys]") {
    Folder folder;
    REQUIRE(folder.file().write({issued("key_a", "sk-a"), issued("key_b", "sk-b")}));
    auto config = folder.load(written("own", "sk-own"));
    REQUIRE(config);
    auto caller = (*config)->keys.authenticate("Bearer sk-a", false);
    REQUIRE(caller);
    CHECK(caller->key_id == "key_a");
    CHECK(caller->team == "search");
    CHECK(caller->user == "ann");
    CHECK(!caller->admin);
    CHECK((*config)->keys.authenticate("sk-own", false));
    const auto& files = (*config)->files;  // it is watched, also while there is none
    CHECK(std::count(files.begin(), files.end(), folder.file().path()) == 1);
    CHECK((*config)->warnings.empty());
}

TEST_CASE("a revoked key is not known, and its id is not given again", "[keys]") {
    Folder folder;
    IssuedKey gone = issued("key_a", "sk-a");
    gone.revoked = "2026-11-22T11:00:00Z";
    REQUIRE(folder.file().write({gone}));
    auto config = folder.load(written("own", "sk-own"));
    REQUIRE(config);
    CHECK(!(*config)->keys.authenticate("sk-a", false));
    auto kept = folder.file().read();
    REQUIRE(kept);
    REQUIRE(kept->size() == 1);
    CHECK(kept->at(0).revoked == gone.revoked);
}

TEST_CASE("a configuration may have no key at all, and says so", "[keys]") {
    Folder folder;
    auto config = folder.load("[]");
    REQUIRE(config);
    REQUIRE((*config)->warnings.size() == 1);
    CHECK((*config)->warnings[0].find("sluice keys create") != std::string::npos);
    REQUIRE(folder.file().write({issued("key_a", "sk-a")}));
    CHECK((*folder.load("[]"))->warnings.empty());
}

TEST_CASE("a key's own budget holds, and takes the place of each key's", "[keys]") {
    Folder folder;
    IssuedKey key = issued("key_a", "sk-a");
    key.budget_usd = "2.5";
    key.window = "month";
    REQUIRE(folder.file().write({key, issued("key_b", "sk-b")}));
    auto alone = folder.load(written("own", "sk-own"));
    REQUIRE(alone);
    REQUIRE((*alone)->budgets.budgets.size() == 1);
    CHECK((*alone)->budgets.budgets[0].words == "key 'key_a' a month");
    CHECK((*alone)->budgets.budgets[0].limit.pico_usd == 2'500'000'000'000);
    CHECK((*alone)->budgets.by_key.at("key_a").size() == 1);
    auto each = folder.load(written("own", "sk-own"),
                            "budgets: {limits: [{key: '*', per: month, usd: '9'}]}\n");
    REQUIRE(each);
    CHECK((*each)->budgets.budgets.size() == 3);
    CHECK((*each)->budgets.by_key.at("key_a").size() == 1);
    auto twice = folder.load(written("own", "sk-own"),
                             "budgets: {limits: [{key: key_a, per: month, usd: '9'}]}\n");
    REQUIRE(!twice);
    CHECK(twice.error().message.find("a second budget of key 'key_a' a month") !=
          std::string::npos);
}

TEST_CASE("what is wrong in the file of keys is a fault with its line", "[keys]") {
    Folder folder;
    auto fault = [&](const IssuedKey& key) {
        REQUIRE(folder.file().write({issued("key_a", "sk-a"), key}));
        auto config = folder.load(written("own", "sk-own"));
        return config ? "" : config.error().message;
    };
    CHECK(fault(issued("key_b", "sk-b")).empty());
    CHECK(fault(issued("key_a", "sk-b")).find("l.db.keys:2:1: key_a: duplicate key id") !=
          std::string::npos);
    CHECK(fault(issued("own", "sk-b")).find("duplicate key id 'own'") != std::string::npos);
    CHECK(fault(issued("key_b", "sk-own")).find("the same key as 'own'") != std::string::npos);
    IssuedKey odd = issued("key_b", "sk-b");
    odd.window = "week";
    odd.budget_usd = "1";
    CHECK(fault(odd).find("day, month or total") != std::string::npos);
    odd.window = "day";
    odd.budget_usd = "much";
    CHECK(fault(odd).find("in dollars") != std::string::npos);
    odd.budget_usd = "";
    CHECK(!fault(odd).empty());
    folder.write("l.db.keys", "{\"id\":\"key_a\",\"te");
    auto torn = folder.load(written("own", "sk-own"));
    REQUIRE(!torn);
    CHECK(torn.error().message.find("l.db.keys:1") != std::string::npos);
}

TEST_CASE("a key that was revoked or turned ends in a configuration that stays", "[keys]") {
    Folder folder;
    REQUIRE(folder.file().write(
        {issued("key_a", "sk-a"), issued("key_b", "sk-b"), issued("key_c", "sk-c")}));
    auto config = folder.load(written("own", "sk-own"));
    REQUIRE(config);
    auto same = without_ended_keys(**config);
    REQUIRE(same);
    CHECK(*same == nullptr);
    IssuedKey gone = issued("key_a", "sk-a");
    gone.revoked = "2026-11-22T11:00:00Z";
    REQUIRE(folder.file().write({gone, issued("key_b", "sk-b2"), issued("key_d", "sk-d")}));
    auto next = without_ended_keys(**config);
    REQUIRE(next);
    REQUIRE(*next != nullptr);
    const KeyRing& keys = (*next)->keys;
    for (const char* ended : {"sk-a", "sk-b", "sk-c"}) CHECK(!keys.authenticate(ended, false));
    CHECK(keys.authenticate("sk-b2", false));
    CHECK(keys.authenticate("sk-own", false));
    CHECK(keys.size() == 2);
    folder.write("l.db.keys", "{");
    CHECK(!without_ended_keys(**config));
}

TEST_CASE("the file of keys is found in a configuration with other faults", "[keys]") {
    Folder folder;
    CHECK(!folder.load(written("own", "sk-own"), "colour: blue\n"));
    auto place = find_key_file(folder.config());
    REQUIRE(place);
    CHECK(place->path == folder.file().path());
    REQUIRE(place->configured.size() == 1);
    CHECK(place->configured[0].id == "own");
    CHECK(place->configured[0].team == "t");
    folder.write("config.yaml", "version: 1\n");
    auto none = find_key_file(folder.config());
    REQUIRE(!none);
    CHECK(none.error().message.find("ledger") != std::string::npos);
}

TEST_CASE("a key made by command is of its team's org, and its budgets cover it", "[keys]") {
    Folder folder;
    REQUIRE(folder.file().write({issued("key_a", "sk-a")}));
    auto own = [](const std::string& id, const std::string& org) {
        return "{id: " + id + ", team: search, org: " + org + ", sha256: \"" + sha256_hex(id) +
               "\"}";
    };
    auto config = folder.load("[" + own("one", "acme") + "]",
                              "budgets: {limits: [{org: acme, per: month, usd: '9'}]}\n");
    REQUIRE(config);
    CHECK((*config)->keys.authenticate("sk-a", false)->org == "acme");
    CHECK((*config)->budgets.by_key.at("key_a").size() == 1);
    auto several = folder.load("[" + own("one", "acme") + ", " + own("two", "other") + "]");
    REQUIRE(!several);
    CHECK(several.error().message.find("of several orgs") != std::string::npos);
    IssuedKey named = issued("key_a", "sk-a");
    named.org = "other";
    REQUIRE(folder.file().write({named}));
    auto both = folder.load("[" + own("one", "acme") + ", " + own("two", "other") + "]");
    REQUIRE(both);
    CHECK((*both)->keys.authenticate("sk-a", false)->org == "other");
    // A file of a version that knew no orgs.
    std::string old = *read_text_file(folder.file().path());
    old.erase(old.find(",\"org\":\"other\""), std::string(",\"org\":\"other\"").size());
    folder.write("l.db.keys", old);
    CHECK((*folder.load("[" + own("one", "acme") + "]"))->keys.authenticate("sk-a", false)->org ==
          "acme");
}

TEST_CASE("more keys with a budget than budgets are kept is a fault", "[keys]") {
    Folder folder;
    std::vector<IssuedKey> keys;
    for (std::size_t i = 0; i <= budgets_max; ++i) {
        keys.push_back(issued("key_" + std::to_string(i), "sk-" + std::to_string(i)));
        keys.back().budget_usd = "1";
        keys.back().window = "day";
    }
    REQUIRE(folder.file().write(keys));
    auto config = folder.load(written("own", "sk-own"));
    REQUIRE(!config);
    CHECK(config.error().message.find("at most 10000 keys with a budget") != std::string::npos);
}
