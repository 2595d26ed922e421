#include "engine/cpu/cpu_device.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "engine/model/quant.h"
#include "engine/sampler.h"

namespace sluice {
namespace {

constexpr int page_tokens = 32;

using Floats = std::vector<float>;

// out[t, r] = sum_c x[t, c] * matrix[r, c] (+ bias[r]); rows land at `row_of` when permuted.
void matmul(const GgufTensor& matrix, const Floats& x, int tokens, Floats& out) {
    auto columns = static_cast<std::size_t>(matrix.dims[0]);
    auto rows = static_cast<std::size_t>(matrix.dims[1]);
    std::size_t row_bytes = static_cast<std::size_t>(matrix.bytes) / rows;
    Floats row(columns);
    for (std::size_t r = 0; r < rows; ++r) {
        dequantise(matrix.type, matrix.data + r * row_bytes, matrix.dims[0], row.data());
        for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
            float lanes[16] = {};
            std::size_t c = 0;
            for (; c + 16 <= columns; c += 16)
                for (std::size_t i = 0; i < 16; ++i)
                    lanes[i] += x[t * columns + c + i] * row[c + i];
            float sum = 0.0F;
            for (; c < columns; ++c) sum += x[t * columns + c] * row[c];
            for (float lane : lanes) sum += lane;
            out[t * rows + r] = sum;
        }
    }
}

Floats read_vector(const GgufTensor* tensor) {
    if (tensor == nullptr) return {};
    Floats values(static_cast<std::size_t>(tensor->dims[0]));
    std::memcpy(values.data(), tensor->data, values.size() * sizeof(float));
    return values;
}

void rmsnorm(const float* x, const Floats& weight, float eps, float* out) {
    float sum = 0.0F;
    for (std::size_t i = 0; i < weight.size(); ++i) sum += x[i] * x[i];
    float scale = 1.0F / std::sqrt(sum / static_cast<float>(weight.size()) + eps);
    for (std::size_t i = 0; i < weight.size(); ++i) out[i] = x[i] * scale * weight[i];
}

class CpuDevice final : public Device {
public:
    CpuDevice(std::shared_ptr<const GgufFile> file, const NetworkDescription& network,
              NetworkWeights weights, std::int64_t pages)
        : file_(std::move(file)), network_(network), weights_(std::move(weights)) {
        info_.page_tokens = page_tokens;
        info_.pages = pages;
        for (const GgufTensor& tensor : file_->tensors()) info_.weight_bytes += tensor.bytes;
        std::int64_t floats = pages * page_tokens * network_.layers * 2 * network_.kv_width();
        info_.kv_bytes = floats * static_cast<std::int64_t>(sizeof(float));
        kv_.reset(static_cast<float*>(std::calloc(static_cast<std::size_t>(floats), 4)));
    }

    const DeviceInfo& info() const override { return info_; }

    Status begin(std::span<const StepSequence> step) override {
        step_.assign(step.begin(), step.end());
        return Done{};
    }

    Result<std::span<const Sampled>> finish() override {
        sampled_.clear();
        for (const StepSequence& sequence : step_) run(sequence);
        return std::span<const Sampled>(sampled_);
    }

private:
    float* kv_row(const StepSequence& sequence, int layer, int position, int plane) {
        std::int64_t page = sequence.pages[static_cast<std::size_t>(position / page_tokens)];
        std::int64_t row =
            ((page * network_.layers + layer) * 2 + plane) * page_tokens + position % page_tokens;
        return kv_.get() + row * network_.kv_width();
    }

    void rotate(float* head, int position) const {
        int pairs = network_.rope_dims / 2;
        for (int i = 0; i < pairs; ++i) {
            double frequency =
                std::pow(static_cast<double>(network_.rope_theta), -2.0 * i / network_.rope_dims) /
                network_.rope_factors[static_cast<std::size_t>(i)];
            double angle = position * frequency;
            auto cosine = static_cast<float>(std::cos(angle));
            auto sine = static_cast<float>(std::sin(angle));
            float& first = head[network_.permuted_qk ? 2 * i : i];
            float& second = head[network_.permuted_qk ? 2 * i + 1 : i + pairs];
            float a = first;
            float b = second;
            first = a * cosine - b * sine;
            second = a * sine + b * cosine;
        }
    }

    void attend(const StepSequence& sequence, int layer, int position, const float* query,
                float* out) {
        int dim = network_.head_dim;
        auto count = static_cast<std::size_t>(position + 1);
        Floats score(count);
        for (int head = 0; head < network_.query_heads; ++head) {
            int kv_head = head / (network_.query_heads / network_.kv_heads);
            float top = -INFINITY;
            for (std::size_t p = 0; p < count; ++p) {
                const float* key = kv_row(sequence, layer, static_cast<int>(p), 0) + kv_head * dim;
                float sum = 0.0F;
                for (int d = 0; d < dim; ++d) sum += key[d] * query[head * dim + d];
                score[p] = sum / std::sqrt(static_cast<float>(dim));
                top = std::max(top, score[p]);
            }
            float total = 0.0F;
            for (float& value : score) total += value = std::exp(value - top);
            std::fill(out + head * dim, out + (head + 1) * dim, 0.0F);
            for (std::size_t p = 0; p < count; ++p) {
                const float* value =
                    kv_row(sequence, layer, static_cast<int>(p), 1) + kv_head * dim;
                for (int d = 0; d < dim; ++d) out[head * dim + d] += value[d] * score[p] / total;
            }
        }
    }

