// Biases and penalties: what each does to a logit, and that each sequence's hold, however many
// tokens the others of its step change.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "engine/cuda/cuda_device.h"
#include "engine/sampler.h"
#include "tests/cuda/device_walk.h"
#include "tests/engine/tiny_model.h"
#include "tests/engine/transformers_golden.h"

using namespace sluice;

namespace {

// By the formulas of engine/sampler.h, plainly.
std::vector<double> adjusted(std::vector<double> logits, const Sampling& sampling,
                             std::span<const TokenId> history, std::size_t prompt_tokens) {
    for (const auto& [token, bias] : sampling.logit_bias)
        logits[static_cast<std::size_t>(token)] += static_cast<double>(bias);
    for (std::size_t token = 0; token < logits.size(); ++token) {
        const auto count = [token](std::span<const TokenId> of) {
            return static_cast<double>(std::ranges::count(of, static_cast<TokenId>(token)));
        };
        double& logit = logits[token];
        const auto repetition = static_cast<double>(sampling.repetition_penalty);
        if (count(history) > 0) logit = logit > 0 ? logit / repetition : logit * repetition;
        const double answered = count(history.subspan(prompt_tokens));
        logit -= answered * static_cast<double>(sampling.frequency_penalty);
        if (answered > 0) logit -= static_cast<double>(sampling.presence_penalty);
    }
    return logits;
}

std::vector<TokenId> best_first(const std::vector<double>& logits) {
    std::vector<TokenId> out(logits.size());
    std::iota(out.begin(), out.end(), 0);
    std::ranges::sort(out, [&](TokenId a, TokenId b) {
        return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    return out;
}

Sampling penalties(float presence, float frequency, float repetition) {
    Sampling out;
    out.temperature = 0.0F;
    out.presence_penalty = presence;
    out.frequency_penalty = frequency;
    out.repetition_penalty = repetition;
    return out;
}

TinyModel shape_of(TensorType type, int vocab) {
    TinyModel out;
    out.type = type;
    out.head_dim = out.rope_dims = 64;
    out.hidden = 256;
    out.ffn = 512;
    out.vocab = vocab;
    return out;
}

// So many of Walk's sequences, eight pages each.
EngineOptions options_for(int sequences) {
    EngineOptions out;
    out.device = "cuda";
    out.sequences_max = sequences;
    out.prefill_tokens_max = 256;
    out.kv_tokens = sequences * 8 * 64;
    return out;
}

}  // namespace

TEST_CASE("each kind of bias and penalty moves logits as the CPU's sampler moves them",
          "[adjustments]") {
    const TinyModel shape = shape_of(TensorType::f16, 331);
    const TempFile bytes(shape.bytes());
    const OpenedModel model(bytes.path());
    auto device = open_cuda_device(options_for(4), model.file, model.network);
    if (!device) FAIL(device.error().message);
    const std::vector<TokenId> tokens = {11, 57, 321, 42, 7, 99, 31, 8};
    const std::vector<double> raw = PlainNetwork(*model.file, shape).logits(tokens).back();
    const std::vector<double> logprobs = log_softmax_of(raw);
    const std::vector<TokenId> best = best_first(raw);

    const Sampling kinds[] = {penalties(0.9F, 0.0F, 1.0F), penalties(-0.9F, 0.0F, 1.0F),
                              penalties(0.0F, 0.4F, 1.0F), penalties(0.0F, -0.3F, 1.0F),
                              penalties(0.0F, 0.0F, 1.7F), penalties(0.0F, 0.0F, 0.6F),
                              penalties(0.5F, 0.2F, 1.3F)};
    std::mt19937 random(5);
    int clear = 0, moved = 0, runs = 0;
    for (const Sampling& kind : kinds)
        for (int i = 0; i < 12; ++i) {
            Sampling sampling = kind;
            std::vector<TokenId> history;
            for (int n = 0; n < 40; ++n) history.push_back(best[random() % 25]);
            const std::size_t prompt = random() % 40;
            if (i % 3 == 0) sampling.logit_bias = {{best[random() % 25], 0.7F}, {best[0], -0.4F}};
            const std::vector<double> want = adjusted(raw, sampling, history, prompt);
            const std::vector<TokenId> order = best_first(want);
            const auto of = [](const std::vector<double>& all, TokenId token) {
                return all[static_cast<std::size_t>(token)];
            };
            ++runs;
            if (of(want, order[0]) - of(want, order[1]) < 0.05) continue;
            ++clear;
            moved += order[0] != best[0];
            Walk walk(**device, i % 4, tokens);
            StepSequence sequence = walk.next(static_cast<int>(tokens.size()));
            sequence.sampling = &sampling;
            sequence.history = history;
            sequence.prompt_tokens = static_cast<int>(prompt);
            std::vector<float> row(raw.begin(), raw.end());
            CHECK(sample(row, sequence).token == order[0]);
            const StepSequence step[] = {sequence};
            REQUIRE((*device)->begin(step));
            auto sampled = (*device)->finish();
            REQUIRE(sampled);
            CHECK((*sampled)[0].token == order[0]);
            // Of its raw logit.
            CHECK(static_cast<double>((*sampled)[0].signals.logprob) ==
                  Approx(of(logprobs, order[0])).margin(0.02));
        }
    CHECK(clear > runs / 2);
    CHECK(moved > runs / 3);
}

TEST_CASE("the last of a crowd keeps its bias when the others change the whole vocabulary",
          "[adjustments]") {
    TinyModel shape = shape_of(TensorType::q8_0, 160'000);
    shape.context = 170'000;
    const TempFile bytes(shape.bytes());
    const OpenedModel model(bytes.path());
    auto device = open_cuda_device(options_for(8), model.file, model.network);
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
