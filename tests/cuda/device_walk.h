// A model file opened for devices, and one sequence walked through its tokens on a device.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/model/network.h"

namespace sluice {

struct OpenedModel {
    std::shared_ptr<const ModelFile> file;
    NetworkDescription network;

    explicit OpenedModel(const std::string& path) {
        auto opened = ModelFile::open(path);
        REQUIRE(opened);
        file = *opened;
        auto described = describe_network(*file);
        REQUIRE(described);
        network = *described;
    }
};

// One sequence that a test walks through its tokens. Seat n has pages 8n to 8n + 7, in disorder;
// `page_tokens` is the device's.
struct Walk {
    Device& device;
    int slot;
    std::vector<std::int32_t> pages;
    std::vector<TokenId> tokens;
    int computed = 0;
    Sampling sampling;
    bool hidden = false;

    Walk(Device& on, int seat, std::vector<TokenId> all) : device(on), slot(seat), tokens(all) {
        for (int i = 0; i < 8; ++i) pages.push_back(8 * seat + (i * 5 + 3) % 8);
        sampling.temperature = 0.0F;
        sampling.top_logprobs = 20;
    }
    StepSequence next(int count) {
        StepSequence s;
        s.slot = slot;
        s.tokens = std::span(tokens).subspan(static_cast<std::size_t>(computed),
                                             static_cast<std::size_t>(count));
        s.position = computed;
        s.pages = pages;
        s.sample = true;
        s.sampling = &sampling;
        s.history = tokens;
        s.prompt_tokens = static_cast<int>(tokens.size());
        s.hidden = hidden;
        computed += count;
        return s;
    }
    Sampled run(int count) {
        const StepSequence step[] = {next(count)};
        Status begun = device.begin(step);
        if (!begun) FAIL(begun.error().message);
        auto sampled = device.finish();
        if (!sampled) FAIL(sampled.error().message);
        return (*sampled)[0];
    }
};

}  // namespace sluice
