// On the CPU device a token's keys and values have the same bits in whatever step they are
// computed, so an answer after a cached beginning must be the cold one bit for bit.
#include "engine/cpu/cpu_device.h"
#include "tests/engine/scheduler_rig.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

namespace {

std::unique_ptr<Engine> open_tiny(const std::string& path, int prefill_tokens_max) {
    auto file = GgufFile::open(path);
    REQUIRE(file);
    auto network = describe_network(**file);
    REQUIRE(network);
    EngineOptions options;
    options.threads = 2;
    options.sequences_max = 4;
    options.prefill_tokens_max = prefill_tokens_max;
    options.kv_tokens = 640;
    auto device = open_cpu_device(options, *file, *network);
    REQUIRE(device);
    ModelInfo model;
    model.context_tokens = network->context_tokens;
    auto engine =
        make_engine(options, *std::move(device), std::make_shared<FakeTokenizer>(), model);
    REQUIRE(engine);
    return *std::move(engine);
}

// An answer with all that the device said of it.
struct Told {
    std::vector<TokenId> tokens;
    std::vector<float> logprobs;  // the chosen one's and twenty more, token by token
    int cached = -1;
    bool operator==(const Told& other) const {
        return tokens == other.tokens && logprobs == other.logprobs;
    }
};

Told ask(Engine& engine, const std::vector<TokenId>& prompt, const std::string& tenant) {
    Told told;
    Client client;
    Sampling sampling = limited(40, 7);
    sampling.top_logprobs = 20;
    SubmitOptions options;
    options.cache_tenant = tenant;
    auto id = engine.submit(
        prompt, sampling,
        [&, sink = client.sink()](Piece& piece) {
            for (const ChosenLogprob& one : piece.logprobs) {
                told.logprobs.push_back(one.chosen.logprob);
                for (const TokenLogprob& top : one.top) told.logprobs.push_back(top.logprob);
            }
            return sink(piece);
        },
        options);
    REQUIRE(id);
    REQUIRE(client.wait_last());
    told.tokens = client.tokens_;
    told.cached = client.last_.cached_prompt_tokens;
    return told;
}

}  // namespace

TEST_CASE("an answer after a cached beginning is the cold one bit for bit", "[prefix][device]") {
    TinyModel tiny;
    TempFile file(tiny.bytes());
    auto engine = open_tiny(file.path(), 64);
    auto cold_engine = open_tiny(file.path(), 23);
    std::mt19937 random(5);
    std::vector<TokenId> start;
    for (int i = 0; i < 150; ++i) start.push_back(static_cast<TokenId>(random() % 51));
    int hits = 0;
    for (int round = 0; round < 24; ++round) {
        std::vector<TokenId> prompt(start.begin(), start.begin() + 40 + (round % 8) * 15);
        for (int i = 0; i < round % 5; ++i) prompt.push_back(static_cast<TokenId>(random() % 51));
        const Told cold = ask(*cold_engine, prompt, "");
        const Told warm = ask(*engine, prompt, "acme");
        REQUIRE(cold.tokens.size() == 40);
        REQUIRE(warm == cold);
        CHECK(cold.cached == 0);
        CHECK(warm.cached % 32 == 0);
        CHECK(warm.cached < static_cast<int>(prompt.size()));
        hits += warm.cached > 0;
        // The next turn of the conversation finds the answer's pages too.
        prompt.insert(prompt.end(), warm.tokens.begin(), warm.tokens.end());
        prompt.push_back(3);
        const Told next = ask(*engine, prompt, "acme");
        REQUIRE(next == ask(*cold_engine, prompt, ""));
        CHECK(next.cached >= static_cast<int>(prompt.size()) - 2 - 32);
    }
    CHECK(hits > 10);
}
