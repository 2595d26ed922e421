// The GPU against Hugging Face transformers in float32: logits that compare_transformers.py
// computed, for bf16 models opened from folders of safetensors.
#include <catch2/catch.hpp>

#include "engine/cuda/cuda_device.h"
#include "tests/engine/all_logprobs.h"
#include "tests/engine/transformers_golden.h"

using namespace sluice;

TEST_CASE("the GPU computes what transformers computes", "[cuda_device]") {
    const HashedModel& model = GENERATE(from_range(hashed_models()));
    CAPTURE(model.name);
    const Rows want = golden_logits(model);
    if (want.empty()) {
        WARN("no tests/engine/golden here: not compared");
        return;
    }
    HfFolder folder;
    model.write_to(folder);
    auto file = ModelFile::open(folder.path());
    if (!file) FAIL(file.error().message);
    auto network = describe_network(**file);
    if (!network) FAIL(network.error().message);
    EngineOptions options;
    options.device = "cuda";
    options.sequences_max = 64;
    options.prefill_tokens_max = 64;
    options.context_tokens_max = 512;
    options.kv_tokens = 1024;
    auto device = open_cuda_device(options, *file, *network);
    if (!device) FAIL(device.error().message);
    for (int beside : {8, 64}) {  // both ways of multiplying
        Rows found;
        const auto all = all_logprobs(**device, hashed_tokens(), model.vocab, beside);
        for (std::size_t at = 1; at < all.size(); at += 2)
            found.emplace_back(all[at].begin(), all[at].end());
        const Difference d = difference(want, found);
        CAPTURE(beside, d.kl, d.share);
        CHECK(d.kl <= 1e-4);
        CHECK(d.share <= 0.05);
    }
}
