// How long a step will take, from those that were measured: a table of decode steps by how many
// sequences ran, and what a prompt's token adds. One thread.
#pragma once

#include <array>

namespace sluice {

class StepTimes {
public:
    // A step of `sequences` that decoded and `prompt_tokens` of prompts beside them.
    void add(int sequences, int prompt_tokens, double seconds);
    // A step in which so many decode; never less than that of fewer. Between measured sizes on the
    // line through them; beyond the largest on that of the last two. 0: none was measured.
    double decode_seconds(int sequences) const;
    // What each prompt token adds to the step that computes it. 0: none was measured.
    double prompt_token_seconds() const { return prompt_token_; }

private:
    // Exponential means over the steps of about the same size.
    struct Size {
        double sequences = 0.0;
        double seconds = 0.0;  // 0: none yet
    };
    std::array<Size, 16> sizes_{};
    double prompt_token_ = 0.0;
};

}  // namespace sluice
