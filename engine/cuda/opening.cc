#include "engine/cuda/opening.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/attend_plan.h"
#include "engine/cuda/block_scales.h"
#include "engine/cuda/fp8.h"
#include "engine/cuda/ways.h"
#include "engine/cuda/weights.h"
#include "engine/device_checks.h"

namespace sluice::cuda {
namespace {

constexpr int sequences_limit = decode_sequences_max;
constexpr int tokens_limit = 16384;
constexpr int columns_step = 16;  // of matrix.h
constexpr int scales_step = 64;   // floats that lie behind one another: weights.cc aligns vectors

Status check_options(const EngineOptions& options, const NetworkDescription& network) {
    const Status checks[] = {
        check_range("sequences_max", options.sequences_max, 1, sequences_limit),
        check_range("prefill_tokens_max", options.prefill_tokens_max, 1, tokens_limit),
        check_range("context_tokens_max", options.context_tokens_max, 0, network.context_tokens),
        check_range("kv_tokens", options.kv_tokens, 0, std::int64_t{1} << 31),
        check_range("kv_swap_tokens", options.kv_swap_tokens, -1, std::int64_t{1} << 31),
        check_probe(options.probe, network.hidden),
    };
    for (const Status& status : checks)
        if (!status) return status;
    if (options.kv_format != "bf16" && options.kv_format != "fp8")
        return Error(Errc::bad_config,
                     "kv_format must be 'bf16' or 'fp8', got '" + options.kv_format + "'");
    const int context =
        options.context_tokens_max > 0 ? options.context_tokens_max : network.context_tokens;
    if (context > attended_max)
        return Error(
            Errc::bad_config,
            "sequences of " + std::to_string(context) + " tokens (" +
                (options.context_tokens_max > 0 ? "context_tokens_max" : "the model's own") +
                ") are more than the CUDA device attends to; set context_tokens_max to " +
                std::to_string(attended_max) + " or less");
    return Done{};
}

Status check_heads(const ModelFile& file, const NetworkDescription& n) {
    if (attention_takes(n.query_heads, n.kv_heads, n.head_dim, n.rope_dims)) return Done{};
    return Error(Errc::bad_file,
                 file.path() + ": " + std::to_string(n.query_heads) + " query heads and " +
                     std::to_string(n.kv_heads) + " key heads of " + std::to_string(n.head_dim) +
                     " dims, of which " + std::to_string(n.rope_dims) +
                     " rotate; the CUDA device takes heads of 64 and 128, up to " +
                     std::to_string(kv_heads_max) + " key heads, up to " +
                     std::to_string(group_max) +
                     " query heads for each, and rotated dims in multiples of 2 (of 64) or 4 (of "
                     "128)");
}

std::string named(const ModelFile& file, const Tensor& tensor) {
    return tensor_text(file, tensor) + " (" + std::string(type_name(tensor.type)) + ")";
}

enum class Kind { brain, fp8, other };
Kind kind_of(const Tensor* tensor) {
    const WeightFormat format = format_of(tensor->type);
    if (format == WeightFormat::bf16) return Kind::brain;
    return format == WeightFormat::fp8_e4m3 ? Kind::fp8 : Kind::other;
}

std::vector<const Tensor*> matrices_of(const NetworkWeights& weights) {
    std::vector<const Tensor*> all = {weights.output};
    for (const LayerWeights& l : weights.layers)
        all.insert(all.end(), {l.query, l.key, l.value, l.attention_output, l.gate, l.up, l.down});
    return all;
}

Status check_columns(const ModelFile& file, const NetworkWeights& weights) {
    for (const Tensor* tensor : matrices_of(weights))
        if (tensor->dims[0] % columns_step != 0)
            return Error(Errc::bad_file, file.path() + ": " + tensor_text(file, *tensor) +
                                             " has rows of " + std::to_string(tensor->dims[0]) +
                                             "; the CUDA device takes multiples of " +
                                             std::to_string(columns_step));
    return Done{};
}

Status check_layer(const ModelFile& file, const LayerWeights& l) {
    // Matrices of one product read the same activations.
    for (auto [a, b] : {std::pair{l.query, l.key}, std::pair{l.query, l.value},
                        std::pair{l.gate, l.up}, std::pair{l.gate, l.down}})
        if (kind_of(a) != kind_of(b))
            return Error(Errc::bad_file,
                         file.path() + ": " + named(file, *a) + " and " + named(file, *b) +
                             " must both be bf16, both fp8, or neither on the CUDA device");
    // SwiGLU is one launch.
    if (!one_launch(format_of(l.gate->type), format_of(l.up->type)))
        return Error(Errc::bad_file,
                     file.path() + ": " + named(file, *l.gate) + " and " + named(file, *l.up) +
                         " must be of one type, or q4_K or q5_K beside q6_K, on the CUDA device");
    // Gate and up are one product, so the scales of their rows lie behind one another, and a block
    // keeps a token's values.
    const std::int64_t ffn = l.gate->rows();
    if (kind_of(l.gate) == Kind::fp8 && (ffn % scales_step != 0 || ffn > swiglu_fp8_max))
        return Error(Errc::bad_file,
                     file.path() + ": " + named(file, *l.gate) + " has " + std::to_string(ffn) +
                         " rows; for fp8 the CUDA device takes multiples of " +
                         std::to_string(scales_step) + " up to " + std::to_string(swiglu_fp8_max));
    return Done{};
}

}  // namespace

Status check_opening(const EngineOptions& options, const ModelFile& file,
                     const NetworkDescription& network) {
    Status fine = check_options(options, network);
    if (!fine) return fine;
    fine = check_heads(file, network);
    if (!fine) return fine;
    const Result<NetworkWeights> weights = find_weights(file, network);
    if (!weights) return weights.error();
    fine = check_columns(file, *weights);
    for (std::size_t i = 0; fine && i < weights->layers.size(); ++i)
        fine = check_layer(file, weights->layers[i]);
    if (fine) fine = check_block_scales(file, matrices_of(*weights));
    return fine;
}

Status check_fp8(const EngineOptions& options, const ModelFile& file,
                 const NetworkDescription& network, int major, int minor) {
    if (options.batch_invariant || major > 8 || (major == 8 && minor >= 9)) return Done{};
    const Result<NetworkWeights> weights = find_weights(file, network);
    if (!weights) return weights.error();
    for (const Tensor* tensor : matrices_of(*weights))
        if (kind_of(tensor) == Kind::fp8)
            return Error(Errc::bad_config,
                         file.path() +
                             ": fp8 weights need compute capability 8.9; take bf16 or a GGUF (this "
                             "GPU has " +
                             std::to_string(major) + "." + std::to_string(minor) + ")");
    return Done{};
}

}  // namespace sluice::cuda
