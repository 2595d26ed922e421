// Which chat template a model has, told by its digest.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "gateway/known_templates.h"
#include "policies/sha256.h"

using namespace sluice;

namespace {

std::string template_file(const std::string& name) {
    std::ifstream in(
        std::string(SLUICE_SOURCE_DIR) + "/tests/providers/chat_templates/" + name + ".jinja",
        std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("the templates that the tests render are known by their digests, others are not",
          "[templates]") {
    const auto named = [](const std::string& text) { return known_template(sha256_hex(text)); };
    CHECK(named(template_file("smollm2")) == "SmolLM2-Instruct");
    CHECK(named(template_file("qwen2_5")) == "Qwen2.5-Instruct");
    CHECK(
        named(template_file("r1_distill_qwen_2025_01")).starts_with("DeepSeek-R1-Distill of Jan"));
    CHECK(named(template_file("r1_distill_qwen_2025_02")) ==
          "DeepSeek-R1-Distill of February 2025");
    CHECK(named(template_file("r1_2025_03")) == "DeepSeek-R1 of March 2025");
    CHECK(named(template_file("qwen2_5") + "\n").empty());
    CHECK(named("").empty());
}