    void attention(const StepSequence& sequence, int index, const Floats& x, Floats& out) {
        const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(index)];
        auto tokens = static_cast<int>(sequence.tokens.size());
        std::size_t width = static_cast<std::size_t>(network_.query_width());
        std::size_t kv_width = static_cast<std::size_t>(network_.kv_width());
        auto count = static_cast<std::size_t>(tokens);
        Floats query(count * width);
        Floats key(count * kv_width);
        Floats value(count * kv_width);
        Floats mixed(count * width);
        matmul(*layer.query, x, tokens, query);
        matmul(*layer.key, x, tokens, key);
        matmul(*layer.value, x, tokens, value);
        Floats query_bias = read_vector(layer.query_bias);
        Floats key_bias = read_vector(layer.key_bias);
        Floats value_bias = read_vector(layer.value_bias);
        for (std::size_t i = 0; i < query.size() && !query_bias.empty(); ++i)
            query[i] += query_bias[i % width];
        for (std::size_t i = 0; i < key.size() && !key_bias.empty(); ++i) {
            key[i] += key_bias[i % kv_width];
            value[i] += value_bias[i % kv_width];
        }
        for (std::size_t t = 0; t < count; ++t) {
            int position = sequence.position + static_cast<int>(t);
            for (int h = 0; h < network_.query_heads; ++h)
                rotate(&query[t * width] + h * network_.head_dim, position);
            for (int h = 0; h < network_.kv_heads; ++h)
                rotate(&key[t * kv_width] + h * network_.head_dim, position);
            std::copy_n(&key[t * kv_width], kv_width, kv_row(sequence, index, position, 0));
            std::copy_n(&value[t * kv_width], kv_width, kv_row(sequence, index, position, 1));
        }
        for (std::size_t t = 0; t < count; ++t)
            attend(sequence, index, sequence.position + static_cast<int>(t), &query[t * width],
                   &mixed[t * width]);
        matmul(*layer.attention_output, mixed, tokens, out);
    }

    void run(const StepSequence& sequence) {
        auto count = sequence.tokens.size();
        auto tokens = static_cast<int>(count);
        auto hidden = static_cast<std::size_t>(network_.hidden);
        auto ffn = static_cast<std::size_t>(network_.ffn);
        Floats x(count * hidden);
        Floats normed(count * hidden);
        Floats added(count * hidden);
        Floats gate(count * ffn);
        Floats up(count * ffn);
        const GgufTensor& table = *weights_.embedding;
        std::int64_t row_bytes = table.bytes / table.dims[1];
        for (std::size_t t = 0; t < count; ++t)
            dequantise(table.type, table.data + sequence.tokens[t] * row_bytes, table.dims[0],
                       &x[t * hidden]);
        for (int index = 0; index < network_.layers; ++index) {
            const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(index)];
            Floats norm = read_vector(layer.attention_norm);
            for (std::size_t t = 0; t < count; ++t)
                rmsnorm(&x[t * hidden], norm, network_.norm_eps, &normed[t * hidden]);
            attention(sequence, index, normed, added);
            for (std::size_t i = 0; i < x.size(); ++i) x[i] += added[i];
            norm = read_vector(layer.ffn_norm);
            for (std::size_t t = 0; t < count; ++t)
                rmsnorm(&x[t * hidden], norm, network_.norm_eps, &normed[t * hidden]);
            matmul(*layer.gate, normed, tokens, gate);
            matmul(*layer.up, normed, tokens, up);
            for (std::size_t i = 0; i < gate.size(); ++i)
                gate[i] = gate[i] / (1.0F + std::exp(-gate[i])) * up[i];
            matmul(*layer.down, gate, tokens, added);
            for (std::size_t i = 0; i < x.size(); ++i) x[i] += added[i];
        }
        if (!sequence.sample) return;
        Floats last(hidden);
        Floats logits(static_cast<std::size_t>(network_.vocab));
        rmsnorm(&x[(count - 1) * hidden], read_vector(weights_.output_norm), network_.norm_eps,
                last.data());
        matmul(*weights_.output, last, 1, logits);
        sampled_.push_back(sample(logits, sequence));
    }

    struct Free {
        void operator()(float* memory) const { std::free(memory); }
    };
    std::shared_ptr<const GgufFile> file_;
    NetworkDescription network_;
    NetworkWeights weights_;
    DeviceInfo info_;
    std::unique_ptr<float, Free> kv_;
    std::vector<StepSequence> step_;
    std::vector<Sampled> sampled_;
};

}  // namespace

Result<std::unique_ptr<Device>> open_cpu_device(const EngineOptions& options,
                                                std::shared_ptr<const GgufFile> file,
                                                const NetworkDescription& network) {
    auto weights = find_weights(*file, network);
    if (!weights) return weights.error();
    int context =
        options.context_tokens_max > 0 ? options.context_tokens_max : network.context_tokens;
    std::int64_t tokens = options.kv_tokens > 0 ? options.kv_tokens : std::int64_t{4} * context;
    std::int64_t pages = (tokens + page_tokens - 1) / page_tokens;
    std::unique_ptr<Device> device =
        std::make_unique<CpuDevice>(std::move(file), network, std::move(*weights), pages);
    return device;
}

}  // namespace sluice
