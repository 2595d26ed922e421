// Small random models as GGUF files, and the network written plainly in double precision from its
// definition, for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/network.h"
#include "tests/engine/gguf_writer.h"
#include "tests/engine/random_weights.h"

namespace sluice {

struct TinyModel {
    std::string architecture = "llama";
    int layers = 2, hidden = 40, query_heads = 4, kv_heads = 2, head_dim = 12, rope_dims = 12;
    int ffn = 56, vocab = 51, context = 512;
    bool tied = false, bias = false, rope_freqs = false;
    TensorType type = TensorType::f32;  // of the matrices
    // Of those whose names are these, or these behind a layer's, where they have another.
    std::vector<std::pair<std::string, TensorType>> other_types;
    float bias_size = 0.5F;  // of queries and keys
    float value_bias_size = 0.5F;
    int nan_token = -1;  // whose embedding's first block is NaN
    std::uint32_t seed = 1;

    std::string bytes() const {
        GgufWriter file;
        std::mt19937 random(seed);
        file.set("general.architecture", architecture);
        auto set = [&](const char* key, int value) {
            file.set(architecture + "." + key, static_cast<std::uint32_t>(value));
        };
        set("block_count", layers);
        set("embedding_length", hidden);
        set("feed_forward_length", ffn);
        set("context_length", context);
        set("attention.head_count", query_heads);
        set("attention.head_count_kv", kv_heads);
        set("attention.key_length", head_dim);
        set("attention.value_length", head_dim);
        set("rope.dimension_count", rope_dims);
        file.set(architecture + ".rope.freq_base", 5000.0F);
        file.set(architecture + ".attention.layer_norm_rms_epsilon", 1e-5F);
        write_tensors(file, random);
        return file.bytes();
    }

private:
    TensorType type_of(const std::string& name) const {
        for (const auto& [other, its_type] : other_types)
            if (name == other || name.ends_with("." + other)) return its_type;
        return type;
    }
    // The scale of the block that begins there, or the number where it is none.
    static void make_nan(std::string& bytes, std::size_t at, TensorType type) {
        std::uint16_t bits = 0x7E00;  // a half
        if (type == TensorType::bf16 || type == TensorType::f32) bits = 0x7FC0;
        if (type == TensorType::f32) at += 2;
        if (type == TensorType::q6_k) at += 208;
        std::memcpy(bytes.data() + at, &bits, sizeof bits);
    }
    void write_tensors(GgufWriter& file, std::mt19937& random) const {
        auto matrix = [&](const std::string& name, int rows, int columns, int nan_row = -1) {
            const TensorType in = type_of(name);
            float scale = 0.1F / std::sqrt(static_cast<float>(columns));
            auto bytes = random_weights(in, std::int64_t{rows} * columns, random, scale);
            if (nan_row >= 0) {
                const std::size_t row = bytes.size() / static_cast<std::size_t>(rows);
                make_nan(bytes, row * static_cast<std::size_t>(nan_row), in);
            }
            file.tensor(name, in, {columns, rows}, std::move(bytes));
        };
        auto vector = [&](const std::string& name, int count, float middle, float spread) {
            std::normal_distribution<float> normal(middle, spread);
            std::vector<float> values(static_cast<std::size_t>(count));
            for (float& value : values) value = normal(random);
            file.tensor(name, TensorType::f32, {count}, raw_bytes(values));
        };
        int query_width = query_heads * head_dim;
        int kv_width = kv_heads * head_dim;
        matrix("token_embd.weight", vocab, hidden, nan_token);
        vector("output_norm.weight", hidden, 1.0F, 0.2F);
        if (!tied) matrix("output.weight", vocab, hidden);
        if (rope_freqs) {
            std::vector<float> factors;
            for (int i = 0; i < rope_dims / 2; ++i)
                factors.push_back(1.0F + static_cast<float>(i * i));
            file.tensor("rope_freqs.weight", TensorType::f32, {rope_dims / 2}, raw_bytes(factors));
        }
        for (int layer = 0; layer < layers; ++layer) {
            std::string prefix = "blk." + std::to_string(layer) + ".";
            vector(prefix + "attn_norm.weight", hidden, 1.0F, 0.2F);
            matrix(prefix + "attn_q.weight", query_width, hidden);
            matrix(prefix + "attn_k.weight", kv_width, hidden);
            matrix(prefix + "attn_v.weight", kv_width, hidden);
            if (bias) {
                vector(prefix + "attn_q.bias", query_width, 0.0F, bias_size);
                vector(prefix + "attn_k.bias", kv_width, 0.0F, bias_size);
                vector(prefix + "attn_v.bias", kv_width, 0.0F, value_bias_size);
            }
            matrix(prefix + "attn_output.weight", hidden, query_width);
            vector(prefix + "ffn_norm.weight", hidden, 1.0F, 0.2F);
            matrix(prefix + "ffn_gate.weight", ffn, hidden);
            matrix(prefix + "ffn_up.weight", ffn, hidden);
            matrix(prefix + "ffn_down.weight", hidden, ffn);
        }
    }
};

// Reads tensors by name, knows nothing of NetworkWeights; llama pairs are rotated where the file
// has them (adjacent), which the device does not do. Only K and V are rounded, to halves, or
// nothing is.
class PlainNetwork {
public:
    using Row = std::vector<double>;
    PlainNetwork(const ModelFile& file, const TinyModel& model, bool halves = true)
        : file_(file), m_(model), halves_(halves) {}

