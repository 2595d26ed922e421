#include <catch2/catch.hpp>

#include "gateway/local_stream.h"
#include "tests/engine/starter_model.h"
#include "tests/gateway/run_io.h"

using namespace sluice;

TEST_CASE("the starter model answers through a local stream", "[local_stream][model]") {
    const auto path = starter_model();
    if (!path) {
        WARN("the starter model is not here: deploy/get-model smollm2-135m");
        return;
    }
    EngineOptions options;
    options.model_path = *path;
    options.context_tokens_max = 512;
    auto engine = Engine::open(options);
    REQUIRE(engine);
    auto provider = LocalProvider::create(**engine, LocalOptions());
    REQUIRE(provider);
    Upstream upstream;
    upstream.name = "local-starter";
    Stop stop;
    net::io_context io(1);
    ChatRequest request;
    request.messages.emplace_back();
    request.messages[0].parts.emplace_back();
    request.messages[0].parts[0].text = "hi";
    request.temperature = 0;
    request.max_tokens = 6;
    auto stream =
        open_local_stream(**engine, **provider, request, {}, upstream, stop, io.get_executor());
    REQUIRE(stream);
    std::string text;
    Result<Delta> delta;
    fake::run_io(io, [&]() -> net::awaitable<void> {
        do {
            delta = co_await (*stream)->next();
            if (delta) text += delta->text;
        } while (delta && !delta->last);
    });
    REQUIRE(delta);
    CHECK_FALSE(text.empty());
    CHECK(delta->finish == Finish::length);
    CHECK(delta->usage.output() == 6);
    CHECK(delta->usage.input() == 31);  // as many as llama.cpp counts in this prompt
}
