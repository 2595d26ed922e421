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
        const Outcome all = run_on_cpu(folder.path(), hashed_tokens(), 2);
        Rows found;  // after every second token
        for (std::size_t i = 0; i < all.logits.size(); i += 2) found.push_back(all.logits[i]);
        const Rows want = golden_logits(model);
        REQUIRE(!want.empty());
        const Difference d = difference(want, found);
        CAPTURE(d.kl, d.share);
        CHECK(d.kl <= 1e-5);
        CHECK(d.share <= 0.01);
        const Rows states = golden_states(model);
        REQUIRE(states.size() == 8);
        for (std::size_t i = 0; i < states.size(); ++i) {
            const std::size_t token = (i + 1) * golden_state_step - 1;
            const StateDifference off = state_difference(states[i], all.hidden[token - 1]);
            CAPTURE(token, off.relative, off.cosine);
            CHECK(off.relative <= 1e-3);  // keys and values are f16
            CHECK(off.cosine >= 0.999999);
        }
    }
}