    // Logits after each of `tokens`, from an empty context.
    std::vector<Row> logits(const std::vector<int>& tokens) {
        std::vector<Row> x;
        for (int token : tokens) x.push_back(row_of("token_embd.weight", token));
        for (int layer = 0; layer < m_.layers; ++layer) {
            std::string prefix = "blk." + std::to_string(layer) + ".";
            std::vector<Row> mixed = attention(prefix, x);
            for (std::size_t t = 0; t < x.size(); ++t) {
                add(x[t], times(prefix + "attn_output.weight", mixed[t]));
                Row normed = norm(prefix + "ffn_norm.weight", x[t]);
                Row gate = times(prefix + "ffn_gate.weight", normed);
                Row up = times(prefix + "ffn_up.weight", normed);
                for (std::size_t i = 0; i < gate.size(); ++i)
                    gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
                add(x[t], times(prefix + "ffn_down.weight", gate));
            }
        }
        for (Row& row : x)
            row = times(m_.tied ? "token_embd.weight" : "output.weight",
                        norm("output_norm.weight", row));
        return x;
    }

private:
    static void add(Row& to, const Row& from) {
        for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
    }
    double kept(double x) const {
        if (!halves_) return x;
        return static_cast<double>(float_from_half(half_from_float(static_cast<float>(x))));
    }
    Row row_of(const std::string& name, int row) const {
        const Tensor& tensor = *file_.tensor(name);
        std::vector<float> out(static_cast<std::size_t>(tensor.dims[0]));
        dequantise(tensor.type, tensor.data + tensor.bytes / tensor.rows() * row, tensor.dims[0],
                   out.data());
        return {out.begin(), out.end()};
    }
    Row times(const std::string& name, const Row& x) const {
        Row out;
        for (int r = 0; r < file_.tensor(name)->rows(); ++r) {
            Row weights = row_of(name, r);
            double sum = 0.0;
            for (std::size_t c = 0; c < x.size(); ++c) sum += weights[c] * x[c];
            out.push_back(sum);
        }
        return out;
    }
    Row norm(const std::string& name, const Row& x) const {
        double squares = 0.0;
        for (double value : x) squares += value * value;
        Row out = row_of(name, 0);
        for (std::size_t i = 0; i < x.size(); ++i)
            out[i] *= x[i] / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
        return out;
    }
    void rotate(Row& heads, std::size_t position) const {
        bool adjacent = m_.architecture == "llama";
        for (std::size_t head = 0; head < heads.size();
             head += static_cast<std::size_t>(m_.head_dim)) {
            for (int i = 0; i < m_.rope_dims / 2; ++i) {
                double angle =
                    static_cast<double>(position) * std::pow(5000.0, -2.0 * i / m_.rope_dims);
                if (m_.rope_freqs) angle /= 1.0 + i * i;
                double& a = heads[head + static_cast<std::size_t>(adjacent ? 2 * i : i)];
                double& b = heads[head + static_cast<std::size_t>(adjacent ? 2 * i + 1
                                                                           : i + m_.rope_dims / 2)];
                double turned = a * std::cos(angle) - b * std::sin(angle);
                b = a * std::sin(angle) + b * std::cos(angle);
                a = turned;
            }
        }
    }
    Row projected(const std::string& name, const Row& x) const {
        Row out = times(name + ".weight", x);
        if (m_.bias) add(out, row_of(name + ".bias", 0));
        return out;
    }
    std::vector<Row> attention(const std::string& prefix, const std::vector<Row>& x) const {
        std::vector<Row> keys, values, out;
        for (std::size_t t = 0; t < x.size(); ++t) {
            Row normed = norm(prefix + "attn_norm.weight", x[t]);
            Row query = projected(prefix + "attn_q", normed);
            keys.push_back(projected(prefix + "attn_k", normed));
            values.push_back(projected(prefix + "attn_v", normed));
            rotate(query, t);
            rotate(keys.back(), t);
            for (double& key : keys.back()) key = kept(key);
            for (double& value : values.back()) value = kept(value);
            out.push_back(attend(query, keys, values));
        }
        return out;
    }
    Row attend(const Row& query, const std::vector<Row>& keys,
               const std::vector<Row>& values) const {
        Row out(query.size(), 0.0);
        auto dim = static_cast<std::size_t>(m_.head_dim);
        for (std::size_t h = 0; h < static_cast<std::size_t>(m_.query_heads); ++h) {
            std::size_t kv = h / static_cast<std::size_t>(m_.query_heads / m_.kv_heads) * dim;
            Row weight;
            double mass = 0.0;
            for (const Row& key : keys) {
                double score = 0.0;
                for (std::size_t d = 0; d < dim; ++d) score += query[h * dim + d] * key[kv + d];
                weight.push_back(score / std::sqrt(static_cast<double>(dim)));
            }
            double top = *std::max_element(weight.begin(), weight.end());
            for (double& score : weight) mass += score = std::exp(score - top);
            for (std::size_t p = 0; p < keys.size(); ++p)
                for (std::size_t d = 0; d < dim; ++d)
                    out[h * dim + d] += weight[p] / mass * values[p][kv + d];
        }
        return out;
    }

    const ModelFile& file_;
    TinyModel m_;
    bool halves_;
};

}  // namespace sluice
