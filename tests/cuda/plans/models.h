// The shapes of real models, the formats that their files hold them in, and the cards that the
// engine is built for.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "engine/cuda/card.h"
#include "engine/cuda/weights.h"

namespace sluice::cuda {

struct ModelShape {
    std::string_view name;
    int layers, hidden, query_heads, kv_heads, head_dim, ffn, vocab;
};

// From the models' config.json. Distilled models of DeepSeek-R1 have the shapes of what they were
// made from.
constexpr auto model_shapes = std::to_array<ModelShape>({
    {"SmolLM2 135M", 30, 576, 9, 3, 64, 1536, 49152},
    {"SmolLM2 360M", 32, 960, 15, 5, 64, 2560, 49152},
    {"SmolLM2 1.7B", 24, 2048, 32, 32, 64, 8192, 49152},
    {"Qwen2.5 0.5B", 24, 896, 14, 2, 64, 4864, 151936},
    {"Qwen2.5 1.5B", 28, 1536, 12, 2, 128, 8960, 151936},
    {"Qwen2.5 3B", 36, 2048, 16, 2, 128, 11008, 151936},
    {"Qwen2.5 7B", 28, 3584, 28, 4, 128, 18944, 152064},
    {"Qwen2.5 14B", 48, 5120, 40, 8, 128, 13824, 152064},
    {"Qwen2.5 32B", 64, 5120, 40, 8, 128, 27648, 152064},
    {"Qwen2.5 72B", 80, 8192, 64, 8, 128, 29568, 152064},
    {"Llama 3.2 1B", 16, 2048, 32, 8, 64, 8192, 128256},
    {"Llama 3.2 3B", 28, 3072, 24, 8, 128, 8192, 128256},
    {"Llama 3.1 8B", 32, 4096, 32, 8, 128, 14336, 128256},
    {"Llama 3.1 8B with two tokens more", 32, 4096, 32, 8, 128, 14336, 128258},
    {"Llama 3.1 70B", 80, 8192, 64, 8, 128, 28672, 128256},
});

constexpr Card a100{false, 108, 166912, 167936};
constexpr Card l40s{false, 142, 101376, 102400};
constexpr Card h100{true, 132, 232448, 233472};
constexpr Card cards[] = {a100, l40s, h100};

// What files keep their matrices in. fp8_inner: attention and the outer layers are bf16.
enum class Recipe {
    q4_0,
    q4_1,
    q8_0,
    q4_k_s,
    q4_k_m,
    q5_k_m,
    q6_k,
    f16,
    bf16,
    fp8,
    fp8_inner,
    fp8_head,
    q8_0_f16_head,
};
constexpr Recipe recipes[] = {
    Recipe::q4_0,      Recipe::q4_1,     Recipe::q8_0,         Recipe::q4_k_s, Recipe::q4_k_m,
    Recipe::q5_k_m,    Recipe::q6_k,     Recipe::f16,          Recipe::bf16,   Recipe::fp8,
    Recipe::fp8_inner, Recipe::fp8_head, Recipe::q8_0_f16_head};

struct Weights {
    std::vector<LayerOnDevice> layers;
    Matrix output;
};

// The formats of one layer, as llama.cpp and the makers of fp8 files choose them.
struct LayerFormats {
    WeightFormat attention, value, ffn, down;
};

inline LayerFormats formats_of(Recipe recipe, const ModelShape& model, int layer) {
    using enum WeightFormat;
    const int eighth = model.layers / 8;
    const bool more = layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 == 2;
    const bool outer = layer == 0 || layer + 1 == model.layers;
    const WeightFormat many_heads = model.layers == 80 ? q5_k : q4_k;  // values of the 70B
    switch (recipe) {
        case Recipe::q4_0:
            return {q4_0, q4_0, q4_0, q4_0};
        case Recipe::q4_1:
            return {q4_1, q4_1, q4_1, q4_1};
        case Recipe::q8_0:
        case Recipe::q8_0_f16_head:
            return {q8_0, q8_0, q8_0, q8_0};
        case Recipe::q4_k_s:
            return {q4_k, layer < 4 ? q5_k : many_heads, q4_k, layer < eighth ? q5_k : q4_k};
        case Recipe::q4_k_m:
            return {q4_k, more ? q6_k : many_heads, q4_k, more ? q6_k : q4_k};
        case Recipe::q5_k_m:
            return {q5_k, more ? q6_k : q5_k, q5_k, more ? q6_k : q5_k};
        case Recipe::q6_k:
            return {q6_k, q6_k, q6_k, q6_k};
        case Recipe::f16:
            return {f16, f16, f16, f16};
        case Recipe::bf16:
            return {bf16, bf16, bf16, bf16};
        case Recipe::fp8:
        case Recipe::fp8_head:
            return {fp8_e4m3, fp8_e4m3, fp8_e4m3, fp8_e4m3};
        case Recipe::fp8_inner:
            return outer ? LayerFormats{bf16, bf16, bf16, bf16}
                         : LayerFormats{bf16, bf16, fp8_e4m3, fp8_e4m3};
    }
    return {};
}

inline WeightFormat output_format(Recipe recipe) {
    using enum WeightFormat;
    switch (recipe) {
        case Recipe::q4_0:
        case Recipe::q4_1:
        case Recipe::q4_k_s:
        case Recipe::q4_k_m:
        case Recipe::q5_k_m:
        case Recipe::q6_k:
            return q6_k;
        case Recipe::q8_0:
            return q8_0;
        case Recipe::f16:
        case Recipe::q8_0_f16_head:
            return f16;
        case Recipe::bf16:
        case Recipe::fp8:
        case Recipe::fp8_inner:
            return bf16;
        case Recipe::fp8_head:
            return fp8_e4m3;
    }
    return {};
}

// Rows that do not fill blocks of 256 are q8_0 instead.
inline Matrix matrix_of(WeightFormat format, int rows, int columns) {
    using enum WeightFormat;
    if (columns % 256 != 0 && (format == q4_k || format == q5_k || format == q6_k)) format = q8_0;
    return {format, rows, columns, nullptr, nullptr};
}

inline Weights weights_of(Recipe recipe, const ModelShape& m) {
    Weights out;
    const int query = m.query_heads * m.head_dim, kv = m.kv_heads * m.head_dim;
    for (int i = 0; i < m.layers; ++i) {
        const LayerFormats formats = formats_of(recipe, m, i);
        LayerOnDevice layer;
        layer.query = matrix_of(formats.attention, query, m.hidden);
        layer.key = matrix_of(formats.attention, kv, m.hidden);
        layer.value = matrix_of(formats.value, kv, m.hidden);
        layer.attention_output = matrix_of(formats.attention, m.hidden, query);
        layer.gate = matrix_of(formats.ffn, m.ffn, m.hidden);
        layer.up = matrix_of(formats.ffn, m.ffn, m.hidden);
        layer.down = matrix_of(formats.down, m.hidden, m.ffn);
        out.layers.push_back(layer);
    }
    out.output = matrix_of(output_format(recipe), m.vocab, m.hidden);
    return out;
}

}  // namespace sluice::cuda
