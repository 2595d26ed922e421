#include "gateway/draws.h"
#include "gateway/policy_versions.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/reply.h"

using namespace sluice;

namespace {

constexpr const char* digest = "1c590839af894cf25f9a5fe06929af05b377f60efbe55508ef93d251887b9213";

// A configuration over one policy file, and a place for what is kept.
class Folder {
public:
    Folder() {
        char pattern[] = "/tmp/sluice-versions-XXXXXX";
        path_ = mkdtemp(pattern);
        policy("policy.yaml", "open");
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
    }
    // All requests to this tier.
    void policy(const std::string& name, const std::string& tier) const {
        write(name,
              "version: 1\nowner: \"the \\\"team\\\"\"\ntiers:\n  open: [one]\n  frontier: "
              "[two]\ndefault:\n  bands:\n    - {tier: " +
                  tier + "}\n");
    }
    Result<ConfigPtr> load(const std::string& section = " policy.yaml",
                           const PolicyRollback* instead = nullptr) const {
        std::string upstream =
            ", vendor: simulated-openai, model: sim-reasoner, base_url: "
            "'http://127.0.0.1:9/v1'}\n";
        write("config.yaml",
              "version: 1\nledger: {url: 'sqlite:l.db'}\nkeys:\n  - {id: a, team: "
              "t, sha256: " +
                  std::string(digest) + "}\nupstreams:\n  - {name: one" + upstream +
                  "  - {name: two" + upstream + "policy:" + section + "\n");
        return load_config(path_ + "/config.yaml", "2026-11-22", nullptr, instead);
    }
    PolicyVersions versions() const { return PolicyVersions(path_ + "/l.db.policies"); }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

std::string band(const Result<ConfigPtr>& config) {
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    return (*config)->policy.bands.at(0).tier;
}

}  // namespace

TEST_CASE("what was live is kept byte for byte, once, with its owner", "[versions]") {
    Folder folder;
    auto first = folder.load();
    REQUIRE(first);
    PolicyVersions versions = folder.versions();
    REQUIRE(versions.note((*first)->policy, "live", "start"));
    REQUIRE(versions.note((*first)->policy, "live", "start"));  // a restart is no activation
    REQUIRE(versions.note((*first)->policy, "shadow", "reload"));
    REQUIRE(versions.note((*first)->policy, "canary 5 %", "reload"));
    auto all = versions.activations();
    REQUIRE(all);
    REQUIRE(all->size() == 3);
    CHECK(all->at(0).owner == "the \"team\"");
    CHECK(all->at(0).what == "live");
    CHECK(all->at(0).why == "start");
    CHECK(all->at(0).version == (*first)->policy.version);
    CHECK(all->at(0).at.size() == 20);
    CHECK(all->at(2).what == "canary 5 %");
    auto kept = versions.kept((*first)->policy.version.substr(0, 4));
    REQUIRE(kept);
    REQUIRE(kept->files.size() == 1);
    CHECK(kept->files[0].second == (*first)->policy.texts[0]);
    auto none = versions.kept("nothing");
    REQUIRE(!none);
    CHECK(none.error().message.find((*first)->policy.version) != std::string::npos);
}

TEST_CASE("a rollback holds until the policy file has another version", "[versions]") {
    Folder folder;
    auto first = folder.load();
    REQUIRE(folder.versions().note((*first)->policy, "live", "start"));
    folder.policy("policy.yaml", "frontier");
    auto second = folder.load();
    CHECK(band(second) == "frontier");
    PolicyRollback rollback{(*second)->policy.version, (*first)->policy.version, "ann", "no", ""};
    CHECK(band(folder.load(" policy.yaml", &rollback)) == "open");
    CHECK(band(folder.load()) == "frontier");  // nothing was written yet
    REQUIRE(folder.versions().roll_back(rollback));
    auto rolled = folder.load();
    CHECK(band(rolled) == "open");
    REQUIRE((*rolled)->rolled_back);
    CHECK((*rolled)->rolled_back->by == "ann");
    CHECK((*rolled)->warnings.at(0).find("rolled back") != std::string::npos);
    const auto& files = (*rolled)->files;  // the file and the rollback are watched
    CHECK(std::count(files.begin(), files.end(), folder.path() + "/policy.yaml") == 1);
    CHECK(std::count(files.begin(), files.end(), folder.versions().rollback_file()) == 1);
    folder.write("policy.yaml", (*second)->policy.texts[0] + "# mended\n");
    CHECK(band(folder.load()) == "frontier");
    folder.write("policy.yaml", (*second)->policy.texts[0]);
    CHECK(band(folder.load()) == "open");
    REQUIRE(folder.versions().resume());
    CHECK(band(folder.load()) == "frontier");
}

TEST_CASE("a kept version comes back with the files that it extends", "[versions]") {
    Folder folder;
    folder.policy("base.yaml", "frontier");
    folder.write("policy.yaml", "version: 1\nextends: base.yaml\n");
    auto first = folder.load();
    CHECK(band(first) == "frontier");
    REQUIRE(folder.versions().note((*first)->policy, "live", "start"));
    folder.policy("base.yaml", "open");
    auto second = folder.load();
    CHECK(band(second) == "open");
    PolicyRollback rollback{(*second)->policy.version, (*first)->policy.version, "", "", ""};
    auto rolled = folder.load(" policy.yaml", &rollback);
    CHECK(band(rolled) == "frontier");
    CHECK((*rolled)->policy.version == (*first)->policy.version);
}

TEST_CASE("a rollback to what is not kept, or no longer fits, is a fault", "[versions]") {
    Folder folder;
    auto first = folder.load();
    PolicyRollback rollback{(*first)->policy.version, "abcdef", "", "", ""};
    auto lost = folder.load(" policy.yaml", &rollback);
    REQUIRE(!lost);
    CHECK(lost.error().message.find("rolled back to version abcdef: no policy of version") !=
          std::string::npos);
    REQUIRE(folder.versions().note((*first)->policy, "live", "start"));
    folder.policy("policy.yaml", "frontier");
    auto second = folder.load();
    rollback = {(*second)->policy.version, (*first)->policy.version, "", "", ""};
    REQUIRE(folder.load(" policy.yaml", &rollback));
    std::string kept = "l.db.policies/" + (*first)->policy.version + ".json";
    folder.write(kept, "{\"version\":\"" + (*first)->policy.version + "\",\"files\":[{\"path\":\"" +
                           folder.path() +
                           "/policy.yaml\",\"text\":\"version: 1\\ntiers: {open: [one]}\\ndefault: "
                           "{bands: [{tier: open}]}\"}]}");
    auto changed = folder.load(" policy.yaml", &rollback);
    REQUIRE(!changed);
    CHECK(changed.error().message.find("has been changed") != std::string::npos);
}

TEST_CASE("damaged files of kept versions are named and keep nothing from serving", "[versions]") {
    Folder folder;
    auto first = folder.load();
    PolicyVersions versions = folder.versions();
    REQUIRE(versions.note((*first)->policy, "live", "start"));
    folder.policy("policy.yaml", "frontier");
    auto second = folder.load();
    REQUIRE(versions.note((*second)->policy, "live", "reload"));
    PolicyRollback back{(*second)->policy.version, (*first)->policy.version, "ann", "no", ""};
    const std::string copy = "l.db.policies/" + (*first)->policy.version + ".json";
    REQUIRE(versions.roll_back(back));
    folder.write(copy, "{\"version\":\"" + (*first)->policy.version + "\",\"fi");
    auto torn_copy = folder.load();
    REQUIRE(!torn_copy);  // what is left was withdrawn
    CHECK(torn_copy.error().message.find(copy) != std::string::npos);
    CHECK(torn_copy.error().message.find((*second)->policy.version + " was withdrawn") !=
          std::string::npos);
    const PolicyRollback none;
    CHECK(band(folder.load(" policy.yaml", &none)) == "frontier");  // as `resume` has it
    CHECK(!folder.load(" policy.yaml", &back));  // a command that asks for it is told
    REQUIRE(versions.note((*first)->policy, "live", "reload"));  // mended by what has it whole
    CHECK(band(folder.load()) == "open");

    folder.write("l.db.policies/rollback.json", "{\"from\":");
    auto torn = folder.load();
    CHECK(band(torn) == "frontier");
    CHECK((*torn)->rollback_fault.find("rollback.json") != std::string::npos);
    folder.write("l.db.policies/rollback.json", "");
    CHECK(!(*folder.load())->rollback_fault.empty());

    std::string notes = *read_text_file(folder.path() + "/l.db.policies/activations.jsonl");
    folder.write("l.db.policies/activations.jsonl", notes + notes.substr(0, 40));
    std::vector<std::string> named;
    auto all = versions.activations(&named);
    REQUIRE(all);
    CHECK(all->size() == 3);
    REQUIRE(named.size() == 1);
    CHECK(named[0].find("activations.jsonl:4") != std::string::npos);
    REQUIRE(versions.note((*second)->policy, "live", "reload"));
    CHECK(versions.activations()->size() == 4);
}

TEST_CASE("all that is damaged of what is kept is named, and nothing else", "[versions]") {
    Folder folder;
    PolicyVersions versions = folder.versions();
    CHECK(versions.damage().empty());  // of a folder that is not there yet
    auto first = folder.load();
    REQUIRE(versions.note((*first)->policy, "live", "start"));
    folder.policy("policy.yaml", "frontier");
    auto second = folder.load();
    REQUIRE(versions.note((*second)->policy, "live", "reload"));
    REQUIRE(versions.roll_back({(*second)->policy.version, (*first)->policy.version, "", "", ""}));
    CHECK(versions.damage().empty());
    const std::string kept = "l.db.policies/", version = (*second)->policy.version;
    const std::string whole = *read_text_file(folder.path() + "/" + kept + version + ".json");
    for (const std::string& damaged :
         {whole.substr(0, whole.size() / 2), std::string(), std::string("{}"), whole + "x",
          "{\"version\":\"" + version + "\",\"files\":[{\"path\":\"a\"}]}",
          std::string(whole).replace(whole.find("frontier"), 8, "fr0ntier")}) {
        folder.write(kept + version + ".json", damaged);
        INFO(damaged);
        auto named = versions.damage();
        REQUIRE(named.size() == 1);
        CHECK(named[0].find(version + ".json") != std::string::npos);
        CHECK(!versions.kept(version));
    }
    folder.write(kept + "rollback.json", "{\"from\":");
    std::string notes = *read_text_file(folder.path() + "/" + kept + "activations.jsonl");
    folder.write(kept + "activations.jsonl", "torn\n" + notes);
    auto named = versions.damage();
    REQUIRE(named.size() == 3);
    CHECK(named[0].find("rollback.json") != std::string::npos);
    CHECK(named[1].find("activations.jsonl:1") != std::string::npos);
}

TEST_CASE("ending a rollback says so where it cannot last", "[versions]") {
    Folder folder;
    PolicyVersions versions = folder.versions();
    CHECK(versions.resume());  // there is none
    REQUIRE(versions.roll_back({"a", "b", "", "", ""}));
    CHECK(versions.resume());
    CHECK_FALSE(std::filesystem::exists(versions.rollback_file()));
    // A folder in its place can be removed by nobody who means a file.
    std::filesystem::create_directories(versions.rollback_file() + "/x");
    Status refused = versions.resume();
    REQUIRE(!refused);
    CHECK(refused.error().message.find("rollback.json: cannot remove") != std::string::npos);
}

TEST_CASE("in the place of a damaged version serves one that was live before", "[versions]") {
    Folder folder;
    PolicyVersions versions = folder.versions();
    std::vector<std::string> live;
    for (const char* more : {"", "# 2\n", "# 3\n", "# 4\n"}) {
        folder.policy("policy.yaml", live.size() == 3 ? "frontier" : "open");
        folder.write("policy.yaml", *read_text_file(folder.path() + "/policy.yaml") + more);
        auto next = folder.load();
        REQUIRE(next);
        REQUIRE(versions.note((*next)->policy, "live", "reload"));
        live.push_back((*next)->policy.version);
    }
    REQUIRE(versions.roll_back({live[3], live[2], "ann", "no", ""}));
    folder.write("l.db.policies/" + live[2] + ".json", "{\"version\":");
    folder.write("l.db.policies/" + live[1] + ".json", "");
    auto served = folder.load();
    CHECK(band(served) == "open");
    CHECK((*served)->policy.version == live[0]);
    REQUIRE((*served)->rolled_back);
    CHECK((*served)->rolled_back->from == live[3]);
    CHECK((*served)->rollback_fault.find(live[0] + ", which was live before") != std::string::npos);
}

TEST_CASE("where nothing can be written, what is kept stays as it was", "[versions]") {
    Folder folder;
    auto first = folder.load();
    PolicyVersions versions = folder.versions();
    REQUIRE(versions.note((*first)->policy, "live", "start"));
    // A folder in the way of the file that would be written beside.
    std::filesystem::create_directories(folder.path() + "/l.db.policies/activations.jsonl.new/x");
    Status noted = versions.note((*first)->policy, "shadow", "reload");
    REQUIRE(!noted);
    CHECK(noted.error().message.find("activations.jsonl.new: cannot create: Is a directory") !=
          std::string::npos);
    CHECK(versions.activations()->size() == 1);
}

TEST_CASE("a file with faults is rolled back to what was live last", "[versions]") {
    Folder folder;
    auto first = folder.load();
    PolicyRollback any{"*", "", "ann", "broken", ""};
    folder.policy("policy.yaml", "nowhere");
    CHECK(!folder.load());
    CHECK(!folder.load(" policy.yaml", &any));  // nothing has been live
    REQUIRE(folder.versions().note((*first)->policy, "live", "start"));
    auto rolled = folder.load(" policy.yaml", &any);
    CHECK(band(rolled) == "open");
    REQUIRE((*rolled)->rolled_back);
    CHECK((*rolled)->rolled_back->to == (*first)->policy.version);
    CHECK((*rolled)->rolled_back->from.size() == 12);
    REQUIRE(folder.versions().roll_back(*(*rolled)->rolled_back));
    CHECK(band(folder.load()) == "open");
    folder.write("policy.yaml", "version: 1\n");  // other faults: no longer what was rolled back
    CHECK(!folder.load());
}

TEST_CASE("a candidate is either a canary or in the shadow", "[versions]") {
    Folder folder;
    folder.policy("next.yaml", "frontier");
    auto shadow = folder.load(" {path: policy.yaml, candidate: {path: next.yaml, shadow: true}}");
    REQUIRE(shadow);
    CHECK(band(shadow) == "open");
    CHECK((*shadow)->candidate->policy.bands.at(0).tier == "frontier");
    CHECK((*shadow)->candidate->what() == "shadow");
    auto canary =
        folder.load(" {path: policy.yaml, candidate: {path: next.yaml, canary_percent: 2.5}}");
    REQUIRE(canary);
    CHECK((*canary)->candidate->what() == "canary 2.5 %");
    for (const char* wrong : {"{path: next.yaml}", "{path: next.yaml, shadow: false}",
                              "{path: next.yaml, shadow: true, canary_percent: 5}",
                              "{path: next.yaml, canary_percent: 101}", "{shadow: true}",
                              "{path: none.yaml, shadow: true}"}) {
        INFO(wrong);
        CHECK(!folder.load(std::string(" {path: policy.yaml, candidate: ") + wrong + "}"));
    }
    auto fault = folder.load(" {path: policy.yaml, candidate: {path: next.yaml}}");
    CHECK(fault.error().message.find("config.yaml:8:40: policy.candidate: expected either") !=
          std::string::npos);
}

TEST_CASE("a canary may narrow what is confined, never drop or widen it", "[versions]") {
    Folder folder;
    auto write = [&](const char* name, const std::string& more, const std::string& open = "one") {
        folder.write(name, "version: 1\ntiers: {open: [" + open + "], frontier: [" +
                               (open == "one" ? "two" : "one") +
                               "]}\ndefault: {bands: [{tier: open}]}\n" + more);
    };
    auto confined = [](const std::string& when, const std::string& to) {
        return "confine: [{name: home, when: " + when + ", to: [" + to + "]}]\n";
    };
    const std::string restricted = "{data_class: [restricted, health]}";
    write("policy.yaml", confined(restricted, "open"));
    auto canary = [&] {
        return folder.load(" {path: policy.yaml, candidate: {path: next.yaml, canary_percent: 5}}");
    };
    write("next.yaml", confined(restricted, "open"));
    CHECK(canary());
    write("next.yaml", confined("{data_class: [restricted, health, legal]}", "open"));
    CHECK(canary());
    for (const std::string& more :
         {std::string(), confined(restricted, "open, frontier"), confined(restricted, "frontier"),
          confined("{data_class: restricted}", "open"),
          confined("{data_class: [restricted, health], team: t}", "open")}) {
        INFO(more);
        write("next.yaml", more);
        auto refused = canary();
        REQUIRE(!refused);
        CHECK(refused.error().message.find("would not keep what 'home'") != std::string::npos);
        CHECK(folder.load(" {path: policy.yaml, candidate: {path: next.yaml, shadow: true}}"));
    }
    write("next.yaml", confined(restricted, "open"), "two");  // a tier of that name, elsewhere
    CHECK(!canary());
}

TEST_CASE("a canary keeps what the live policy or its base has locked", "[versions]") {
    Folder folder;
    const std::string head =
        "version: 1\ntiers: {open: [one], frontier: [two]}\ndefault: {bands: [{tier: open}]}\n";
    auto rule = [](const std::string& name, const std::string& when, const std::string& use) {
        return "  - {name: " + name + ", when: " + when + ", " + use + ", locked: true}\n";
    };
    const std::string home =
        rule("home", "{data_class: [restricted]}", "use: open, on_unavailable: refuse");
    const std::string legal = rule("legal", "{team: legal}", "use: frontier");
    folder.write("base.yaml", head + "rules:\n" + home + legal);
    folder.write("policy.yaml", "version: 1\nextends: base.yaml\n");
    auto canary = [&](const std::string& next) {
        folder.write("next.yaml", next);
        return folder.load(" {path: policy.yaml, candidate: {path: next.yaml, canary_percent: 5}}");
    };
    CHECK(canary("version: 1\nextends: base.yaml\ndefault: {bands: [{tier: frontier}]}\n"));
    CHECK(canary(head + "rules:\n" + home + legal + rule("new", "{team: t}", "use: open") +
                 "  - {name: mine, when: {team: u}, use: open}\n"));
    const std::string wider =
        rule("home", "{data_class: [restricted, health]}", "use: open, on_unavailable: refuse");
    const std::string softer = rule("home", "{data_class: [restricted]}", "use: open");
    for (const std::string& rules : {legal, home, legal + home, wider + legal, softer + legal,
                                     rule("new", "{team: t}", "use: frontier") + home + legal}) {
        INFO(rules);
        auto refused = canary(head + "rules:\n" + rules);
        REQUIRE(!refused);
        CHECK(refused.error().message.find("config.yaml:8:40: policy.candidate: the candidate") !=
              std::string::npos);
        bool placed = refused.error().message.find("base.yaml:5 has locked") != std::string::npos ||
                      refused.error().message.find("base.yaml:6 has locked") != std::string::npos;
        CHECK(placed);
        CHECK(folder.load(" {path: policy.yaml, candidate: {path: next.yaml, shadow: true}}"));
    }
    auto unlocked = canary(head +
                           "rules:\n  - {name: home, when: {data_class: [restricted]}, use: "
                           "open, on_unavailable: refuse}\n" +
                           legal);
    CHECK(!unlocked);
    std::string elsewhere = head + "rules:\n" + home + legal;
    elsewhere.replace(elsewhere.find("[one], frontier: [two]"), 22, "[two], frontier: [one]");
    CHECK(!canary(elsewhere));
    // A rule's own share goes to the same places, too.
    const std::string part =
        rule("part", "{team: legal}", "use: auto, canary: {percent: 5, use: frontier}");
    folder.write("base.yaml", head + "rules:\n" + part);
    CHECK(canary(head + "rules:\n" + part));
    std::string moved = head + "rules:\n" + part;
    moved.replace(moved.find("[one], frontier: [two]"), 22, "[two], frontier: [one]");
    auto refused = canary(moved);
    REQUIRE(!refused);
    CHECK(refused.error().message.find("has locked") != std::string::npos);
}

TEST_CASE("sessions keep their side of a canary as its share grows", "[versions]") {
    Folder folder;
    folder.policy("next.yaml", "frontier");
    const Draws draws(Draws::Secret{1, 2});
    auto side = [&](const ConfigPtr& config, int session) {
        RequestDraws drawn = draws.of(Caller{}, "s" + std::to_string(session));
        return policy_for(*config, drawn.policy).bands.at(0).tier == "frontier";
    };
    auto at = [&](const char* percent) {
        auto config = folder.load(
            std::string(" {path: policy.yaml, candidate: {path: next.yaml, canary_percent: ") +
            percent + "}}");
        REQUIRE(config);
        return *config;
    };
    ConfigPtr none = at("0"), few = at("5"), some = at("30"), all = at("100");
    int on_few = 0, on_some = 0;
    for (int session = -1; session < 4'000; ++session) {
        CHECK(!side(none, session));
        CHECK(side(all, session));
        on_few += side(few, session);
        on_some += side(some, session);
        if (side(few, session)) CHECK(side(some, session));
    }
    CHECK(on_few == Approx(200).margin(50));
    CHECK(on_some == Approx(1'200).margin(120));
}
