// The policy files in tests/policies/yaml: what good ones mean, where bad ones are wrong.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "tests/policies/policy_files.h"

namespace sluice {
namespace {

const std::string& folder = policy_folder;
const std::vector<std::string> upstreams = {"here", "open-a", "open-b", "far"};

std::vector<std::string> files_ending(const std::string& end) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().string().ends_with(end)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

// faults.txt holds what `sluice check` would print for every bad file, in order; a fault of a file
// that it extends stands behind the bad file's name and " > ".
std::map<std::string, std::vector<std::string>> expected_faults() {
    std::map<std::string, std::vector<std::string>> table;
    std::ifstream in(folder + "faults.txt");
    REQUIRE(in);
    for (std::string line; std::getline(in, line);)
        if (std::size_t of = line.find(" > "); of != std::string::npos)
            table[line.substr(0, of)].push_back(line.substr(of + 3));
        else
            table[line.substr(0, line.find(':'))].push_back(line);
    return table;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("every good policy is read without a fault", "[policy]") {
    auto names = files_ending(".good.yaml");
    CHECK(names.size() >= 3);
    for (const std::string& name : names) {
        std::vector<Fault> faults;
        read_policy_file(name, faults);
        for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    }
}

TEST_CASE("every fault of a bad policy is named with line and column in one pass", "[policy]") {
    auto expected = expected_faults();
    auto names = files_ending(".bad.yaml");
    CHECK(names.size() == expected.size());
    for (const std::string& name : names) {
        INFO(name);
        std::vector<Fault> faults;
        read_policy_file(name, faults);
        std::vector<std::string> found;
        for (const Fault& fault : faults) found.push_back(fault.text());
        CHECK_FALSE(found.empty());
        CHECK(found == expected[name]);
    }
}

TEST_CASE("a policy's fields are read into values", "[policy]") {
    std::vector<Fault> faults;
    Policy policy = read_policy_file("all.good.yaml", faults);
    REQUIRE(faults.empty());
    CHECK(policy.version.size() == 12);
    CHECK(policy.files == Words{"all.good.yaml"});
    CHECK(policy.file == "all.good.yaml");
    REQUIRE(policy.tiers.size() == 3);
    CHECK(policy.tiers[1].upstreams == std::vector<std::string>{"open-a", "open-b"});
    CHECK(policy.baseline_tier == "open");
    CHECK(policy.aliases.at("quick") == "local");
    CHECK(policy.aliases.at("gpt-4o-mini") == "auto");
    CHECK(policy.aliases.at("vendor/best model") == "far");
    REQUIRE(policy.bands.size() == 3);
    CHECK(policy.bands[1].below == 0.80);
    CHECK(policy.bands[2].below > 1);
    REQUIRE(policy.rules.size() == 3);
    const PolicyRule& home = policy.rules[0];
    CHECK(home.name == "restricted data stays home");
    CHECK(home.owner == "security@example.com");
    CHECK(home.line == 14);
    CHECK(home.tier == "local");
    CHECK(home.on_unavailable == OnUnavailable::refuse);
    CHECK(asked(home, Field::team).words == Words{"legal", "hr"});
    CHECK(asked(home, Field::data_class).words == Words{"restricted"});
    const PolicyRule& prompts = policy.rules[1];
    CHECK(prompts.upstream == "open-b");
    CHECK(prompts.on_unavailable == OnUnavailable::next);
    CHECK(asked(prompts, Field::input_tokens).min == 30'000);
    CHECK(asked(prompts, Field::input_tokens).below > 1e300);
    CHECK(asked(prompts, Field::difficulty).min == 0.2);
    CHECK(asked(prompts, Field::difficulty).below == 0.9);
    CHECK(asked(prompts, Field::tag, "batch").words == Words{"*"});
    CHECK(asked(prompts, Field::key).words == Words{"key-7"});
    CHECK(asked(prompts, Field::tools).wanted);
    CHECK_FALSE(asked(prompts, Field::images).wanted);
    CHECK(asked(prompts, Field::json_schema).wanted);
    CHECK(policy.rules[2].refuse == "pictures are not allowed here");
}

TEST_CASE("the last tier is the baseline unless the policy says otherwise", "[policy]") {
    std::vector<Fault> faults;
    CHECK(read_policy_file("narrower_first.good.yaml", faults).baseline_tier == "open");
}

TEST_CASE("the examples and the policy in the README are good", "[policy]") {
    int read = 0;
    auto check = [&read](const std::string& text, const std::string& file) {
        std::vector<Fault> faults;
        read_policy(text, file, {}, faults);
        for (const Fault& fault : faults) FAIL_CHECK(fault.text());
        ++read;
    };
    const std::string floor = SLUICE_SOURCE_DIR "/policies/";
    for (const auto& entry : std::filesystem::directory_iterator(floor + "examples"))
        if (entry.path().string().ends_with(".policy.yaml"))
            check(text_of(entry.path()), entry.path());
    CHECK(read >= 3);
    std::string readme = text_of(floor + "README.md");
    std::size_t from = readme.find("```yaml\n") + 8;
    check(readme.substr(from, readme.find("```", from) - from), "README.md");
}

TEST_CASE("a policy's version is that of its bytes", "[policy]") {
    std::vector<Fault> faults;
    CHECK(read_policy("abc", "x", {}, faults).version == "ba7816bf8f01");  // FIPS 180-2, B.1
    CHECK(read_policy("abd", "x", {}, faults).version != "ba7816bf8f01");
}

TEST_CASE("a policy that extends another has its rules behind its own, locked ones before",
          "[policy]") {
    std::vector<Fault> faults;
    Policy policy = read_policy_file("team_of_team.good.yaml", faults);
    REQUIRE(faults.empty());
    Words order;
    for (const PolicyRule& rule : policy.rules) order.push_back(rule.name + "@" + rule.file);
    CHECK(order == Words{"no secrets@company.good.yaml", "own@team_of_team.good.yaml",
                         "agents@team.good.yaml", "pictures@team.good.yaml"});
    CHECK(policy.rules[2].tier == "open");  // in place of the company's of that name
    CHECK(policy.aliases.at("quick") == "local");
    CHECK(policy.confine.size() == 1);
    CHECK(policy.files == Words{"team_of_team.good.yaml", "team.good.yaml", "company.good.yaml"});
}

TEST_CASE("an extended tier keeps its place and gets the new upstreams", "[policy]") {
    std::vector<Fault> faults;
    Policy policy = read_policy_file("team_tiers.good.yaml", faults);
    REQUIRE(faults.empty());
    REQUIRE(policy.tiers.size() == 3);
    CHECK(policy.tiers[1].name == "open");
    CHECK(policy.tiers[1].upstreams == Words{"open-b"});
    CHECK(policy.baseline_tier == "open");
    REQUIRE(policy.bands.size() == 1);
    CHECK(policy.bands[0].tier == "open");
}

TEST_CASE("a policy's version covers every file that it extends", "[policy]") {
    std::vector<Fault> faults;
    std::string base = "version: 1\ntiers: {local: [here]}\ndefault: {bands: [{tier: local}]}\n";
    auto version = [&](const std::string& own) {
        auto load = [&](const std::string& path) {
            CHECK(path == "company/base.yaml");
            return std::optional(base);
        };
        return read_policy(own, "company/own.yaml", {}, faults, load).version;
    };
    std::string first = version("version: 1\nextends: base.yaml\n");
    base += "# changed\n";
    CHECK(version("version: 1\nextends: base.yaml\n") != first);
    CHECK(faults.empty());
}

TEST_CASE("times of day are in the zone of the file that they stand in", "[policy]") {
    std::vector<Fault> faults;
    auto load = [](const std::string&) {
        return std::optional<std::string>(
            "version: 1\ntiers: {local: [here]}\ndefault: {bands: [{tier: local}]}\n"
            "time_zone: '+02:00'\nrules:\n"
            "  - {name: night, locked: true, when: {time: {from: '22:00', to: '06:00'}}, "
            "refuse: closed}\n");
    };
    const std::string own =
        "  - {name: own, when: {time: {from: '22:00', to: '06:00'}}, use: local}\n";
    Policy moved =
        read_policy("version: 1\nextends: base.yaml\ntime_zone: '-08:00'\nrules:\n" + own,
                    "own.yaml", {}, faults, load);
    Policy same = read_policy("version: 1\nextends: base.yaml\n", "own.yaml", {}, faults, load);
    for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    REQUIRE(moved.rules.size() == 2);
    CHECK(asked(moved.rules[0], Field::time).offset_minutes == 120);
    CHECK(asked(moved.rules[1], Field::time).offset_minutes == -480);
    CHECK(asked(same.rules[0], Field::time).offset_minutes == 120);
}

TEST_CASE("a policy that aliases or comparisons make endless is read in bounded time", "[policy]") {
    const std::string head =
        "version: 1\ntiers: {local: [here]}\ndefault: {bands: [{tier: local}]}\nrules:\n";
    std::string bomb = head + "  - {name: r0, when: {any: [&b0 {team: x}]}, use: local}\n";
    std::string nested = "{team: x}";
    for (int i = 1; i < 8; ++i) {
        const std::string before = "*b" + std::to_string(i - 1);
        std::string tens = before;
        for (int k = 1; k < 10; ++k) tens += ", " + before;
        bomb += "  - {name: r" + std::to_string(i) + ", when: {any: [&b" + std::to_string(i) +
                " {any: [" + tens + "]}]}, use: local}\n";
    }
    std::vector<Fault> faults;
    read_policy(bomb, "bomb.yaml", {}, faults);
    REQUIRE_FALSE(faults.empty());
    bool said = false;
    for (const Fault& fault : faults)
        said = said || fault.message == "expected at most 200000 conditions and words in a file";
    CHECK(said);
    CHECK(faults.size() < 20);

    for (int i = 0; i < 6; ++i)
        nested = "{any: [" + nested + ", " + nested + ", " + nested + ", " + nested + "]}";
    std::string slow = head;
    for (int i = 0; i < 12; ++i)
        slow += "  - {name: r" + std::to_string(i) + ", when: {user: u" + std::to_string(i) +
                ", all: [" + nested + "]}, use: local}\n";
    faults.clear();
    read_policy(slow, "slow.yaml", {}, faults);  // for minutes, were every pair compared
    CHECK(faults.empty());
}

TEST_CASE("files that extend each other are bounded", "[policy]") {
    std::vector<Fault> faults;
    int reads = 0;
    auto load = [&](const std::string& path) {
        ++reads;
        return std::optional("version: 1\nextends: x" + path + "\n");
    };
    Policy policy = read_policy("version: 1\nextends: a.yaml\n", "own.yaml", {}, faults, load);
    CHECK(reads == extends_depth_max - 1);
    REQUIRE_FALSE(faults.empty());
    bool said = false;
    for (const Fault& fault : faults)
        said = said || fault.message == "expected at most 8 files that extend each other";
    CHECK(said);
}

TEST_CASE("a policy read by itself may name any upstream, but all of them in its tiers",
          "[policy]") {
    const std::string yaml =
        "version: 1\ntiers: {local: [any], open: [other]}\ndefault: {bands: [{tier: local}]}\n"
        "aliases: {fast: any}\nrules:\n  - {name: a, upstream: ";
    std::vector<Fault> faults;
    read_policy(yaml + "other}\n", "alone.yaml", {}, faults);
    for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    read_policy(yaml + "othr}\n", "alone.yaml", {}, faults);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].text() ==
          "alone.yaml:6:25: rules[0].upstream: unknown upstream 'othr', did you mean 'other'?");
}

TEST_CASE("a policy with any bytes changed is read or faulted, never more", "[policy]") {
    std::mt19937 random(3);
    std::size_t faulted = 0;
    const Words names = files_ending(".good.yaml");
    const std::string noise = "{}[]:,-'\"#&*!|>%@ \n0aZ.\xC3\x00";
    for (int i = 0; i < 1'500; ++i) {
        std::string text = text_of(folder + names[random() % names.size()]);
        for (auto edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
            std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0:
                    text[at] = noise[random() % noise.size()];
                    break;
                case 1:
                    text.erase(at, 1 + random() % 8);
                    break;
                case 2:
                    text.insert(at, text.substr(random() % text.size(), random() % 12));
            }
        }
        std::vector<Fault> faults;
        auto none = [](const std::string&) { return std::optional<std::string>(); };
        Policy policy = read_policy(text, "mutant.yaml", upstreams, faults, none);
        faulted += faults.empty() ? 0 : 1;
        for (const Fault& fault : faults) REQUIRE(fault.line >= 1);
        if (!faults.empty()) continue;
        for (const PolicyRule& rule : policy.rules)
            REQUIRE((rule.tier.empty() || policy.tier(rule.tier) != nullptr));
    }
    CHECK(faulted > 500);
}

TEST_CASE("a policy beyond its limits is refused", "[policy]") {
    std::vector<Fault> faults;
    read_policy(std::string((1 << 20) + 1, ' '), "big.yaml", {}, faults);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].text() == "big.yaml:1:1: a policy has at most 1 MiB");
    faults.clear();
    std::string rules =
        "version: 1\ntiers: {local: [here]}\ndefault: {bands: [{tier: local}]}\nrules:\n";
    for (int i = 0; i < 1'001; ++i)
        rules += "  - {name: r" + std::to_string(i) + ", when: {team: t" + std::to_string(i) +
                 "}, use: local}\n";
    read_policy(rules, "many.yaml", upstreams, faults);
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].text() == "many.yaml:5:3: rules: expected at most 1000 rules");
}

}  // namespace sluice
