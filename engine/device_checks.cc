#include "engine/device_checks.h"

#include <string>

namespace sluice {

Status check_range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value >= low && value <= high) return Done{};
    return Error(Errc::bad_config, std::string(name) + " is " + std::to_string(value) +
                                       ", expected " + std::to_string(low) + ".." +
                                       std::to_string(high));
}

Status check_probe(const Probe& probe, int hidden) {
    if (probe.weights.empty() || probe.weights.size() == static_cast<std::size_t>(hidden))
        return Done{};
    return Error(Errc::bad_config, "the probe has " + std::to_string(probe.weights.size()) +
                                       " weights; this model's hidden state has " +
                                       std::to_string(hidden));
}

Status check_step(std::span<const StepSequence> step, const StepLimits& limits) {
    std::size_t tokens = 0;
    for (const StepSequence& sequence : step) {
        tokens += sequence.tokens.size();
        const std::size_t end =
            static_cast<std::size_t>(sequence.position) + sequence.tokens.size();
        bool placed = !sequence.tokens.empty() && sequence.position >= 0 &&
                      end <= sequence.pages.size() * static_cast<std::size_t>(limits.page_tokens);
        for (std::int32_t page : sequence.pages)
            placed = placed && page >= 0 && page < limits.pages;
        if (!placed) return Error(Errc::internal, "a step's tokens have no KV pages");
        const bool chosen =
            limits.follows && sequence.tokens.size() == 1 && sequence.tokens[0] == chosen_token;
        for (TokenId token : sequence.tokens)
            if (!chosen && (token < 0 || token >= limits.vocab))
                return Error(Errc::internal, "a step's token is not in the vocabulary");
    }
    if (tokens > static_cast<std::size_t>(limits.tokens_max) ||
        step.size() > static_cast<std::size_t>(limits.sequences_max))
        return Error(Errc::internal, "a step is larger than the device was opened for");
    return Done{};
}

}  // namespace sluice
