#include "gateway/config_notes.h"

#include <catch2/catch.hpp>

#include "tests/gateway/policy_folder.h"

using namespace sluice;

namespace {

// The folder's one key is `a` of team `t` and of no org.
std::vector<NameNote> notes_of(const std::string& rules,
                               const std::string& section = " policy.yaml") {
    PolicyFolder folder;
    folder.write("policy.yaml",
                 "version: 1\ntiers: {open: [one], frontier: [two]}\naliases: {chatty: open}\n"
                 "default: {bands: [{tier: open}]}\n" +
                     rules);
    folder.policy("next.yaml", "open");
    auto config = folder.load(section);
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    std::vector<NameNote> out = name_notes(**config);
    for (NameNote& one : out)
        if (one.said.starts_with(folder.path())) one.said.erase(0, folder.path().size() + 1);
    return out;
}

}  // namespace

TEST_CASE("a rule that names what no key has is said by its place", "[notes]") {
    auto notes = notes_of("rules:\n  - {name: r, when: {team: tt, org: acme}, use: open}\n");
    REQUIRE(notes.size() == 2);
    CHECK(notes[0].mistyped);
    CHECK(notes[0].said ==
          "policy.yaml:6:28: rules[0].when.team: no key has team 'tt', did you mean 't'? If not, "
          "list all that may be named under 'callers.teams'");
    CHECK(!notes[1].mistyped);
    CHECK(notes[1].said ==
          "policy.yaml:6:37: rules[0].when.org: note: no key has org 'acme': it matches nobody "
          "until one has");
    CHECK(notes_of("rules:\n  - {name: r, when: {team: [t], key: a}, use: open}\n").empty());
}

TEST_CASE("names are looked for in lists, nested conditions, confinements and values", "[notes]") {
    auto notes = notes_of(
        "confine:\n  - {name: c, when: {key: b7}, to: [open]}\n"
        "scoring: {mode: bands, value_usd: 1, values: [{when: {team: x1}, usd: 2}]}\n"
        "rules:\n  - {name: r, when: {team: [t, x2], any: [{team: x3}, {not: {key: x4}}]},"
        " use: open}\n  - {name: s, when: {all: [{team: x5}]}, use: open}\n");
    std::string all;
    for (const NameNote& one : notes) all += one.said + "\n";
    INFO(all);
    CHECK(notes.size() == 6);
    for (const char* name :
         {"key 'b7'", "team 'x1'", "team 'x2'", "team 'x3'", "key 'x4'", "team 'x5'"})
        CHECK(all.find(name) != std::string::npos);
    CHECK(all.find("rules[0].when.team[1]: note") != std::string::npos);
}

TEST_CASE("a model is said only where it is nearly one that there is", "[notes]") {
    CHECK(notes_of("rules:\n  - {name: r, when: {model: [some-other-model, chatty, auto, open, one,"
                   " sim-reasoner]}, use: open}\n")
              .empty());
    auto notes = notes_of("rules:\n  - {name: r, when: {model: chaty}, use: open}\n");
    REQUIRE(notes.size() == 1);
    CHECK(!notes[0].mistyped);
    CHECK(notes[0].said.ends_with("there is no model 'chaty' here, did you mean 'chatty'?"));
}

TEST_CASE("notes end at a hundred and say how many there are more", "[notes]") {
    std::string words;
    for (int i = 0; i < 130; ++i) words += (i == 0 ? "" : ", ") + ("nobody-" + std::to_string(i));
    auto notes = notes_of("rules:\n  - {name: r, when: {team: [" + words + "]}, use: open}\n");
    REQUIRE(notes.size() == 101);
    CHECK(notes.back().said == "note: and 30 more names that nobody has");
}

TEST_CASE("a file that two policies extend is looked through once", "[notes]") {
    CHECK(notes_of("rules:\n  - {name: r, when: {team: xyz}, use: open}\n",
                   " {path: policy.yaml, candidate: {path: policy.yaml, shadow: true}}")
              .size() == 1);
}

TEST_CASE("names that the policy lists are not asked of the keys", "[notes]") {
    const std::string rule = "rules:\n  - {name: r, when: {team: [tt, t], org: acme}, use: open}\n";
    CHECK(notes_of("callers: {teams: [t, tt], orgs: [acme]}\n" + rule).empty());
    auto notes = notes_of("callers: {teams: [t, tt]}\n" + rule);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].subject == "org 'acme'");
}

TEST_CASE("a reload may bring no mistyped name, a key that goes makes none", "[notes]") {
    PolicyFolder folder;
    const std::string head =
        "version: 1\ntiers: {open: [one], frontier: [two]}\ndefault: {bands: [{tier: open}]}\n";
    auto load = [&](const std::string& team) {
        folder.write("policy.yaml",
                     head + "rules:\n  - {name: r, when: {team: " + team + "}, use: open}\n");
        auto config = folder.load(" policy.yaml");
        REQUIRE(config);
        return *config;
    };
    auto good = load("t"), mistyped = load("tt"), unlike = load("another");
    CHECK(newly_mistyped(*good, *mistyped).find("no key has team 'tt'") != std::string::npos);
    CHECK(newly_mistyped(*good, *unlike).empty());
    CHECK(newly_mistyped(*mistyped, *mistyped).empty());  // it served so, and moved it may be
    CHECK(newly_mistyped(*mistyped, *good).empty());
}
