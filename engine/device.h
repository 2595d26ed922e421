// The face between the scheduler and what computes. The scheduler says which tokens of which
// sequences to run through the network; the device runs them and chooses the next tokens.
// One user at a time: the engine thread. A device owns the weights, the KV pages and its threads.
//
// begin() enqueues a step and finish() waits for the results of the oldest that was begun. A device
// with a queue of its own (CUDA) takes the next step while one is under way, so that it never waits
// for the host; the CPU device computes in finish(). Steps run in the order in which they were
// begun: a page or a slot may be another's in the very next step.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/result.h"

namespace sluice {

// In a step begun while the one before is under way: the token that is chosen there for the slot.
constexpr TokenId chosen_token = -1;

// One sequence's part of a step. Pointers stay valid until begin() returns, and until finish() does
// where the device takes one step at a time.
struct StepSequence {
    int slot = 0;                         // 0..sequences_max-1, the sequence's seat while it runs
    std::span<const TokenId> tokens;      // new tokens to run: 1 in decode, more in prefill; at
                                          // times others than what was chosen in the last step;
                                          // or chosen_token alone
    int position = 0;                     // position of tokens[0]; KV before it is in the pages
    std::span<const std::int32_t> pages;  // page ids, position / page_tokens indexes it
    bool sample = false;                  // choose a token after the last one of `tokens`
    const Sampling* sampling = nullptr;
    std::span<const TokenId> history;  // prompt and generated tokens, for the penalties: none are
                                       // asked for beside chosen_token
    int prompt_tokens = 0;             // how many of `history` are the prompt
    std::uint64_t draw = 0;            // random bits for this token, from the sequence's seed
    bool hidden = false;               // Sampled::hidden is wanted
};

struct Sampled {
    int slot = 0;
    TokenId token = 0;
    TokenSignals signals;
    ChosenLogprob logprobs;  // filled when sampling->top_logprobs >= 0 (bytes left empty)
    bool failed = false;     // NaN in this sequence's logits
    float probe = std::numeric_limits<float>::quiet_NaN();  // of the device's EngineOptions::probe
    std::vector<float> hidden;  // state after the final norm, where wanted
};

// What a page holds, copied between the pool and the swap room: memory outside the pool for
// sequences that gave way.
struct PageMove {
    enum class To { room, pool };
    std::int32_t page = 0;   // of the pool
    std::int32_t place = 0;  // of the room
    To to = To::room;
};

struct DeviceInfo {
    int page_tokens = 0;          // P: tokens a KV page
    std::int64_t pages = 0;       // pages in the pool
    std::int64_t swap_pages = 0;  // places in the swap room
    std::int64_t weight_bytes = 0;
    std::int64_t kv_bytes = 0;
    int steps_max = 1;   // begun and not finished: 1 or 2
    bool rests = false;  // rest() gives memory back
};

struct StepTime {
    double seconds = 0.0;      // the step took, from its begin or the end of the one before
    double gap_seconds = 0.0;  // before it the device ran no step, since the one before: it had
                               // nothing to do, or copied pages
};

class Device {
public:
    virtual ~Device() = default;
    virtual const DeviceInfo& info() const = 0;
    virtual Status begin(std::span<const StepSequence> step) = 0;
    // Enqueues copies, one after another, behind all steps that are begun and before all that will
    // be. Only of a device with swap_pages. Errors: as begin().
    virtual Status move_pages(std::span<const PageMove>) {
        return Error(Errc::internal, "this device has no swap room");
    }
    // One entry per StepSequence with .sample, in order, valid until the next finish(). An error
    // means the device is lost.
    virtual Result<std::span<const Sampled>> finish() = 0;
    // Of the step that finish() gave last.
    virtual StepTime step_time() const = 0;
    // Before the first step: some text in tokens, to fix what must be fixed by the sizes of numbers
    // (scales of keys and values in 8 bits). Errors: bad_config, device_failed.
    virtual Status calibrate(std::span<const TokenId>) { return Done{}; }
    // No sequence holds a page and none has for a while: what was only theirs may be let go. Asked
    // only of one that `rests`: with the memory go all keys and values.
    virtual void rest() {}
};

}  // namespace sluice
