// The kinds of weights, keys and values that whole engines are held to their promises with.
#pragma once

#include <memory>
#include <vector>

#include "tests/cuda/gpu_engine.h"

namespace sluice {

// What weights, keys and values are kept in, and how far logprobs of such a tiny network may be off
// where tokens go through other products or attention: what is rounded is at times rounded the
// other way, activations to f16, keys to 8 bits; with fp8 weights activations too, those of more
// than 16 tokens a step alone.
struct Served {
    const char* name;
    TensorType type;
    const char* kv;
    double tolerance;
    bool mixed = false;  // some matrices in q6_k, as a Q4_K_M file has them
};
inline const std::vector<Served> all_served = {
    {"q4_k over bf16 keys", TensorType::q4_k, "bf16", 1e-2},
    {"q4_k over fp8 keys", TensorType::q4_k, "fp8", 5e-2},
    {"Q4_K_M over bf16 keys", TensorType::q4_k, "bf16", 1e-2, true},
    {"q8_0 over fp8 keys", TensorType::q8_0, "fp8", 5e-2},
    {"bf16 over bf16 keys", TensorType::bf16, "bf16", 1e-2},
    {"fp8 over bf16 keys", TensorType::fp8_e4m3, "bf16", 5e-2},
    {"fp8 over fp8 keys", TensorType::fp8_e4m3, "fp8", 5e-2}};

inline std::unique_ptr<GpuEngine> open(const Served& served, EngineOptions options) {
    options.kv_format = served.kv;
    if (served.type == TensorType::fp8_e4m3)
        return std::make_unique<GpuEngine>(options, tiny_fp8_on_gpu());
    TinyModel model = tiny_on_gpu(served.type);
    if (served.mixed)
        model.other_types = {{"output.weight", TensorType::q6_k},
                             {"blk.0.attn_v.weight", TensorType::q6_k},
                             {"blk.0.ffn_down.weight", TensorType::q6_k}};
    return std::make_unique<GpuEngine>(options, model);
}

}  // namespace sluice
