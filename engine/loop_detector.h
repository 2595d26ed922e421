// Notices a generation that goes round in circles, as quantised reasoning models at times do until
// their window is full. One per sequence, one thread. Two ways:
// - every token: the last `tokens_min` tokens repeat one cycle of at most `period_max`, that is at
//   least sixteen times;
// - every `look_every` tokens: of the last `window`, at least `long_tokens_min` repeat one cycle of
//   at most `long_period_max` at least `long_rounds_min` times. Models repeat whole paragraphs.
//
// Why these numbers: what people ask for repeats as well - a refrain, equal lines of code, a list
// of three hundred zeros (three tokens each), an 18 x 18 matrix of them - and must not be cut, so
// the mark is beyond that, and twice as far for rows that are longer. What is asked for beyond
// 2,047 tokens of rows alike (1,023 of rows of at most 64) is cut: a 32 x 32 matrix of zeros has
// 2,080. And a loop found after 1,024
// or 2,048 tokens has cost a few percent of the 16,000 to 32,000 that a thought may take. Time: 64
// comparisons a token, some 60 ns, and 16 steps of the second way, some 40 ns.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/text/tokenizer.h"

namespace sluice {

class LoopDetector {
public:
    static constexpr std::size_t period_max = 64;
    static constexpr std::int32_t tokens_min = 1024;
    static constexpr std::size_t look_every = 256;
    static constexpr std::size_t window = 4096;
    static constexpr std::size_t long_tokens_min = 2048;
    static constexpr std::size_t long_period_max = 1024;
    static constexpr std::size_t long_rounds_min = 4;

    // `generated` ends with the newest token; to be called once for each. True: it loops.
    bool push(std::span<const TokenId> generated);

private:
    bool repeats_short(std::span<const TokenId> generated);
    static bool repeats_long(std::span<const TokenId> generated);

    // For each period but 0, how many tokens up to the newest equal the one a period before.
    std::array<std::int32_t, period_max + 1> equal_{};
};

}  // namespace sluice
