// The face between the scheduler and what computes. The scheduler says which tokens of which
// sequences to run through the network; the device runs them and chooses the next tokens.
// One user at a time: the engine thread. A device owns the weights, the KV pages and its threads.
//
// begin() enqueues a step and finish() waits for its results, so that a device with its own queue
// (CUDA) can overlap the host's work with the step; the CPU device computes in finish().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/result.h"

namespace sluice {

// One sequence's part of a step. Pointers stay valid until finish() returns.
struct StepSequence {
    int slot = 0;                         // 0..sequences_max-1, the sequence's seat while it runs
    std::span<const TokenId> tokens;      // new tokens to run: 1 in decode, more in prefill; at
                                          // times others than what was chosen in the last step
    int position = 0;                     // position of tokens[0]; KV before it is in the pages
    std::span<const std::int32_t> pages;  // page ids, position / page_tokens indexes it
    bool sample = false;                  // choose a token after the last one of `tokens`
    const Sampling* sampling = nullptr;
    std::span<const TokenId> history;  // prompt and generated tokens, for the penalties
    int prompt_tokens = 0;             // how many of `history` are the prompt
    std::uint64_t draw = 0;            // random bits for this token, from the sequence's seed
};

struct Sampled {
    int slot = 0;
    TokenId token = 0;
    TokenSignals signals;
    ChosenLogprob logprobs;  // filled when sampling->top_logprobs >= 0 (bytes left empty)
    bool failed = false;     // NaN in this sequence's logits
};

struct DeviceInfo {
    int page_tokens = 0;     // P: tokens a KV page
    std::int64_t pages = 0;  // pages in the pool
    std::int64_t weight_bytes = 0;
    std::int64_t kv_bytes = 0;
};

class Device {
public:
    virtual ~Device() = default;
    virtual const DeviceInfo& info() const = 0;
    virtual Status begin(std::span<const StepSequence> step) = 0;
    // One entry per StepSequence with .sample, in order. An error means the device is lost.
    virtual Result<std::span<const Sampled>> finish() = 0;
    // No sequence holds a page and none has for a while: what was only theirs may be let go.
    virtual void rest() {}
};

}  // namespace sluice
