#include "engine/model/network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_set>
#include <utility>

namespace sluice {
namespace {

// Far above any known model: they keep products of sizes inside 64 bits.
constexpr std::int64_t layers_max = 4096;
constexpr std::int64_t width_max = 1 << 20;
constexpr std::int64_t vocab_max = 1 << 24;
constexpr std::int64_t context_max = 1 << 28;

Error fault(const GgufFile& file, const std::string& what) {
    return Error(Errc::bad_file, file.path() + ": " + what);
}

std::string shape_text(std::span<const std::int64_t> dims) {
    std::string text = "[";
    for (std::int64_t dim : dims) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
    return text + "]";
}

std::string tensor_text(const GgufTensor& tensor) {
    return "tensor '" + std::string(tensor.name) + "' at offset " +
           std::to_string(tensor.file_offset);
}

// Reads the architecture's numbers; the first fault wins and is kept.
class NumberReader {
public:
    NumberReader(const GgufFile& file, std::string prefix)
        : file_(file), prefix_(std::move(prefix)) {}

    int integer(const char* key, std::int64_t low, std::int64_t high,
                std::optional<std::int64_t> otherwise = std::nullopt) {
        std::string name = prefix_ + key;
        std::optional<std::int64_t> value = file_.integer(name);
        if (!value) value = otherwise;
        if (!value) return missing(name, "an integer"), 0;
        if (*value < low || *value > high) {
            std::string range = std::to_string(low) + ".." + std::to_string(high);
            keep(name + " is " + std::to_string(*value) + ", expected " + range);
            return 0;
        }
        return static_cast<int>(*value);
    }

    float positive(const char* key, std::optional<double> otherwise = std::nullopt) {
        std::string name = prefix_ + key;
        std::optional<double> value = file_.real(name);
        if (!value) value = otherwise;
        if (!value) return missing(name, "a number"), 0.0F;
        if (!(*value > 0.0) || !std::isfinite(*value)) {
            keep(name + " is " + std::to_string(*value) + ", expected a number above 0");
            return 0.0F;
        }
        return static_cast<float>(*value);
    }

