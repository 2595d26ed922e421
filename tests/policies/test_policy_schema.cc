// The schema that editors use: it takes every good policy, and knows every key that the reader
// does.
#include "tests/policies/json_schema.h"

#include "policies/classifier.h"
#include "policies/language.h"
#include "policies/policy.h"

namespace {

using namespace sluice::testing;

const std::filesystem::path source = SLUICE_SOURCE_DIR;

const std::string head = "version: 1\ntiers: {local: [here], far: [there]}\n";
const std::string bands = "default: {bands: [{below: 0.5, tier: local}, {tier: far}]}\n";

bool schema_takes(const std::string& yaml) {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    return schema.fault(YAML::Load(yaml)).empty();
}

bool reader_takes(const std::string& yaml) {
    std::vector<sluice::Fault> faults;
    sluice::read_policy(yaml, "p.yaml", {}, faults);
    return faults.empty();
}

std::string rule(const std::string& text) {
    return head + bands + "rules: [{name: r, " + text + "}]\n";
}

std::set<std::string> words_of(const char* definition) {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    Element found;
    REQUIRE(schema.root().at_pointer("/$defs/" + std::string(definition) + "/enum").get(found) ==
            simdjson::SUCCESS);
    std::set<std::string> out;
    for (Element one : array_of(found)) out.insert(std::string(string_of(one)));
    return out;
}

}  // namespace

TEST_CASE("the schema and the reader refuse the same mistakes", "[schema]") {
    const std::string wrong[] = {
        rule("when: {language: english}, use: local"),
        rule("when: {domain: [maths, law]}, use: local"),
        rule("when: {time: {days: [monday]}}, use: local"),
        rule("when: {time: {from: '24:30'}}, use: local"),
        rule("when: {time: {from: '24:00'}}, use: local"),
        rule("when: {time: {to: '12:60'}}, use: local"),
        rule("when: {difficulty: {min: 1.5}}, use: local"),
        rule("when: {needs_reasoning: {below: 2}}, use: local"),
        rule("when: {budget_pressure: {min: 11}}, use: local"),
        rule("when: {input_tokens: {min: 2000000000}}, use: local"),
        rule("when: {team: ''}, use: local"),
        rule("when: {team: [a, '']}, use: local"),
        rule("when: {team: '*'}, use: local"),
        rule("when: {model: [a, 'gpt-*']}, use: local"),
        rule("when: {data_class: '*'}, use: local"),
        rule("use: auto"),
        rule("use: auto, max_tokens: 5, on_unavailable: refuse"),
        rule("use: ''"),
        rule("refuse: ''"),
        rule("refuse: no, max_tokens: 5"),
        rule("refuse: no, on_unavailable: refuse"),
        rule("order: [far, far]"),
        rule("order: [far], on_unavailable: next"),
        rule("use: local, owner: ''"),
        head + "default: {bands: [{tier: local}, {tier: far}]}\n",
        head + "default: {bands: [{below: 0.5, tier: local}]}\n",
        head + bands + "pace: {}\n",
        head + bands + "pace: {raise_max: 0.5}\n",
        head + bands + "pace: {spend_usd_per_day: 5, tier_share: {far: 0.1}}\n",
        head + bands + "pace: {tier_share: {}}\n",
        head + bands + "owner: ''\n",
        head + bands + "aliases: {x: ''}\n",
        "version: 1\n" + bands,
        "version: 1\ntiers: {local: [here, here]}\ndefault: {bands: [{tier: local}]}\n",
    };
    for (const std::string& yaml : wrong) {
        INFO(yaml);
        CHECK_FALSE(reader_takes(yaml));
        CHECK_FALSE(schema_takes(yaml));
    }
    const std::string right[] = {
        rule("when: {language: en, domain: [maths, code]}, use: local"),
        rule("when: {time: {from: '9:00', to: '24:00', days: mon}}, use: local"),
        rule("when: {difficulty: {min: 0, below: 1}, budget_pressure: {min: 2}}, use: local"),
        rule("use: auto, max_tokens: 5"),
        rule("use: local, on_unavailable: refuse"),
        head + bands + "pace: {tier_share: {far: 0.1}}\n",
        head + "default: {bands: [{tier: local}]}\n",
    };
    for (const std::string& yaml : right) {
        INFO(yaml);
        CHECK(reader_takes(yaml));
        CHECK(schema_takes(yaml));
    }
}

TEST_CASE("the schema has every language and every kind of text", "[schema]") {
    auto codes = sluice::language_codes();
    CHECK(words_of("language") == std::set<std::string>(codes.begin(), codes.end()));
    std::set<std::string> domains;
    for (std::size_t i = 0; i < sluice::domain_count; ++i)
        domains.emplace(sluice::domain_name(static_cast<sluice::Domain>(i)));
    CHECK(words_of("domain") == domains);
}

TEST_CASE("the schema takes every good policy and every example", "[schema]") {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    int read = 0;
    for (const char* folder : {"tests/policies/yaml", "policies/examples"})
        for (const auto& entry : std::filesystem::directory_iterator(source / folder)) {
            std::string name = entry.path().filename();
            if (!name.ends_with(".good.yaml") && !name.ends_with(".policy.yaml")) continue;
            INFO(name);
            CHECK(schema.fault(YAML::Load(text_of(entry.path()))).empty());
            CHECK(schema.fault(YAML::Load(text_of(entry.path()))) == "");
            ++read;
        }
    CHECK(read > 20);
}

TEST_CASE("the schema refuses what an author mistypes", "[schema]") {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    for (const char* name : {"unknown_keys", "rule_effect", "effort", "canary", "confine", "nested",
                             "pii", "shadow", "time", "language", "pace", "bands", "use_auto"}) {
        INFO(name);
        std::string file = "tests/policies/yaml/" + std::string(name) + ".bad.yaml";
        CHECK_FALSE(schema.fault(YAML::Load(text_of(source / file))).empty());
    }
}

TEST_CASE("every key that the policy's reader takes is in the schema", "[schema]") {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    std::set<std::string> known;
    schema.keys(schema.root(), known);
    std::vector<std::filesystem::path> files;
    for (const char* file : {"policy_yaml.cc", "rules_yaml.cc", "match_yaml.cc", "scoring_yaml.cc",
                             "pace_yaml.cc", "learning_yaml.cc"})
        files.push_back(source / "policies" / file);
    std::set<std::string> taken = keys_taken(
        files, {std::regex(R"((?:find|need|read_flag|read_number)\((?:[a-z_]+, )?"([a-z_]+)\")"),
                std::regex(R"(\{"([a-z_]+)\", Field::)")});
    CHECK(taken.size() > 40);
    for (const std::string& one : taken) {
        INFO(one);
        CHECK(known.contains(one));
    }
    for (const char* nested : {"any", "not"}) CHECK(known.contains(nested));
}
