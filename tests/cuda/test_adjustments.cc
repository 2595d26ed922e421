// Biases and penalties of a whole crowd in one step: each sequence's hold, however many tokens the
// others change.
#include <catch2/catch.hpp>
#include <numeric>

#include "engine/cuda/cuda_device.h"
#include "tests/cuda/device_walk.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

TEST_CASE("the last of a crowd keeps its bias when the others change the whole vocabulary",
          "[adjustments]") {
    TinyModel shape;
    shape.type = TensorType::q8_0;
    shape.head_dim = shape.rope_dims = 64;
    shape.hidden = 256;
    shape.ffn = 512;
    shape.vocab = 160'000;
    shape.context = 170'000;
    const TempFile bytes(shape.bytes());
    const OpenedModel model(bytes.path());
    EngineOptions options;
    options.device = "cuda";
    options.sequences_max = 8;
    options.prefill_tokens_max = 256;
    options.kv_tokens = 8 * 8 * 64;
    auto device = open_cuda_device(options, model.file, model.network);
    if (!device) FAIL(device.error().message);
    const std::vector<TokenId> tokens = {11, 57, 140'321, 4242, 7, 99'000, 31, 8};
    Sampling greedy;
    greedy.temperature = 0.0F;
    Walk alone(**device, 7, tokens);
    alone.sampling = greedy;
    const Sampled plain = alone.run(4);
    // Another token forced, alone.
    constexpr TokenId forced = 77'777;
    REQUIRE(plain.token != forced);
    Sampling biased = greedy;
    biased.logit_bias = {{forced, 50.0F}};
    const auto last = [&](Walk& walk) {
        walk.computed = 0;
        StepSequence part = walk.next(4);
        part.sampling = &biased;
        return part;
    };
    const StepSequence one[] = {last(alone)};
    REQUIRE((*device)->begin(one));
    auto sampled = (*device)->finish();
    REQUIRE(sampled);
    const Sampled wanted = (*sampled)[0];
    REQUIRE(wanted.token == forced);
    CHECK(wanted.signals.logprob < plain.signals.logprob);  // of its raw logit

    std::vector<TokenId> whole(160'000);
    std::iota(whole.begin(), whole.end(), 0);
    Sampling all = greedy;
    all.repetition_penalty = 1.1F;
    for (TokenId token = 0; token < Sampling::logit_bias_max; ++token)
        all.logit_bias.emplace_back(token, 0.5F);
    std::vector<Walk> others;
    for (int seat = 0; seat < 7; ++seat) others.emplace_back(**device, seat, tokens);
    for (const int count : {4, 1}) {  // launched as a prompt's step, then as one that decodes
        std::vector<StepSequence> step;
        for (Walk& other : others) {
            step.push_back(other.next(count));
            step.back().sampling = &all;
            step.back().history = whole;
            step.back().prompt_tokens = static_cast<int>(whole.size());
        }
        if (count == 4) step.push_back(last(alone));
        Status begun = (*device)->begin(step);
        if (!begun) FAIL(begun.error().message);
        sampled = (*device)->finish();
        REQUIRE(sampled);
        REQUIRE(sampled->size() == step.size());
        for (const Sampled& each : *sampled) CHECK_FALSE(each.failed);
        if (count != 4) continue;
        CHECK(sampled->back().token == forced);
        CHECK(sampled->back().signals.logprob == Approx(wanted.signals.logprob).margin(0.02));
    }
    // More than there are places for is refused, never dropped.
    StepSequence beyond = last(alone);
    whole.resize(170'001);
    beyond.history = whole;
    const StepSequence refused[] = {beyond};
    CHECK_FALSE((*device)->begin(refused));
}
