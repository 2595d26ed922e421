// Teams' own files: whose requests their rules are for, what they may not say, what they may cost.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/policies/policy_files.h"

namespace sluice {
namespace {

const std::string& folder = policy_folder;

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a team's own file has rules of its requests alone, before the company's", "[policy]") {
    std::vector<Fault> faults;
    Policy policy = read_policy_file("teams.good.yaml", faults);
    REQUIRE(faults.empty());
    Words names, owners;
    for (const PolicyRule& rule : policy.rules) {
        names.push_back(rule.name);
        owners.push_back(rule.owner);
    }
    CHECK(names == Words{"first of all", "sales: for all", "search: for all", "search: by night",
                         "search: everything else", "for all", "for search"});
    CHECK(owners[1].empty());
    CHECK(owners[2] == "search@example.com");
    CHECK(owners[3] == "nights@example.com");
    for (std::size_t i = 1; i < 5; ++i)
        CHECK(asked(policy.rules[i], Field::team).words == Words{i == 1 ? "sales" : "search"});
    CHECK(asked(policy.rules[3], Field::time).offset_minutes == 120);
    CHECK(policy.headers == Words{"x-env"});
    CHECK(policy.files == Words{"teams.good.yaml", "teams/search.yaml", "teams/sales.yaml"});
    CHECK(policy.version == policy_version(policy.texts));
    CHECK(policy.texts[2] == text_of(folder + "teams/sales.yaml"));
}

TEST_CASE(
    "a team's rule spends no shadow money, and a change of its file is no change of the company's",
    "[policy]") {
    const std::string company =
        "version: 1\ntiers: {local: [here], far: [far]}\n"
        "default: {bands: [{below: 0.5, tier: local}, {tier: far}]}\n"
        "learning: {shadow: {judge: far, usd_per_day: '5'}}\nteams: {a: a.yaml}\n";
    auto read = [&](const std::string& rule, std::vector<Fault>& faults) {
        return read_policy(company, "p.yaml", {}, faults, [&](const std::string&) {
            return std::optional<std::string>("version: 1\nrules: [{name: r, " + rule + "}]\n");
        });
    };
    std::vector<Fault> faults;
    Policy one = read("use: far", faults), other = read("use: local", faults);
    CHECK(faults.empty());
    CHECK(one.version != other.version);
    CHECK(one.company_version == other.company_version);
    read("use: far, shadow: 5", faults);
    REQUIRE(faults.size() == 1);
    CHECK(
        faults[0].text() ==
        "a.yaml:2:9: rules[0]: shadow answers are paid and judged for all: 'shadow' stands in the "
        "company's file");
}

TEST_CASE("a policy's files are bounded together", "[policy]") {
    std::string company =
        "version: 1\ntiers: {local: [here]}\ndefault: {bands: [{tier: local}]}\nteams:\n";
    for (int i = 0; i < 8; ++i)
        company += "  t" + std::to_string(i) + ": t" + std::to_string(i) + ".yaml\n";
    std::string rules = "version: 1\nrules:\n";
    for (int i = 0; i < 900; ++i)
        rules += "  - {name: r" + std::to_string(i) + ", when: {app: a" + std::to_string(i) +
                 "}, use: local}\n";
    std::vector<Fault> faults;
    auto load = [&](const std::string&) { return std::optional<std::string>(rules); };
    read_policy(company, "p.yaml", {}, faults, load);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].text() ==
          "p.yaml:1:1: rules: expected at most 5000 rules in all files together, "
          "got 7200");
    faults.clear();
    rules += "#" + std::string(700'000, 'x') + "\n";
    read_policy(company, "p.yaml", {}, faults, load);
    REQUIRE(faults.size() == 3);
    CHECK(faults[0].text() ==
          "p.yaml:10:7: teams.t5: a policy's files have at most 4 MiB together");
}

TEST_CASE("what is no plain file is no policy, and nobody waits for it", "[policy]") {
    const auto pipe =
        std::filesystem::temp_directory_path() / ("sluice-pipe-" + std::to_string(::getpid()));
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    CHECK_FALSE(load_policy_file(pipe));
    std::filesystem::remove(pipe);
    CHECK_FALSE(load_policy_file(folder));
    CHECK(load_policy_file(folder + "teams.good.yaml"));
}

TEST_CASE("a team's file is read once there is one", "[policy]") {
    std::vector<Fault> faults;
    Policy policy = read_policy(text_of(folder + "teams.good.yaml"), "p.yaml", {}, faults,
                                [](const std::string&) { return std::nullopt; });
    REQUIRE(faults.size() == 2);
    CHECK(faults[0].text() ==
          "p.yaml:7:11: teams.search: cannot read teams/search.yaml (of at "
          "most 1 MiB)");
    CHECK(policy.files == Words{"p.yaml", "teams/search.yaml", "teams/sales.yaml"});
}

}  // namespace sluice
