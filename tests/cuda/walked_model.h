// A small random network that tests walk sequences through on a device, and what its steps give.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

#include "engine/cuda/cuda_device.h"
#include "tests/cuda/device_walk.h"
#include "tests/engine/tiny_model.h"

namespace sluice {

inline TinyModel walked_model(TensorType type, int head_dim = 128, int query_heads = 10) {
    TinyModel model;
    model.type = type;
    model.head_dim = model.rope_dims = head_dim;
    model.query_heads = query_heads;
    model.hidden = 256;
    model.ffn = 512;
    model.vocab = 331;
    model.context = 16384;
    return model;
}

// Four seats of 512 tokens each.
inline EngineOptions walked_options(const char* kv = "bf16") {
    EngineOptions options;
    options.device = "cuda";
    options.sequences_max = 4;
    options.prefill_tokens_max = 512;
    options.context_tokens_max = 512;
    options.kv_tokens = 2048;
    options.kv_format = kv;
    return options;
}

inline std::vector<TokenId> walked_tokens(int count, int seed) {
    std::vector<TokenId> out;
    for (int i = 0; i < count; ++i) out.push_back((i * 37 + i * i * 3 + seed * 101) % 331);
    return out;
}

inline std::unique_ptr<Device> open_walked(const EngineOptions& options, const OpenedModel& model) {
    auto device = open_cuda_device(options, model.file, model.network);
    if (!device) FAIL(device.error().message);
    return *std::move(device);
}

// The token, its signals and the best logprobs.
inline std::vector<float> numbers_of(const Sampled& sampled) {
    REQUIRE_FALSE(sampled.failed);
    REQUIRE(sampled.logprobs.top.size() == 20);
    std::vector<float> out = {static_cast<float>(sampled.token), sampled.signals.logprob,
                              sampled.signals.entropy, sampled.signals.margin};
    for (const TokenLogprob& one : sampled.logprobs.top) out.push_back(one.logprob);
    return out;
}

}  // namespace sluice
