#include "engine/step_times.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr double newest_weight = 0.1;
constexpr double outlier = 4.0;  // a step longer than so many means counts as that
constexpr int size_most[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512};

std::size_t size_of(int sequences) {
    return static_cast<std::size_t>(
        std::lower_bound(std::begin(size_most), std::end(size_most), sequences) -
        std::begin(size_most));
}

void add_to(double& mean, double value) { mean += newest_weight * (value - mean); }

}  // namespace

void StepTimes::add(int sequences, int prompt_tokens, double seconds) {
    if (prompt_tokens > 0) {
        const double added = std::max(seconds - decode_seconds(sequences), 0.0) / prompt_tokens;
        if (prompt_token_ == 0.0)
            prompt_token_ = added;
        else
            add_to(prompt_token_, std::min(added, outlier * prompt_token_));
        return;
    }
    if (sequences == 0) return;
    Size& size = sizes_[size_of(sequences)];
    if (size.seconds == 0.0) {
        size = {static_cast<double>(sequences), seconds};
        return;
    }
    add_to(size.sequences, sequences);
    add_to(size.seconds, std::min(seconds, outlier * size.seconds));
}

double StepTimes::decode_seconds(int sequences) const {
    if (sequences <= 0) return 0.0;
    const double at = sequences;
    Size below, before_below;  // the last two measured that are no larger
    for (const Size& size : sizes_) {
        if (size.seconds == 0.0) continue;
        Size here = size;
        here.seconds = std::max(here.seconds, below.seconds);
        if (here.sequences > at) {
            if (below.seconds == 0.0) return here.seconds;
            const double part = (at - below.sequences) / (here.sequences - below.sequences);
            return below.seconds + part * (here.seconds - below.seconds);
        }
        before_below = below;
        below = here;
    }
    if (before_below.seconds == 0.0 || below.sequences <= before_below.sequences)
        return below.seconds;
    const double slope =
        (below.seconds - before_below.seconds) / (below.sequences - before_below.sequences);
    return below.seconds + slope * (at - below.sequences);
}

}  // namespace sluice
