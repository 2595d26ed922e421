// A model folder on the CPU engine: the logits and the states after the final norm that its other
// devices, and other engines, are held against.
#pragma once

#include <catch2/catch.hpp>
#include <cstddef>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "engine/cpu/forward.h"
#include "engine/model/network.h"
#include "tests/engine/transformers_golden.h"

namespace sluice {

struct Outcome {
    Rows logits;  // after each token from the `first`-th on
    Rows hidden;
};

inline const Kernels& fastest_kernels() {
    auto kernels = choose_kernels("");
    REQUIRE(kernels);
    return **kernels;
}

// The first `first` tokens in one step, then one at a time.
inline Outcome run_on_cpu(const std::string& folder, std::span<const TokenId> tokens,
                          std::size_t first, const Kernels& kernels = fastest_kernels()) {
    auto file = ModelFile::open(folder);
    if (!file) FAIL(file.error().message);
    auto network = describe_network(**file);
    if (!network) FAIL(network.error().message);
    ComputeThreads threads(2);
    auto weights = pack_weights(**file, *network, threads);
    if (!weights) FAIL(weights.error().message);
    const int most = static_cast<int>(tokens.size());
    std::vector<std::int32_t> pages(tokens.size());  // more than are needed, in disorder
    for (std::size_t i = 0; i < pages.size(); ++i)
        pages[i] = static_cast<std::int32_t>(pages.size() - 1 - i);
    auto forward = Forward::open(*network, *std::move(weights), kernels, {most, 1, most}, threads);
    REQUIRE(forward);
    Outcome out;
    for (std::size_t at = 0; at < tokens.size();) {
        const std::size_t count = at == 0 ? first : 1;
        StepSequence step;
        step.tokens = tokens.subspan(at, count);
        step.position = static_cast<int>(at);
        step.pages = pages;
        step.sample = true;
        at += count;
        (*forward)->run({&step, 1});
        const auto logits = (*forward)->logits(0);
        out.logits.emplace_back(logits.begin(), logits.end());
        const auto hidden = (*forward)->last_hidden(0);
        out.hidden.emplace_back(hidden.begin(), hidden.end());
    }
    return out;
}

}  // namespace sluice
