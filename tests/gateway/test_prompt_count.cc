// When a prompt is counted, and whose views learn it.
#include <catch2/catch.hpp>

#include "gateway/counted_prompt.h"

namespace sluice {
namespace {

constexpr std::int64_t window = 8'192;

ChatRequest asking(std::optional<std::int64_t> max_tokens = {}) {
    ChatRequest request;
    request.messages.emplace_back().parts.emplace_back().text = "What is two and two?";
    request.max_tokens = max_tokens;
    return request;
}

}  // namespace

TEST_CASE("by bands only what may not fit the engine is counted", "[counted]") {
    CHECK(count_for(asking(), 100, window, false) == CountFor::nobody);
    CHECK(count_for(asking(), 3'100, window, false) == CountFor::engine);
    CHECK(count_for(asking(8'000), 100, window, false) == CountFor::engine);
}

TEST_CASE("by value a text is counted for all, what the count leaves out is not", "[counted]") {
    CHECK(count_for(asking(), 100, window, true) == CountFor::all);
    CHECK(count_for(asking(), 3'100, window, true) == CountFor::all);
    CHECK(count_for(asking(), 16'385, 1'000'000, true) == CountFor::nobody);
    CHECK(count_for(asking(), 16'385, window, true) == CountFor::engine);
    ChatRequest tools = asking(), image = asking();
    tools.tools.emplace_back();
    image.messages.back().parts.emplace_back().kind = Part::Kind::image;
    CHECK(count_for(tools, 100, window, true) == CountFor::nobody);
    CHECK(count_for(image, 100, window, true) == CountFor::nobody);
    CHECK(count_for(image, 3'100, window, true) == CountFor::engine);
}

TEST_CASE("the window is the engine's, the count is for whom it is for", "[counted]") {
    Upstream engine, hosted;
    engine.vendor.name = "engine";
    hosted.vendor.name = "openai";
    auto views = [&](CountFor whom) {
        std::vector<UpstreamView> out(2);
        out[0].upstream = &engine;
        out[1].upstream = &hosted;
        put_count(whom, 7, window, out);
        CHECK(out[0].window_tokens == window);
        CHECK(out[1].window_tokens == 0);
        return std::pair(out[0].input_tokens, out[1].input_tokens);
    };
    using Counts = std::pair<std::int64_t, std::int64_t>;
    CHECK(views(CountFor::engine) == Counts(7, 0));
    CHECK(views(CountFor::all) == Counts(7, 7));
    std::vector<UpstreamView> none(1);
    none[0].upstream = &engine;
    put_count(CountFor::nobody, 0, window, none);
    CHECK(none[0].input_tokens == 0);
}

}  // namespace sluice
