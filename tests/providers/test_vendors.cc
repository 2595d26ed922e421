#include <catch2/catch.hpp>
#include <set>

#include "providers/error_table.h"
#include "providers/vendor.h"
#include "providers/yaml_cursor.h"

using namespace sluice;

TEST_CASE("the built-in vendors are all there", "[vendors]") {
    const Vendors& vendors = builtin_vendors();
    for (const char* name : {"together", "fireworks", "deepseek", "openai", "anthropic", "ollama",
                             "vllm", "sglang", "simulated-openai", "simulated-anthropic"}) {
        INFO(name);
        REQUIRE(vendors.count(name) == 1);
        const Vendor& vendor = vendors.find(name)->second;
        CHECK(vendor.name == name);
        CHECK(vendor.simulated == (vendor.name.rfind("simulated-", 0) == 0));
        CHECK(vendor.base_url.empty() == vendor.simulated);
    }
    CHECK(vendors.size() == 10);
    const Vendor& anthropic = vendors.find("anthropic")->second;
    CHECK(anthropic.dialect == "anthropic_messages");
    CHECK(anthropic.auth_header == "x-api-key");
    CHECK(anthropic.auth_prefix.empty());
    CHECK(anthropic.headers.at("anthropic-version") == "2023-06-01");
    const Vendor& openai = vendors.find("openai")->second;
    CHECK(openai.max_tokens_field == "max_completion_tokens");
    CHECK(openai.auth_prefix == "Bearer ");
    CHECK(openai.developer_role);
}

TEST_CASE("each fault of a vendor file is named by line and column", "[vendors]") {
    std::vector<Fault> faults;
    Vendors vendors = read_vendors(
        "version: 1\n"
        "vendors:\n"
        "  good: {dialect: openai_chat, base_url: 'http://x/'}\n"
        "  worse: {dialect: openai, base_url: ftp://x}\n"
        "  typo: {dialect: openai_chat, stream_option: true}\n"
        "  engine: {dialect: openai_chat}\n",
        "v.yaml", faults);
    std::vector<std::string> said;
    for (const Fault& fault : faults) said.push_back(fault.text());
    REQUIRE(said.size() == 4);
    CHECK(said[0] ==
          "v.yaml:4:38: vendors.worse.base_url: expected a URL that starts with "
          "https:// or http://, got 'ftp://x'");
    CHECK(said[1] ==
          "v.yaml:4:20: vendors.worse.dialect: expected one of openai_chat, "
          "anthropic_messages, got 'openai'");
    CHECK(said[2] ==
          "v.yaml:5:32: vendors.typo: unknown key 'stream_option', did you mean "
          "'stream_options'?");
    CHECK(said[3].find("'engine' is the embedded engine") != std::string::npos);
    CHECK(vendors.size() == 1);
    CHECK(vendors.at("good").base_url == "http://x");
}

TEST_CASE("every error has a name of its own, a status and a type", "[errors]") {
    std::set<std::string_view> names;
    for (int code = 0; code <= static_cast<int>(Errc::internal); ++code) {
        auto errc = static_cast<Errc>(code);
        CHECK(names.insert(errc_name(errc)).second);
        CHECK_FALSE(errc_name(errc).empty());
        const ErrorRow& row = error_row(errc);
        CHECK(row.status >= 400);
        CHECK(row.status <= 504);
        CHECK_FALSE(row.openai_type.empty());
        CHECK_FALSE(row.anthropic_type.empty());
    }
    CHECK(errc_name(Errc::unauthorized) == "unauthorized");
    CHECK(errc_name(Errc::upstream_failed) == "upstream_failed");
    CHECK(error_row(Errc::over_budget).status == 402);
    CHECK(error_row(Errc::upstream_failed).another_attempt_may_help);
    CHECK_FALSE(error_row(Errc::invalid_request).another_attempt_may_help);
}
