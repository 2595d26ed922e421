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
#include "tests/gateway/policy_folder.h"

using namespace sluice;
using Folder = PolicyFolder;

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

TEST_CASE("a team that changes its own file does not end the company's rollback", "[versions]") {
    Folder folder;
    auto first = folder.load();
    REQUIRE(folder.versions().note((*first)->policy, "live", "start"));
    folder.policy("policy.yaml", "frontier");
    auto alone = folder.load();
    folder.write("policy.yaml", (*alone)->policy.texts[0] + "\nteams: {search: own.yaml}\n");
    const std::string own = "version: 1\nrules: [{name: r, when: {app: a}, use: frontier}]\n";
    folder.write("own.yaml", own);
    auto second = folder.load();
    CHECK(band(second) == "frontier");
    PolicyRollback rollback{(*second)->policy.version, (*first)->policy.version, "", "", ""};
    auto rolled = folder.load(" policy.yaml", &rollback);
    CHECK(band(rolled) == "open");
    REQUIRE(folder.versions().roll_back(*(*rolled)->rolled_back));
    folder.write("own.yaml", own + "# changed\n");
    CHECK(band(folder.load()) == "open");
    folder.write("policy.yaml", (*alone)->policy.texts[0] + "\nteams: {search: own.yaml}\n# new\n");
    CHECK(band(folder.load()) == "frontier");
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

TEST_CASE("a canary knows no class of data that the live policy refuses", "[versions]") {
    Folder folder;
    auto write = [&](const char* name, const std::string& classes) {
        folder.write(name,
                     "version: 1\ntiers: {open: [one], frontier: [two]}\n" + classes +
                         "default: {bands: [{tier: open}]}\n"
                         "confine: [{name: home, when: {data_class: restricted}, to: [open]}]\n");
    };
    auto canary = [&] {
        return folder.load(" {path: policy.yaml, candidate: {path: next.yaml, canary_percent: 5}}");
    };
    write("policy.yaml", "data_classes: [public, restricted]\n");
    write("next.yaml", "data_classes: [restricted]\n");
    CHECK(canary());
    for (const char* classes : {"", "data_classes: [public, restricted, restriced]\n"}) {
        write("next.yaml", classes);
        auto refused = canary();
        REQUIRE(!refused);
        CHECK(refused.error().message.find("a canary may add none") != std::string::npos);
        CHECK(folder.load(" {path: policy.yaml, candidate: {path: next.yaml, shadow: true}}"));
    }
    write("policy.yaml", "");  // where any class is taken, fewer are no leak
    CHECK(canary());
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
