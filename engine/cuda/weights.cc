#include "engine/cuda/weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "engine/cpu/compute_threads.h"
#include "engine/cuda/embed.h"

namespace sluice::cuda {
namespace {

constexpr std::int64_t alignment = 256;
constexpr std::int64_t piece_bytes = std::int64_t{32} << 20;
constexpr int pieces = 3;  // one is read, one crosses on its own stream, one is repacked
constexpr int reading_threads = 8;
constexpr std::int64_t share_bytes = std::int64_t{1} << 20;  // a thread copies at once

std::int64_t aligned(std::int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

std::uint16_t bfloat_from(float value) {  // to nearest, ties to even
    auto bits = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Brings a tensor's bytes to the device in pieces of whole rows.
class Uploader {
public:
    explicit Uploader(cudaStream_t stream) : stream_(stream) {
        for (Piece& piece : ring_) {
            piece.host = take_pinned_memory(static_cast<std::size_t>(piece_bytes));
            piece.device = take_device_memory(static_cast<std::size_t>(piece_bytes));
            piece.crossed = make_event();
            piece.free = make_event();
            check(cudaEventRecord(piece.free.get(), stream));
        }
    }
    ~Uploader() {
        (void)cudaStreamSynchronize(crossing_.get());
        (void)cudaStreamSynchronize(stream_);
    }

    // Whether the device had memory for the pieces; else nothing may be asked of it.
    bool ready() const {
        return std::ranges::all_of(ring_, [](const Piece& one) { return bool(one.device); });
    }

    // use(device bytes, row_begin, row_count) enqueues what reads them: the file's own blocks, or
    // for a matrix bf16 for the f32 of the file.
    template <class Use>
    void rows(const Tensor& tensor, bool as_matrix, const Use& use) {
        const std::int64_t row_bytes = tensor.bytes / tensor.rows();
        const std::int64_t rows_piece = std::max<std::int64_t>(piece_bytes / row_bytes, 1);
        for (std::int64_t row = 0; row < tensor.rows(); row += rows_piece) {
            const std::int64_t count = std::min(rows_piece, tensor.rows() - row);
            Piece& piece = ring_[next_++ % pieces];
            check(cudaEventSynchronize(piece.free.get()));
            auto* device = static_cast<std::uint8_t*>(piece.device.get());
            if (tensor.data == nullptr)
                random_blocks(tensor.type, device, count * row_bytes, seed_++,
                              static_cast<int>(tensor.dims[0]), stream_);
            else
                copy(tensor, row * row_bytes, count * row_bytes, piece, as_matrix);
            use(device, static_cast<int>(row), static_cast<int>(count));
            check(cudaEventRecord(piece.free.get(), stream_));
        }
    }

private:
    struct Piece {
        PinnedMemory host;
        DeviceMemory device;
        Event crossed;
        Event free;
    };

    void copy(const Tensor& tensor, std::int64_t begin, std::int64_t bytes, Piece& piece,
              bool as_matrix) {
        const std::uint8_t* from = tensor.data + begin;
        const bool rounded = as_matrix && tensor.type == TensorType::f32;
        auto* host = static_cast<std::uint8_t*>(piece.host.get());
        threads_.run(static_cast<int>((bytes + share_bytes - 1) / share_bytes), [&](int share) {
            const std::int64_t at = share * share_bytes;
            const std::int64_t count = std::min(share_bytes, bytes - at);
            if (rounded)
                round_floats(host + at / 2, from + at, count / 4);
            else
                std::memcpy(host + at, from + at, static_cast<std::size_t>(count));
        });
        if (rounded) bytes /= 2;
        check(cudaMemcpyAsync(piece.device.get(), host, static_cast<std::size_t>(bytes),
                              cudaMemcpyHostToDevice, crossing_.get()));
        check(cudaEventRecord(piece.crossed.get(), crossing_.get()));
        check(cudaStreamWaitEvent(stream_, piece.crossed.get()));
    }

    static void round_floats(std::uint8_t* to, const std::uint8_t* from, std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) {
            float value = 0.0F;
            std::memcpy(&value, from + 4 * i, sizeof value);
            const std::uint16_t bits = bfloat_from(value);
            std::memcpy(to + 2 * i, &bits, sizeof bits);
        }
    }

    cudaStream_t stream_;
    Stream crossing_ = make_stream();
    ComputeThreads threads_{reading_threads};
    Piece ring_[pieces];
    std::size_t next_ = 0;
    std::uint64_t seed_ = 1;
};

// Walks the weights twice in the same order: to add up the memory they take, then to fill it.
class Placer {
public:
    Placer(const NetworkDescription& network, cudaStream_t stream)
        : network_(network), stream_(stream) {}

    void fill(std::uint8_t* memory, Uploader& uploader) {
        memory_ = memory;
        uploader_ = &uploader;
        used_ = 0;
        streamed_ = 0;
    }
    std::int64_t used() const { return used_; }
    std::int64_t streamed() const { return streamed_; }

    Matrix matrix(const Tensor* tensor, RowOrder order = {}) {
        Matrix out;
        out.format = format_of(tensor->type);
        out.rows = static_cast<int>(tensor->rows());
        out.columns = static_cast<int>(tensor->dims[0]);
        const std::int64_t bytes = matrix_bytes(out.format, out.rows, out.columns);
        streamed_ += bytes;
        out.planes = take(bytes);
        if (out.planes == nullptr) return out;
        uploader_->rows(*tensor, true, [&](const std::uint8_t* blocks, int row, int count) {
            repack(out, blocks, row, count, order, stream_);
        });
        return out;
    }

    const std::uint8_t* blocks(const Tensor* tensor) {
        std::uint8_t* out = take(tensor->bytes);
        if (out == nullptr) return out;
        const std::int64_t row_bytes = tensor->bytes / tensor->rows();
        uploader_->rows(*tensor, false, [&](const std::uint8_t* from, int row, int count) {
            check(cudaMemcpyAsync(out + row * row_bytes, from,
                                  static_cast<std::size_t>(count * row_bytes),
                                  cudaMemcpyDeviceToDevice, stream_));
        });
        return out;
    }

    const float* row_scale(const Tensor* tensor, RowOrder order = {}) {
        if (tensor->type != TensorType::fp8_e4m3) return nullptr;
        const auto rows = static_cast<std::size_t>(tensor->rows());
        // Random codes are 1.7 in the mean square.
        const float random = 1.0F / 1.7F / std::sqrt(static_cast<float>(tensor->dims[0]));
        std::vector<float> scale(rows, random);
        if (tensor->row_scale != nullptr) std::copy_n(tensor->row_scale, rows, scale.begin());
        return numbers({ordered(scale, order)});
    }

    const float* vector(const Tensor* tensor) { return numbers({values_of(tensor, 1.0F)}); }

    // Query, key and value biases in the order of their matrices' rows.
    const float* biases(const LayerWeights& layer) {
        if (layer.query_bias == nullptr) return nullptr;
        return numbers({ordered(values_of(layer.query_bias, 0.0F), rotated()),
                        ordered(values_of(layer.key_bias, 0.0F), rotated()),
                        values_of(layer.value_bias, 0.0F)});
    }

    RowOrder rotated() const {
        if (!network_.permuted_qk) return {};
        return {network_.head_dim, network_.rope_dims};
    }

private:
    std::uint8_t* take(std::int64_t bytes) {
        std::uint8_t* at = memory_ == nullptr ? nullptr : memory_ + used_;
        used_ += aligned(bytes);
        return at;
    }

    static std::vector<float> values_of(const Tensor* tensor, float otherwise) {
        std::vector<float> out(static_cast<std::size_t>(tensor->dims[0]), otherwise);
        if (tensor->data != nullptr)
            std::memcpy(out.data(), tensor->data, out.size() * sizeof(float));
        return out;
    }

    static std::vector<float> ordered(std::vector<float> from, RowOrder order) {
        if (order.head_dim == 0) return from;
        std::vector<float> out(from.size());
        for (std::size_t i = 0; i < from.size(); ++i) {
            const int row = unpermuted_row(static_cast<int>(i), order.head_dim, order.rope_dims);
            out[static_cast<std::size_t>(row)] = from[i];
        }
        return out;
    }

    const float* numbers(const std::vector<std::vector<float>>& parts) {
        std::vector<float> all;
        for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
        const std::size_t bytes = all.size() * sizeof(float);
        streamed_ += static_cast<std::int64_t>(bytes);
        auto* out = reinterpret_cast<float*>(take(static_cast<std::int64_t>(bytes)));
        if (out == nullptr) return out;
        check(cudaMemcpyAsync(out, all.data(), bytes, cudaMemcpyHostToDevice, stream_));
        check(cudaStreamSynchronize(stream_));  // `all` ends here
        return out;
    }

    const NetworkDescription& network_;
    cudaStream_t stream_;
    std::uint8_t* memory_ = nullptr;
    Uploader* uploader_ = nullptr;
    std::int64_t used_ = 0;
    std::int64_t streamed_ = 0;
};

// Matrices of one product lie behind one another, and so do their scales: where they are kept row
// by row, the library multiplies with all of them at once.
LayerOnDevice place_layer(Placer& placer, const LayerWeights& layer) {
    LayerOnDevice out;
    out.attention_norm = placer.vector(layer.attention_norm);
    out.query = placer.matrix(layer.query, placer.rotated());
    out.key = placer.matrix(layer.key, placer.rotated());
    out.value = placer.matrix(layer.value);
    out.query.row_scale = placer.row_scale(layer.query, placer.rotated());
    out.key.row_scale = placer.row_scale(layer.key, placer.rotated());
    out.value.row_scale = placer.row_scale(layer.value);
    out.bias = placer.biases(layer);
    out.attention_output = placer.matrix(layer.attention_output);
    out.attention_output.row_scale = placer.row_scale(layer.attention_output);
    out.ffn_norm = placer.vector(layer.ffn_norm);
    out.gate = placer.matrix(layer.gate);
    out.up = placer.matrix(layer.up);
    out.gate.row_scale = placer.row_scale(layer.gate);
    out.up.row_scale = placer.row_scale(layer.up);
    out.down = placer.matrix(layer.down);
    out.down.row_scale = placer.row_scale(layer.down);
    return out;
}

WeightsOnDevice place_all(Placer& placer, const NetworkWeights& weights) {
    WeightsOnDevice out;
    out.embedding_type = weights.embedding->type;
    out.embedding = placer.blocks(weights.embedding);
    out.output_norm = placer.vector(weights.output_norm);
    out.output = placer.matrix(weights.output);
    out.output.row_scale = placer.row_scale(weights.output);
    for (const LayerWeights& layer : weights.layers)
        out.layers.push_back(place_layer(placer, layer));
    return out;
}

}  // namespace

WeightFormat format_of(TensorType type) {
    switch (type) {
        case TensorType::f16:
            return WeightFormat::f16;
        case TensorType::f32:  // rounded while it is read
        case TensorType::bf16:
            return WeightFormat::bf16;
        case TensorType::fp8_e4m3:
            return WeightFormat::fp8_e4m3;
        case TensorType::q8_0:
            return WeightFormat::q8_0;
        case TensorType::q4_0:
            return WeightFormat::q4_0;
        case TensorType::q4_1:
            return WeightFormat::q4_1;
        case TensorType::q4_k:
            return WeightFormat::q4_k;
        case TensorType::q5_k:
            return WeightFormat::q5_k;
        case TensorType::q6_k:
            return WeightFormat::q6_k;
    }
    return {};
}

Result<WeightsOnDevice> load_weights(const ModelFile& file, const NetworkDescription& network,
                                     cudaStream_t stream) {
    Result<NetworkWeights> found = find_weights(file, network);
    if (!found) return found.error();
    Placer placer(network, stream);
    (void)place_all(placer, *found);
    const std::int64_t bytes = placer.used();
    DeviceMemory memory = take_device_memory(static_cast<std::size_t>(bytes));
    if (!memory) {
        std::size_t free = 0, total = 0;
        check(cudaMemGetInfo(&free, &total));
        return Error(Errc::bad_config, "the weights take " + std::to_string(bytes >> 20) +
                                           " MiB; the GPU has " + std::to_string(free >> 20) +
                                           " of " + std::to_string(total >> 20) +
                                           " MiB free; take a smaller model or quantisation, or "
                                           "end what else uses the GPU (nvidia-smi lists it)");
    }
    WeightsOnDevice out;
    {
        Uploader uploader(stream);
        if (!uploader.ready())
            return Error(Errc::bad_config,
                         "beside the weights the GPU has no " +
                             std::to_string(pieces * piece_bytes >> 20) +
                             " MiB left to bring them in; take a smaller model or quantisation");
        placer.fill(static_cast<std::uint8_t*>(memory.get()), uploader);
        out = place_all(placer, *found);
    }
    check(cudaStreamSynchronize(stream));
    out.memory = std::move(memory);
    out.bytes = bytes;
    out.bytes_streamed = placer.streamed();
    return out;
}

}  // namespace sluice::cuda
