// What network a model file holds: its numbers, and where each weight is. Says nothing of the
// device that runs it. The network is the pre-norm transformer that architectures `llama` and
// `qwen2` share: RMS norms, rotary positions, grouped-query attention, SwiGLU.
//
// Everything is checked here, once: a NetworkWeights holds tensors whose names, shapes and types
// are what a device expects. Pure functions: any thread. Errors: bad_file, naming the metadata key
// or the tensor with its offset, what was found and what was expected.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/model/model_file.h"
#include "engine/result.h"

namespace sluice {

enum class Architecture { llama, qwen2 };

// Far above any known model: they keep products of sizes inside 64 bits.
struct NetworkLimits {
    std::int64_t layers = 4096;
    std::int64_t width = 1 << 20;
    std::int64_t vocab = 1 << 24;
    std::int64_t context = 1 << 28;
};
inline constexpr NetworkLimits network_limits;

struct NetworkDescription {
    Architecture architecture = Architecture::llama;
    int layers = 0;          // L
    int hidden = 0;          // H
    int query_heads = 0;     // Q, a multiple of K
    int kv_heads = 0;        // K
    int head_dim = 0;        // D
    int ffn = 0;             // F
    int vocab = 0;           // V: rows of the output projection
    int tokens = 0;          // ids below it can be chosen: rows beyond the tokenizer are padding
    int context_tokens = 0;  // longest sequence the model was made for
    float norm_eps = 0.0F;
    float rope_theta = 0.0F;
    int rope_dims = 0;                // the first dims of a head that rotate; even, <= D
    std::vector<float> rope_factors;  // [rope_dims / 2], divides each pair's frequency
    bool qkv_bias = false;
    bool tied_embeddings = false;  // the output projection is the token embedding
    // Q and K rows (and biases) are stored so that pair i of a head is rows 2i, 2i+1 instead of
    // rows i, i + rope_dims / 2; see unpermuted_row.
    bool permuted_qk = false;

    int query_width() const { return query_heads * head_dim; }
    int kv_width() const { return kv_heads * head_dim; }
};

Result<NetworkDescription> describe_network(const ModelFile& file);

struct LayerWeights {
    const Tensor* attention_norm = nullptr;    // [H] f32
    const Tensor* query = nullptr;             // [Q*D, H]
    const Tensor* key = nullptr;               // [K*D, H]
    const Tensor* value = nullptr;             // [K*D, H]
    const Tensor* query_bias = nullptr;        // [Q*D] f32, nullptr without qkv_bias
    const Tensor* key_bias = nullptr;          // [K*D] f32
    const Tensor* value_bias = nullptr;        // [K*D] f32
    const Tensor* attention_output = nullptr;  // [H, Q*D]
    const Tensor* ffn_norm = nullptr;          // [H] f32
    const Tensor* gate = nullptr;              // [F, H]
    const Tensor* up = nullptr;                // [F, H]
    const Tensor* down = nullptr;              // [H, F]
};

// Shapes are [rows, columns] with contiguous columns (GGUF lists dims the other way round).
// Pointers lead into the ModelFile, which must outlive them.
struct NetworkWeights {
    const Tensor* embedding = nullptr;    // [V, H]
    const Tensor* output_norm = nullptr;  // [H] f32
    const Tensor* output = nullptr;       // [V, H]; the embedding when tied
    std::vector<LayerWeights> layers;
};

Result<NetworkWeights> find_weights(const ModelFile& file, const NetworkDescription& network);

// Where row `row` of a permuted Q or K matrix stands once pair i of each head is rows
// i, i + rope_dims / 2.
int unpermuted_row(int row, int head_dim, int rope_dims);

}  // namespace sluice