    void keep(std::string what) {
        if (fault_.empty()) fault_ = std::move(what);
    }
    const std::string& first_fault() const { return fault_; }

private:
    void missing(const std::string& name, const char* kind) {
        keep("metadata key " + name + " is missing or of another type, expected " + kind);
    }
    const GgufFile& file_;
    std::string prefix_;
    std::string fault_;
};

Status read_architecture(const GgufFile& file, NetworkDescription& network) {
    std::optional<std::string_view> name = file.text("general.architecture");
    if (name == "llama") {
        network.architecture = Architecture::llama;
        network.permuted_qk = true;
    } else if (name == "qwen2") {
        network.architecture = Architecture::qwen2;
        network.permuted_qk = false;
    } else {
        std::string found = name ? "is '" + std::string(*name) + "'" : "is missing";
        return fault(file, "general.architecture " + found + ", supported are llama and qwen2");
    }
    return Done{};
}

void read_numbers(NumberReader& reader, NetworkDescription& network) {
    network.layers = reader.integer("block_count", 1, layers_max);
    network.hidden = reader.integer("embedding_length", 1, width_max);
    network.ffn = reader.integer("feed_forward_length", 1, width_max);
    network.context_tokens = reader.integer("context_length", 1, context_max);
    network.query_heads = reader.integer("attention.head_count", 1, width_max);
    network.kv_heads = reader.integer("attention.head_count_kv", 1, width_max, network.query_heads);
    network.norm_eps = reader.positive("attention.layer_norm_rms_epsilon");
    network.rope_theta = reader.positive("rope.freq_base", 10000.0);
    if (!reader.first_fault().empty()) return;
    std::int64_t split = network.hidden / network.query_heads;
    network.head_dim = reader.integer("attention.key_length", 1, width_max, split);
    int value_dim = reader.integer("attention.value_length", 1, width_max, network.head_dim);
    network.rope_dims = reader.integer("rope.dimension_count", 2, width_max, network.head_dim);
    int experts = reader.integer("expert_count", 0, width_max, 0);
    if (!reader.first_fault().empty()) return;
    if (network.query_heads % network.kv_heads != 0)
        reader.keep("attention.head_count " + std::to_string(network.query_heads) +
                    " is not a multiple of attention.head_count_kv " +
                    std::to_string(network.kv_heads));
    if (value_dim != network.head_dim)
        reader.keep(
            "attention.value_length differs from attention.key_length, which is not "
            "supported");
    if (network.rope_dims > network.head_dim || network.rope_dims % 2 != 0)
        reader.keep("rope.dimension_count is " + std::to_string(network.rope_dims) +
                    ", expected an even number up to the head's " +
                    std::to_string(network.head_dim));
    if (static_cast<std::int64_t>(network.query_heads) * network.head_dim > width_max)
        reader.keep("the heads are wider than " + std::to_string(width_max) + " together");
    if (experts > 0) reader.keep("expert_count is above 0: mixtures of experts are not supported");
}

// Factors come from linear scaling in the metadata or from the tensor rope_freqs (Llama 3).
Status read_rope_factors(const GgufFile& file, const std::string& prefix,
                         NetworkDescription& network) {
    auto pairs = static_cast<std::size_t>(network.rope_dims / 2);
    network.rope_factors.assign(pairs, 1.0F);
    std::string_view scaling = file.text(prefix + "rope.scaling.type").value_or("none");
    if (scaling == "linear") {
        double factor = file.real(prefix + "rope.scaling.factor").value_or(0.0);
        if (!(factor > 0.0) || !std::isfinite(factor))
            return fault(file, prefix + "rope.scaling.factor is missing or not above 0");
        network.rope_factors.assign(pairs, static_cast<float>(factor));
    } else if (scaling != "none") {
        return fault(file, prefix + "rope.scaling.type is '" + std::string(scaling) +
                               "', supported are none and linear");
    }
    const GgufTensor* freqs = file.tensor("rope_freqs.weight");
    if (freqs == nullptr) return Done{};
    std::int64_t expected = network.rope_dims / 2;
    if (freqs->type != TensorType::f32 || freqs->dims.size() != 1 || freqs->dims[0] != expected)
        return fault(file, tensor_text(*freqs) + " is " + std::string(type_name(freqs->type)) +
                               " " + shape_text(freqs->dims) + ", expected f32 [" +
                               std::to_string(expected) + "]");
    for (std::size_t i = 0; i < pairs; ++i) {
        float factor = 0.0F;
        std::memcpy(&factor, freqs->data + i * sizeof factor, sizeof factor);
        if (!(factor > 0.0F) || !std::isfinite(factor))
            return fault(file, tensor_text(*freqs) + " holds " + std::to_string(factor) + " at " +
                                   std::to_string(i) + ", expected numbers above 0");
        network.rope_factors[i] *= factor;
    }
    return Done{};
}

// Looks tensors up by name, checks each, keeps the first fault and what names were used.
class TensorFinder {
public:
    explicit TensorFinder(const GgufFile& file) : file_(file) {}

    const GgufTensor* matrix(const std::string& name, int rows, int columns) {
        std::int64_t dims[] = {columns, rows};
        const GgufTensor* tensor = find(name, dims);
        if (tensor == nullptr) return nullptr;
        if (columns % block_weights(tensor->type) != 0)
            keep(tensor_text(*tensor) + ": rows of " + std::to_string(columns) +
                 " weights do not fill blocks of " + std::string(type_name(tensor->type)));
        return tensor;
    }

    const GgufTensor* vector(const std::string& name, int count) {
        std::int64_t dims[] = {count};
        const GgufTensor* tensor = find(name, dims);
        if (tensor != nullptr && tensor->type != TensorType::f32)
            keep(tensor_text(*tensor) + " is " + std::string(type_name(tensor->type)) +
                 ", expected f32");
        return tensor;
    }

    // A tensor of the file that the network does not use means that it is another network.
    void refuse_unused() {
        for (const GgufTensor& tensor : file_.tensors())
            if (!used_.contains(tensor.name) && tensor.name != "rope_freqs.weight")
                keep(tensor_text(tensor) + " has no place in this architecture");
    }

