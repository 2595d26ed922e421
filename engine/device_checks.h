// What every device asks of its options and of a step before it computes. Pure: any thread.
#pragma once

#include <cstdint>
#include <span>

#include "engine/device.h"
#include "engine/result.h"

namespace sluice {

// bad_config, naming the option, its value and its range.
Status check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high);

// A probe has as many weights as the model's hidden state, or none. Errors: bad_config.
Status check_probe(const Probe& probe, int hidden);

// What a device was opened for.
struct StepLimits {
    std::int64_t pages = 0;  // of the pool
    int page_tokens = 0;
    int tokens_max = 0;     // of one step
    int sequences_max = 0;  // of one step, and slots
    int vocab = 0;
    bool follows = false;  // a step is under way: chosen_token is known
};

// The scheduler keeps to the limits; a step that does not would write outside the pages. Errors:
// internal.
Status check_step(std::span<const StepSequence> step, const StepLimits& limits);

}  // namespace sluice
