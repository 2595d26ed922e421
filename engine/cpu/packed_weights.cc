#include "engine/cpu/packed_weights.h"

#include <cassert>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t alignment = 64;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

PackedMatrix shape_of(const Tensor& tensor) {
    PackedMatrix matrix;
    matrix.type = tensor.type;
    matrix.columns = static_cast<int>(tensor.dims[0]);
    matrix.rows = static_cast<int>(tensor.rows());
    return matrix;
}

// Walks the weights twice in the same order: to add up the memory they take, then to fill it.
class Packer {
public:
    Packer(const ModelFile& file, const NetworkDescription& network, ComputeThreads& threads)
        : file_(file), network_(network), threads_(threads) {}

    std::size_t bytes() const { return used_; }
    void fill(std::uint8_t* memory) {
        memory_ = memory;
        used_ = 0;
    }

    PackedMatrix matrix(const Tensor* tensor, RowOrder order = {}) {
        PackedMatrix matrix = shape_of(*tensor);
        std::uint8_t* out = take(matrix.bytes());
        if (out == nullptr) return matrix;
        matrix.data = out;
        int chunks = threads_.count() * 4;
        threads_.run(chunks, [&](int chunk) {
            auto share = [&](std::int64_t part) {
                return static_cast<int>(part * matrix.groups() / chunks);
            };
            pack_groups(matrix, *tensor, order, share(chunk), share(chunk + 1), out);
        });
        file_.let_go(*tensor);
        return matrix;
    }

    const float* vector(const Tensor* tensor) {
        auto bytes = static_cast<std::size_t>(tensor->bytes);
        std::uint8_t* out = take(bytes);
        if (out != nullptr) std::memcpy(out, tensor->data, bytes);
        return reinterpret_cast<const float*>(out);
    }

    const float* biases(const LayerWeights& layer) {
        if (layer.query_bias == nullptr) return nullptr;
        auto width = static_cast<std::size_t>(network_.query_width() + 2 * network_.kv_width());
        auto* out = reinterpret_cast<float*>(take(width * sizeof(float)));
        if (out == nullptr) return out;
        out = bias(layer.query_bias, rotated(), out);
        out = bias(layer.key_bias, rotated(), out);
        return bias(layer.value_bias, {}, out) - width;
    }

    RowOrder rotated() const {
        if (!network_.permuted_qk) return {};
        return {network_.head_dim, network_.rope_dims};
    }

private:
    std::uint8_t* take(std::size_t bytes) {
        std::uint8_t* at = memory_ == nullptr ? nullptr : memory_ + used_;
        used_ += aligned(bytes);
        return at;
    }
    static float* bias(const Tensor* tensor, RowOrder order, float* out) {
        auto count = static_cast<int>(tensor->dims[0]);
        for (int from = 0; from < count; ++from) {
            int row =
                order.head_dim == 0 ? from : unpermuted_row(from, order.head_dim, order.rope_dims);
            std::memcpy(out + row, tensor->data + static_cast<std::size_t>(from) * sizeof(float),
                        sizeof(float));
        }
        return out + count;
    }

    const ModelFile& file_;
    const NetworkDescription& network_;
    ComputeThreads& threads_;
    std::uint8_t* memory_ = nullptr;
    std::size_t used_ = 0;
};

PackedLayer pack_layer(Packer& packer, const LayerWeights& layer) {
    PackedLayer packed;
    packed.attention_norm = packer.vector(layer.attention_norm);
    packed.query = packer.matrix(layer.query, packer.rotated());
    packed.key = packer.matrix(layer.key, packer.rotated());
    packed.value = packer.matrix(layer.value);
    packed.bias = packer.biases(layer);
    packed.attention_output = packer.matrix(layer.attention_output);
    packed.ffn_norm = packer.vector(layer.ffn_norm);
    packed.gate = packer.matrix(layer.gate);
    packed.up = packer.matrix(layer.up);
    packed.down = packer.matrix(layer.down);
    return packed;
}

PackedWeights pack_all(Packer& packer, const NetworkWeights& weights) {
    PackedWeights packed;
    packed.embedding = packer.matrix(weights.embedding);
    packed.output_norm = packer.vector(weights.output_norm);
    packed.output =
        weights.output == weights.embedding ? packed.embedding : packer.matrix(weights.output);
    for (const LayerWeights& layer : weights.layers)
        packed.layers.push_back(pack_layer(packer, layer));
    return packed;
}

}  // namespace

Result<PackedWeights> pack_weights(const ModelFile& file, const NetworkDescription& network,
                                   ComputeThreads& threads) {
    Result<NetworkWeights> found = find_weights(file, network);
    if (!found) return found.error();
    const NetworkWeights& weights = *found;
    for (const Tensor& tensor : file.tensors())
        if (tensor.type == TensorType::fp8_e4m3)
            return Error(Errc::bad_file, file.path() + ": " + tensor_text(file, tensor) +
                                             " is fp8, which needs device 'cuda'");
    Packer packer(file, network, threads);
    (void)pack_all(packer, weights);
    Result<LazyMemory> memory = LazyMemory::take(packer.bytes(), true, "the weights");
    if (!memory) return memory.error();
    packer.fill(memory->data());
    PackedWeights packed = pack_all(packer, weights);
    // Once more for all: faults map pages around the one that is read.
    for (const Tensor& tensor : file.tensors()) file.let_go(tensor);
    packed.memory = *std::move(memory);
    return packed;
}

}  // namespace sluice
