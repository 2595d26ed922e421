// The CPU engine against Hugging Face transformers: logits that compare_transformers.py computed
// in float32 for models whose weights both make from the same integers.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/forward.h"
#include "tests/engine/transformers_golden.h"

using namespace sluice;

TEST_CASE("the CPU engine computes what transformers computes", "[transformers]") {
    for (const HashedModel& model : hashed_models()) {
        CAPTURE(model.name);
        HfFolder folder;
        model.write_to(folder);
        auto file = ModelFile::open(folder.path());
        if (!file) FAIL(file.error().message);
        auto network = describe_network(**file);
        if (!network) FAIL(network.error().message);
        ComputeThreads threads(2);
        auto weights = pack_weights(**file, *network, threads);
        if (!weights) FAIL(weights.error().message);
        auto kernels = choose_kernels("");
        REQUIRE(kernels);
        auto forward =
            Forward::open(*network, *std::move(weights), **kernels, {64, 1, 16}, threads);
        REQUIRE(forward);
        const std::vector<TokenId> tokens = hashed_tokens();
        const std::vector<std::int32_t> pages = {3, 1, 2, 0, 5, 4, 7, 6};
        Rows found;
        for (std::size_t at = 0; at < tokens.size();) {
            const std::size_t count = at == 0 ? 2 : 1;  // every second one is asked for
            StepSequence step;
            step.tokens = std::span(tokens).subspan(at, count);
            step.position = static_cast<int>(at);
            step.pages = pages;
            step.sample = true;
            at += count;
            (*forward)->run({&step, 1});
            const std::span<float> logits = (*forward)->logits(0);
            if (at % 2 == 0) found.emplace_back(logits.begin(), logits.end());
        }
        const Rows want = golden_logits(model);
        REQUIRE(!want.empty());
        const Difference d = difference(want, found);
        CAPTURE(d.kl, d.share);
        CHECK(d.kl <= 1e-5);
        CHECK(d.share <= 0.01);
    }
}
