// The GPU against Hugging Face transformers in float32: logits and states that
// compare_transformers.py computed, layer for layer, for bf16 models opened from folders of
// safetensors.
#include <catch2/catch.hpp>

#include "engine/cuda/cuda_device.h"
#include "tests/cuda/device_walk.h"
#include "tests/cuda/measured.h"
#include "tests/engine/all_logprobs.h"
#include "tests/engine/transformers_golden.h"

using namespace sluice;

namespace {

std::unique_ptr<Device> open_hashed(const HfFolder& folder, const HashedModel& model) {
    model.write_to(folder);
    const OpenedModel opened(folder.path());
    EngineOptions options;
    options.device = "cuda";
    options.sequences_max = 64;
    options.prefill_tokens_max = 128;
    options.context_tokens_max = 512;
    options.kv_tokens = 1024;
    auto device = open_cuda_device(options, opened.file, opened.network);
    if (!device) FAIL(device.error().message);
    return *std::move(device);
}

}  // namespace

TEST_CASE("the GPU computes what transformers computes, at each depth", "[cuda_device][large]") {
    const HashedModel& model = GENERATE(from_range(hashed_depths()));
    const std::string name = model.name + ", " + std::to_string(model.layers) + " layers";
    CAPTURE(name);
    const std::vector<Rows> logits = golden_logits(model);
    const std::vector<Rows> states = golden_states(model);
    if (logits.empty() || states.empty()) {
        say_missing("no tests/engine/golden here: not compared");
        return;
    }
    const HfFolder folder;
    const auto device = open_hashed(folder, model);
    StateDifference worst{0, 1};
    for (std::size_t prompt = 0; prompt < logits.size(); ++prompt) {
        const std::vector<TokenId>& tokens = hashed_prompts()[prompt];
        const int step = golden_step(prompt);
        for (int beside : {8, 64}) {  // both ways of multiplying
            Rows found;
            for (const auto& row : all_logprobs(*device, tokens, model.vocab, beside, step))
                found.emplace_back(row.begin(), row.end());
            const Difference d = difference(logits[prompt], found);
            CAPTURE(prompt, beside, d.kl, d.share);
            CHECK(d.kl <= 1e-4);
            CHECK(d.share <= 0.05);
        }
        // The same for the state after the final norm, which only a step's end gives.
        for (int count : {step, 4 * step}) {
            Walk walk(*device, 0, tokens);
            walk.hidden = true;
            while (walk.computed < static_cast<int>(tokens.size())) {
                const Sampled sampled = walk.run(count);
                const auto row = static_cast<std::size_t>(walk.computed / step - 1);
                const StateDifference d = state_difference(states[prompt][row], sampled.hidden);
                CAPTURE(prompt, count, row, d.relative, d.cosine);
                CHECK(d.relative <= 1e-2);
                CHECK(d.cosine >= 0.9999);
                worst = {std::max(worst.relative, d.relative), std::min(worst.cosine, d.cosine)};
            }
        }
    }
    keep_measured("bf16 " + name + ", relative L2 of the state", worst.relative, 1e-2);
    keep_measured("bf16 " + name + ", 1 - cosine of the state", 1 - worst.cosine, 1e-4);
}