    Status status() const {
        if (fault_.empty()) return Done{};
        return fault(file_, fault_);
    }

private:
    const GgufTensor* find(const std::string& name, std::span<const std::int64_t> dims) {
        const GgufTensor* tensor = file_.tensor(name);
        if (tensor == nullptr) {
            keep("tensor '" + name + "' " + shape_text(dims) + " is missing");
            return nullptr;
        }
        used_.insert(tensor->name);
        if (!std::equal(dims.begin(), dims.end(), tensor->dims.begin(), tensor->dims.end()))
            keep(tensor_text(*tensor) + " has shape " + shape_text(tensor->dims) + ", expected " +
                 shape_text(dims));
        return tensor;
    }
    void keep(std::string what) {
        if (fault_.empty()) fault_ = std::move(what);
    }

    const GgufFile& file_;
    std::unordered_set<std::string_view> used_;
    std::string fault_;
};

LayerWeights find_layer(TensorFinder& finder, const NetworkDescription& network, int layer) {
    std::string prefix = "blk." + std::to_string(layer) + ".";
    LayerWeights weights;
    int query_width = network.query_width();
    int kv_width = network.kv_width();
    weights.attention_norm = finder.vector(prefix + "attn_norm.weight", network.hidden);
    weights.query = finder.matrix(prefix + "attn_q.weight", query_width, network.hidden);
    weights.key = finder.matrix(prefix + "attn_k.weight", kv_width, network.hidden);
    weights.value = finder.matrix(prefix + "attn_v.weight", kv_width, network.hidden);
    if (network.qkv_bias) {
        weights.query_bias = finder.vector(prefix + "attn_q.bias", query_width);
        weights.key_bias = finder.vector(prefix + "attn_k.bias", kv_width);
        weights.value_bias = finder.vector(prefix + "attn_v.bias", kv_width);
    }
    weights.attention_output =
        finder.matrix(prefix + "attn_output.weight", network.hidden, query_width);
    weights.ffn_norm = finder.vector(prefix + "ffn_norm.weight", network.hidden);
    weights.gate = finder.matrix(prefix + "ffn_gate.weight", network.ffn, network.hidden);
    weights.up = finder.matrix(prefix + "ffn_up.weight", network.ffn, network.hidden);
    weights.down = finder.matrix(prefix + "ffn_down.weight", network.hidden, network.ffn);
    return weights;
}

}  // namespace

Result<NetworkDescription> describe_network(const GgufFile& file) {
    NetworkDescription network;
    Status known = read_architecture(file, network);
    if (!known) return known.error();
    std::string prefix = network.architecture == Architecture::llama ? "llama." : "qwen2.";
    NumberReader reader(file, prefix);
    read_numbers(reader, network);
    if (!reader.first_fault().empty()) return fault(file, reader.first_fault());

    const GgufTensor* embedding = file.tensor("token_embd.weight");
    if (embedding == nullptr) return fault(file, "tensor 'token_embd.weight' is missing");
    if (embedding->dims.size() != 2 || embedding->dims[1] < 1 || embedding->dims[1] > vocab_max)
        return fault(file, tensor_text(*embedding) + " has shape " + shape_text(embedding->dims) +
                               ", expected [" + std::to_string(network.hidden) + ", tokens]");
    network.vocab = static_cast<int>(embedding->dims[1]);
    network.tied_embeddings = file.tensor("output.weight") == nullptr;
    network.qkv_bias =
        network.architecture == Architecture::qwen2 || file.tensor("blk.0.attn_q.bias") != nullptr;
    Status factors = read_rope_factors(file, prefix, network);
    if (!factors) return factors.error();
    auto weights = find_weights(file, network);  // a description is only given for a whole file
    if (!weights) return weights.error();
    return network;
}

Result<NetworkWeights> find_weights(const GgufFile& file, const NetworkDescription& network) {
    TensorFinder finder(file);
    NetworkWeights weights;
    weights.embedding = finder.matrix("token_embd.weight", network.vocab, network.hidden);
    weights.output_norm = finder.vector("output_norm.weight", network.hidden);
    weights.output = network.tied_embeddings
                         ? weights.embedding
                         : finder.matrix("output.weight", network.vocab, network.hidden);
    for (int layer = 0; layer < network.layers; ++layer)
        weights.layers.push_back(find_layer(finder, network, layer));
    finder.refuse_unused();
    Status found = finder.status();
    if (!found) return found.error();
    return weights;
}

int unpermuted_row(int row, int head_dim, int rope_dims) {
    int within = row % head_dim;
    if (within >= rope_dims) return row;
    return row - within + within % 2 * (rope_dims / 2) + within / 2;
}

}  // namespace sluice
