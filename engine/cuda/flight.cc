#include "engine/cuda/flight.h"

#include <bit>
#include <cstdint>

#include "engine/model/quant.h"

namespace sluice::cuda {
namespace {

std::vector<float> floats_of(const std::uint16_t* row, std::size_t width, bool brain) {
    std::vector<float> out(width);
    for (std::size_t h = 0; h < width; ++h)
        out[h] =
            brain ? std::bit_cast<float>(std::uint32_t{row[h]} << 16) : float_from_half(row[h]);
    return out;
}

}  // namespace

Sampled Flight::sampled(std::size_t index, int tokens, std::size_t width, bool brain) const {
    const Asked& one = asked[index];
    const SampleResult& result = static_cast<const SampleResult*>(results.get())[index];
    Sampled out;
    out.slot = one.slot;
    out.token = result.token;
    out.failed = result.failed != 0;
    out.signals = {result.logprob, result.entropy, result.margin, result.think_end_logprob};
    out.probe = result.probe;
    if (one.hidden)
        out.hidden = floats_of(static_cast<const std::uint16_t*>(hidden.get()) + index * width,
                               width, brain);
    if (one.top_logprobs < 0) return out;
    out.logprobs.chosen = {result.token, result.logprob, {}};
    const TopLogprob* best = static_cast<const TopLogprob*>(top.get()) + index * top_logprobs_max;
    for (int i = 0; i < one.top_logprobs && i < tokens; ++i)
        out.logprobs.top.push_back({best[i].token, best[i].logprob, {}});
    return out;
}

}  // namespace sluice::cuda
