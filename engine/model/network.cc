#include "engine/model/network.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace sluice {
namespace {

Error fault(const ModelFile& file, const std::string& what) {
    return Error(Errc::bad_file, file.path() + ": " + what);
}

// Looks tensors up by name, checks each, keeps the first fault and what names were used.
class TensorFinder {
public:
    explicit TensorFinder(const ModelFile& file) : file_(file) {}

    const Tensor* matrix(const std::string& name, int rows, int columns) {
        std::int64_t dims[] = {columns, rows};
        const Tensor* tensor = find(name, dims);
        if (tensor == nullptr) return nullptr;
        if (columns % block_weights(tensor->type) != 0)
            keep(tensor_text(file_, *tensor) + ": rows of " + std::to_string(columns) +
                 " weights do not fill blocks of " + std::string(type_name(tensor->type)));
        return tensor;
    }

    const Tensor* vector(const std::string& name, int count) {
        std::int64_t dims[] = {count};
        const Tensor* tensor = find(name, dims);
        if (tensor != nullptr && tensor->type != TensorType::f32)
            keep(tensor_text(file_, *tensor) + " is " + std::string(type_name(tensor->type)) +
                 ", expected f32");
        return tensor;
    }

    // A tensor of the file that the network does not use means that it is another network.
    void refuse_unused() {
        for (const Tensor& tensor : file_.tensors())
            if (!used_.contains(tensor.name) && tensor.name != "rope_freqs.weight")
                keep(tensor_text(file_, tensor) + " has no place in this architecture");
    }

    Status status() const {
        if (fault_.empty()) return Done{};
        return fault(file_, fault_);
    }

private:
    const Tensor* find(const std::string& name, std::span<const std::int64_t> dims) {
        const Tensor* tensor = file_.tensor(name);
        if (tensor == nullptr) {
            keep("tensor '" + file_.own_name(name) + "' " + file_.own_shape(dims) + " is missing");
            return nullptr;
        }
        used_.insert(tensor->name);
        if (!std::equal(dims.begin(), dims.end(), tensor->dims.begin(), tensor->dims.end()))
            keep(tensor_text(file_, *tensor) + " has shape " + file_.own_shape(tensor->dims) +
                 ", expected " + file_.own_shape(dims));
        return tensor;
    }
    void keep(std::string what) {
        if (fault_.empty()) fault_ = std::move(what);
    }

    const ModelFile& file_;
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

Result<NetworkDescription> describe_network(const ModelFile& file) {
    auto network = file.read_network();
    if (!network) return network.error();
    auto weights = find_weights(file, *network);  // a description is only given for a whole file
    if (!weights) return weights.error();
    network->tokens = network->vocab;
    return network;
}

Result<NetworkWeights> find_weights(const ModelFile& file, const NetworkDescription& network) {
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
