// The CPU engine against Hugging Face transformers: logits and states that compare_transformers.py
// computed in float32, layer for layer, for models whose weights both make from the same integers.
#include <catch2/catch.hpp>

#include "tests/engine/cpu_logits.h"
#include "tests/engine/transformers_golden.h"

using namespace sluice;

TEST_CASE("the CPU engine computes what transformers computes, at each depth", "[transformers]") {
    for (const HashedModel& model : hashed_depths()) {
        CAPTURE(model.name, model.layers);
        HfFolder folder;
        model.write_to(folder);
        const std::vector<Rows> logits = golden_logits(model);
        const std::vector<Rows> states = golden_states(model);
        REQUIRE(!logits.empty());
        REQUIRE(!states.empty());
        for (std::size_t prompt = 0; prompt < logits.size(); ++prompt) {
            const auto step = static_cast<std::size_t>(golden_step(prompt));
            const Outcome all = run_on_cpu(folder.path(), hashed_prompts()[prompt], step);
            Rows found;
            for (std::size_t i = 0; i < all.logits.size(); i += step) {
                found.push_back(all.logits[i]);
                const StateDifference off =
                    state_difference(states[prompt][found.size() - 1], all.hidden[i]);
                CAPTURE(prompt, found.size(), off.relative, off.cosine);
                CHECK(off.relative <= 1e-3);  // keys and values are f16
                CHECK(off.cosine >= 0.999999);
            }
            const Difference d = difference(logits[prompt], found);
            CAPTURE(prompt, d.kl, d.share);
            CHECK(d.kl <= 1e-5);
            CHECK(d.share <= 0.01);
        }
    }
}
