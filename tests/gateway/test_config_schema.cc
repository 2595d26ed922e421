// The schema that editors use for the configuration: it takes good ones, refuses slips, and knows
// every key that the readers do.
#include "tests/policies/json_schema.h"

namespace {

using namespace sluice::testing;

const std::filesystem::path source = SLUICE_SOURCE_DIR;

}  // namespace

TEST_CASE("the configuration's schema takes the quickstart and every section", "[schema]") {
    Validator schema(text_of(source / "gateway/config.schema.json"));
    YAML::Node quickstart = YAML::Load(text_of(source / "deploy/quickstart.yaml"));
    CHECK(schema.fault(quickstart) == "");
    quickstart["budgets"] = YAML::Load(
        "{time_zone: '+01:00', limits: [{team: search, per: day, usd: '50'}, {all: true, per: "
        "total, usd: 9}, {key: '*', per: month, usd: '1'}]}");
    quickstart["policy"] =
        YAML::Load("{path: a.yaml, versions: v, candidate: {path: b.yaml, canary_percent: 5}}");
    CHECK(schema.fault(quickstart) == "");
}

TEST_CASE("the configuration's schema refuses what an author mistypes", "[schema]") {
    Validator schema(text_of(source / "gateway/config.schema.json"));
    const std::string good = text_of(source / "deploy/quickstart.yaml");
    for (const char* wrong : {"budgets: {limits: [{team: a, per: week, usd: '1'}]}\n",
                              "budgets: {limits: [{team: a, org: b, per: day, usd: '1'}]}\n",
                              "budgets: {limits: [{per: day, usd: '1'}]}\n",
                              "budgets: {limits: [{team: a, per: day}]}\n",
                              "budgets: {limit: []}\n", "golden: {file: a}\n", "io_threads: 0\n"}) {
        INFO(wrong);
        YAML::Node config = YAML::Load(good);
        YAML::Node more = YAML::Load(wrong);
        for (auto pair : more) config[pair.first.Scalar()] = pair.second;
        CHECK_FALSE(schema.fault(config).empty());
    }
    YAML::Node config = YAML::Load(good);
    config["policy"] = YAML::Load("{path: a.yaml, candidate: {path: b.yaml, percent: 5}}");
    CHECK_FALSE(schema.fault(config).empty());
}

TEST_CASE("every key that the configuration's readers take is in its schema", "[schema]") {
    Validator schema(text_of(source / "gateway/config.schema.json"));
    std::set<std::string> known;
    schema.keys(schema.root(), known);
    std::vector<std::filesystem::path> files;
    for (const char* file : {"config_yaml.cc", "budgets_yaml.cc", "policy_section.cc",
                             "golden_gate.cc", "learning/learning_section.cc"})
        files.push_back(source / "gateway" / file);
    std::set<std::string> taken = keys_taken(
        files,
        {std::regex(R"re((?:find|need|read_flag|read_int)\((?:\*?[a-z_]+, )?"([a-z_0-9]+)")re"),
         std::regex(R"re(std::pair\("([a-z]+)", BudgetOf)re")});
    CHECK(taken.size() > 55);
    for (const std::string& one : taken) {
        INFO(one);
        CHECK(known.contains(one));
    }
}
