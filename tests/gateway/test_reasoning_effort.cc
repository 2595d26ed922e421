#include <catch2/catch.hpp>

#include "gateway/reasoning_effort.h"
#include "providers/dialect.h"

namespace sluice {

TEST_CASE("a policy's effort replaces what the caller said of thinking, in every dialect",
          "[effort]") {
    ChatRequest request;
    request.model = "auto";
    request.reasoning_effort = "high";
    request.thinking_tokens_max = 30'000;
    request.extra = {{"thinking", R"({"type":"enabled","budget_tokens":30000})"},
                     {"output_config", R"({"effort":"high"})"},
                     {"metadata", R"({"a":1})"}};
    request.messages.emplace_back().parts.emplace_back().text = "hi";
    auto low = with_effort(request, "low");
    CHECK(low->reasoning_effort == "low");
    CHECK_FALSE(low->thinking_tokens_max);
    REQUIRE(low->extra.size() == 1);
    CHECK(low->extra[0].first == "metadata");
    CHECK(low->messages.size() == 1);
    CHECK(request.reasoning_effort == "high");  // the caller's own is as it was
    Upstream upstream;
    upstream.model = "m";
    for (const char* dialect : {"openai_chat", "anthropic_messages"}) {
        std::string wire = find_dialect(dialect)->write_request(*low, upstream);
        INFO(wire);
        CHECK(wire.find("\"low\"") != std::string::npos);
        CHECK(wire.find("high") == std::string::npos);
        CHECK(wire.find("30000") == std::string::npos);
    }
}

}  // namespace sluice
