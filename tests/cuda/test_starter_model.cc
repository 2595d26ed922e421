// The starter model on the GPU against the CPU device, fed the same tokens. Skipped without it.
#include <catch2/catch.hpp>
#include <cmath>
#include <optional>

#include "engine/calibration_text.h"
#include "engine/cpu/cpu_device.h"
#include "engine/cuda/cuda_device.h"
#include "engine/text/tokenizer.h"
#include "tests/cuda/device_walk.h"
#include "tests/engine/starter_model.h"

using namespace sluice;

namespace {

EngineOptions options_of(const char* device, const char* kv = "bf16") {
    EngineOptions options;
    options.device = device;
    options.sequences_max = 2;
    options.prefill_tokens_max = 512;
    options.context_tokens_max = 512;
    options.kv_tokens = 2048;
    options.kv_format = kv;
    return options;
}

float logprob_of(const Sampled& sampled, TokenId token) {
    for (const TokenLogprob& one : sampled.logprobs.top)
        if (one.token == token) return one.logprob;
    return -INFINITY;
}

// The sum of p |log p - log q| over the CPU's 20 best, and equal choices where they are clear.
void compare(const Sampled& gpu, const Sampled& cpu, double& distance) {
    REQUIRE_FALSE(gpu.failed);
    if (cpu.signals.margin > 0.1F) CHECK(gpu.token == cpu.token);
    for (std::size_t i = 0; i < 10; ++i) {
        const TokenLogprob& one = cpu.logprobs.top[i];
        const double p = std::exp(static_cast<double>(one.logprob));
        if (p < 1e-4) break;
        distance += p * std::abs(static_cast<double>(one.logprob - logprob_of(gpu, one.token)));
    }
}

struct Starter {
    OpenedModel model;
    std::shared_ptr<const Tokenizer> tokenizer;
};

std::optional<Starter> open_starter() {
    const auto path = starter_model();
    if (!path) {
        say_missing("skipped: the starter model is not here (deploy/get-model smollm2-135m)");
        return {};
    }
    OpenedModel model(*path);
    auto tokenizer = Tokenizer::from_file(*model.file);
    REQUIRE(tokenizer);
    return Starter{std::move(model), *std::move(tokenizer)};
}

}  // namespace

TEST_CASE("the starter model says the same on GPU and CPU", "[starter_model]") {
    const std::optional<Starter> starter = open_starter();
    if (!starter) return;
    const auto& [model, tokenizer] = *starter;
    auto gpu = open_cuda_device(options_of("cuda"), model.file, model.network);
    if (!gpu) FAIL(gpu.error().message);
    auto cpu = open_cpu_device(options_of("cpu"), model.file, model.network);
    if (!cpu) FAIL(cpu.error().message);
    const char* texts[] = {
        "The history of the city begins with a river. Its first people came from the south, and",
        "def fibonacci(n):\n    if n < 2:\n        return n\n    return ",
        "1, 1, 2, 3, 5, 8, 13, 21, 34, ", "你好世界。今天的天气很好，我们去公园",
        "Emoji like 😀 and 🚀 are encoded as four bytes in UTF-8. For example"};
    double distance = 0;
    int steps = 0;
    for (const char* text : texts) {
        std::vector<TokenId> tokens = tokenizer->encode(text, false, false);
        const auto prompt = static_cast<int>(tokens.size());
        Walk on_gpu(**gpu, 0, tokens);
        Walk on_cpu(**cpu, 0, tokens);
        Sampled told_gpu = on_gpu.run(prompt);
        Sampled told_cpu = on_cpu.run(prompt);
        for (int i = 0; i < 40; ++i, ++steps) {
            compare(told_gpu, told_cpu, distance);
            on_gpu.tokens.push_back(told_cpu.token);
            on_cpu.tokens.push_back(told_cpu.token);
            told_gpu = on_gpu.run(1);
            told_cpu = on_cpu.run(1);
        }
    }
    CHECK(distance / steps < 0.02);
}

TEST_CASE("the starter model says much the same with fp8 keys and values", "[starter_model]") {
    const std::optional<Starter> starter = open_starter();
    if (!starter) return;
    const auto& [model, tokenizer] = *starter;
    auto exact = open_cuda_device(options_of("cuda"), model.file, model.network);
    if (!exact) FAIL(exact.error().message);
    auto coded = open_cuda_device(options_of("cuda", "fp8"), model.file, model.network);
    if (!coded) FAIL(coded.error().message);
    REQUIRE((*coded)->calibrate(tokenizer->encode(calibration_text, false, true)));
    std::vector<TokenId> tokens = tokenizer->encode(
        "The history of the city begins with a river. Its first "
        "people came from the south, and",
        false, false);
    const auto prompt = static_cast<int>(tokens.size());
    Walk one(**exact, 0, tokens);
    Walk other(**coded, 0, tokens);
    Sampled want = one.run(prompt);
    Sampled got = other.run(prompt);
    double distance = 0;
    int clear = 0, same = 0;
    constexpr int steps = 120;
    for (int i = 0; i < steps; ++i) {
        REQUIRE_FALSE(got.failed);
        for (std::size_t n = 0; n < 10; ++n) {
            const TokenLogprob& best = want.logprobs.top[n];
            if (best.logprob < std::log(1e-3F)) break;
            distance += std::exp(static_cast<double>(best.logprob)) *
                        std::abs(static_cast<double>(best.logprob - logprob_of(got, best.token)));
        }
        clear += want.signals.margin > 0.5F;
        same += want.signals.margin > 0.5F && got.token == want.token;
        one.tokens.push_back(want.token);
        other.tokens.push_back(want.token);
        want = one.run(1);
        got = other.run(1);
    }
    CAPTURE(clear, same);
    CHECK(clear >= steps / 4);
    CHECK(same >= clear - clear / 50);
    CHECK(distance / steps < 0.1);
}
