// The logprobs of the whole vocabulary after tokens of a text, asked of a device through the face
// that the engine uses: a token's logprob is what the device says of it when a bias has made it the
// chosen one, so as many sequences as there are tokens run side by side on the same pages.
#pragma once

#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include "engine/device.h"

namespace sluice {

inline void compute_unseen(Device& device, std::span<const TokenId> tokens, int position,
                           std::span<const std::int32_t> pages) {
    Sampling greedy;
    StepSequence step;
    step.tokens = tokens;
    step.position = position;
    step.pages = pages;
    step.sampling = &greedy;
    step.prompt_tokens = position + static_cast<int>(tokens.size());
    Status begun = device.begin({&step, 1});
    if (!begun) throw std::runtime_error(begun.error().message);
    auto done = device.finish();
    if (!done) throw std::runtime_error(done.error().message);
}

// [tokens / every][vocab]: after every `every`-th one; those between are computed as a prompt is,
// at most `beside` in a step, which is at most the device's sequences_max.
inline std::vector<std::vector<float>> all_logprobs(Device& device, std::span<const TokenId> tokens,
                                                    int vocab, int beside, int every = 1) {
    std::vector<std::int32_t> pages;
    const int page_tokens = device.info().page_tokens;
    for (int at = 0; at * page_tokens < static_cast<int>(tokens.size()); ++at) pages.push_back(at);
    std::vector<std::vector<float>> out;
    const auto step_tokens = static_cast<std::size_t>(every);
    for (std::size_t position = step_tokens - 1; position < tokens.size();
         position += step_tokens) {
        const std::size_t first_unseen = position + 1 - step_tokens;
        for (std::size_t at = first_unseen; at < position;) {
            const std::size_t count = std::min(position - at, static_cast<std::size_t>(beside));
            compute_unseen(device, tokens.subspan(at, count), static_cast<int>(at), pages);
            at += count;
        }
        std::vector<float>& row = out.emplace_back();
        for (int first = 0; first < vocab; first += beside) {
            const int count = std::min(beside, vocab - first);
            std::vector<Sampling> chosen(static_cast<std::size_t>(count));
            std::vector<StepSequence> step(chosen.size());
            for (std::size_t i = 0; i < step.size(); ++i) {
                chosen[i].temperature = 0.0F;
                chosen[i].logit_bias = {{first + static_cast<TokenId>(i), 1e4F}};
                step[i].slot = static_cast<int>(i);
                step[i].tokens = tokens.subspan(position, 1);
                step[i].position = static_cast<int>(position);
                step[i].pages = pages;
                step[i].sample = true;
                step[i].sampling = &chosen[i];
                step[i].history = tokens.first(position + 1);
                step[i].prompt_tokens = static_cast<int>(position) + 1;
            }
            Status begun = device.begin(step);
            if (!begun) throw std::runtime_error(begun.error().message);
            auto sampled = device.finish();
            if (!sampled) throw std::runtime_error(sampled.error().message);
            for (std::size_t i = 0; i < step.size(); ++i) {
                const Sampled& one = (*sampled)[i];
                if (one.failed || one.token != first + static_cast<TokenId>(i))
                    throw std::runtime_error("the device chose another token than the biased one");
                row.push_back(one.signals.logprob);
            }
        }
    }
    return out;
}

}  // namespace sluice
