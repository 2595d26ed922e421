// The schema that editors use: it takes every good policy, and knows every key that the reader
// does.
#include "tests/policies/json_schema.h"

namespace {

using namespace sluice::testing;

const std::filesystem::path source = SLUICE_SOURCE_DIR;

}  // namespace

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
                             "pii", "shadow", "time"}) {
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
