// Kept versions of a policy whose files are damaged, gone or cannot be written.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "gateway/config_yaml.h"
#include "tests/gateway/policy_folder.h"

using namespace sluice;
using Folder = PolicyFolder;

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

TEST_CASE("ending a rollback says so where the disk was not asked to keep it ended", "[versions]") {
    Folder folder;
    PolicyVersions versions = folder.versions();
    REQUIRE(versions.roll_back({"a", "b", "", "", ""}));
    rlimit before = {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 0;  // a file goes without being opened; its folder must be, to be synced
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    Status ended = versions.resume();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_FALSE(std::filesystem::exists(versions.rollback_file()));
    REQUIRE(!ended);
    CHECK(ended.error().message.find("rollback.json: cannot sync the folder of") !=
          std::string::npos);
    CHECK(versions.resume());
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
