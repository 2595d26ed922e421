// Labels of a made-up world for tests of learning: requests about `easy` and `hard` things, told
// apart by one word, that the shipped prior does not tell apart.
#pragma once

#include <random>

#include "policies/learner.h"

namespace sluice {

struct LearnedWorld {
    std::mt19937 random{1};

    static OnlineFeatures about(bool hard, std::uint16_t noise = 0) {
        OnlineFeatures out;
        const std::uint16_t words[] = {static_cast<std::uint16_t>(hard ? 7 : 8), noise};
        keep_words(words, out);
        out.prior = {0.0F, 0.5F};
        return out;
    }

    // The local tier fails at hard requests, the frontier at neither.
    OutcomeLabel next() {
        OutcomeLabel label;
        bool hard = random() % 2 == 0;
        label.features = about(hard, static_cast<std::uint16_t>(100 + random() % 1'000));
        label.local = random() % 10 < (hard ? 1U : 9U) ? 1.0 : 0.0;
        label.frontier = random() % 10 < 9 ? 1.0 : 0.0;
        label.team = "support";
        label.key_id = "bot";
        return label;
    }
};

}  // namespace sluice
