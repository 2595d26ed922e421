// A step of the CUDA device that is under way, and what comes back of it. The engine thread's
// alone.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/cuda/dims.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/sample.h"
#include "engine/device.h"

namespace sluice::cuda {

// A step under way: where its results come to, and when it began and ended.
struct Flight {
    struct Asked {
        int slot, top_logprobs;
        bool hidden;
    };
    std::vector<Asked> asked;  // those that choose a token, in the step's order
    PinnedMemory results;      // SampleResult [S]
    PinnedMemory top;          // TopLogprob [S, top_logprobs_max]
    PinnedMemory hidden;       // f16 or bf16 [S, H]
    Event begun, done;

    Flight(std::size_t seats, std::size_t hidden_width)
        : results(take_pinned_memory(seats * sizeof(SampleResult))),
          top(take_pinned_memory(seats * top_logprobs_max * sizeof(TopLogprob))),
          hidden(take_pinned_memory(seats * hidden_width * sizeof(f16))),
          begun(make_event(cudaEventDefault)),
          done(make_event(cudaEventDefault)) {}

    // What the one at `index` of `asked` was given, once the step is done. `tokens`: ids that are
    // in the vocabulary; `width` of its hidden state, in `brain` (bf16) or f16.
    Sampled sampled(std::size_t index, int tokens, std::size_t width, bool brain) const;
};

inline double seconds_between(const Event& first, const Event& second) {
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, first.get(), second.get()));
    return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace sluice::cuda
