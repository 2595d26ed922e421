// The network that a GGUF file's metadata describes. Key names: ggml-org/ggml docs/gguf.md.
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/model/gguf.h"
#include "engine/model/network.h"

namespace sluice {
namespace {

Error fault(const GgufFile& file, const std::string& what) {
    return Error(Errc::bad_file, file.path() + ": " + what);
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
    network.layers = reader.integer("block_count", 1, network_limits.layers);
    network.hidden = reader.integer("embedding_length", 1, network_limits.width);
    network.ffn = reader.integer("feed_forward_length", 1, network_limits.width);
    network.context_tokens = reader.integer("context_length", 1, network_limits.context);
    network.query_heads = reader.integer("attention.head_count", 1, network_limits.width);
    network.kv_heads =
        reader.integer("attention.head_count_kv", 1, network_limits.width, network.query_heads);
    network.norm_eps = reader.positive("attention.layer_norm_rms_epsilon");
    network.rope_theta = reader.positive("rope.freq_base", 10000.0);
    if (!reader.first_fault().empty()) return;
    std::int64_t split = network.hidden / network.query_heads;
    network.head_dim = reader.integer("attention.key_length", 1, network_limits.width, split);
    int value_dim =
        reader.integer("attention.value_length", 1, network_limits.width, network.head_dim);
    network.rope_dims =
        reader.integer("rope.dimension_count", 2, network_limits.width, network.head_dim);
    int experts = reader.integer("expert_count", 0, network_limits.width, 0);
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
    if (static_cast<std::int64_t>(network.query_heads) * network.head_dim > network_limits.width)
        reader.keep("the heads are wider than " + std::to_string(network_limits.width) +
                    " together");
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
    const Tensor* freqs = file.tensor("rope_freqs.weight");
    if (freqs == nullptr) return Done{};
    std::int64_t expected = network.rope_dims / 2;
    if (freqs->type != TensorType::f32 || freqs->dims.size() != 1 || freqs->dims[0] != expected)
        return fault(file, tensor_text(file, *freqs) + " is " +
                               std::string(type_name(freqs->type)) + " " + shape_text(freqs->dims) +
                               ", expected f32 [" + std::to_string(expected) + "]");
    for (std::size_t i = 0; i < pairs; ++i) {
        float factor = 0.0F;
        std::memcpy(&factor, freqs->data + i * sizeof factor, sizeof factor);
        if (!(factor > 0.0F) || !std::isfinite(factor))
            return fault(file, tensor_text(file, *freqs) + " holds " + std::to_string(factor) +
                                   " at " + std::to_string(i) + ", expected numbers above 0");
        network.rope_factors[i] *= factor;
    }
    return Done{};
}

}  // namespace

Result<NetworkDescription> GgufFile::read_network() const {
    NetworkDescription network;
    Status known = read_architecture(*this, network);
    if (!known) return known.error();
    std::string prefix = network.architecture == Architecture::llama ? "llama." : "qwen2.";
    NumberReader reader(*this, prefix);
    read_numbers(reader, network);
    if (!reader.first_fault().empty()) return fault(*this, reader.first_fault());

    const Tensor* embedding = tensor("token_embd.weight");
    if (embedding == nullptr) return fault(*this, "tensor 'token_embd.weight' is missing");
    if (embedding->dims.size() != 2 || embedding->dims[1] < 1 ||
        embedding->dims[1] > network_limits.vocab)
        return fault(*this, tensor_text(*this, *embedding) + " has shape " +
                                shape_text(embedding->dims) + ", expected [" +
                                std::to_string(network.hidden) + ", tokens]");
    network.vocab = static_cast<int>(embedding->dims[1]);
    network.tied_embeddings = tensor("output.weight") == nullptr;
    network.qkv_bias =
        network.architecture == Architecture::qwen2 || tensor("blk.0.attn_q.bias") != nullptr;
    Status factors = read_rope_factors(*this, prefix, network);
    if (!factors) return factors.error();
    return network;
}

}  // namespace sluice
