#include "engine/cpu/forward.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace sluice {
namespace {

constexpr int tokens_chunk = 4;      // tokens a thread takes at once for work on each
constexpr int attention_chunk = 16;  // query tokens of one sequence a thread takes at once
constexpr int chunks_thread = 6;     // chunks a product is cut into, a thread
constexpr int tile_tokens = 128;     // smaller saves memory and costs more waits for the threads

std::size_t size(int count) { return static_cast<std::size_t>(count); }

}  // namespace

Forward::Forward(const NetworkDescription& network, PackedWeights weights, const Kernels& kernels,
                 ForwardLimits limits, ComputeThreads& threads)
    : network_(network),
      weights_(std::move(weights)),
      kernels_(kernels),
      limits_(limits),
      threads_(threads) {
    for (int i = 0; i < network.rope_dims / 2; ++i) {
        double turn =
            std::pow(static_cast<double>(network.rope_theta), -2.0 * i / network.rope_dims);
        frequency_.push_back(turn / static_cast<double>(network.rope_factors[size(i)]));
    }
    head_stride_ =
        size(page_positions) * size(network.head_dim + padded_head_dim(network.head_dim));
    page_stride_ = head_stride_ * size(network.layers) * size(network.kv_heads);
    tile_max_ = std::min(tile_tokens, limits.tokens_max);
    auto runs_max = size(limits.tokens_max / attention_chunk + limits.sequences_max);
    runs_.reserve(runs_max);
    tiles_.reserve(runs_max);
    ids_.reserve(size(limits.tokens_max));
    position_.reserve(size(limits.tokens_max));
    pages_.reserve(size(limits.tokens_max));
    sampled_.reserve(size(limits.sequences_max));
}

Result<std::unique_ptr<Forward>> Forward::open(const NetworkDescription& network,
                                               PackedWeights weights, const Kernels& kernels,
                                               ForwardLimits limits, ComputeThreads& threads) {
    std::unique_ptr<Forward> forward(
        new Forward(network, std::move(weights), kernels, limits, threads));
    Status taken = forward->take_memory();
    if (!taken) return taken.error();
    return forward;
}

Status Forward::take_memory() {
    const NetworkDescription& n = network_;
    auto pages = static_cast<std::size_t>(limits_.pages);
    auto kv = LazyMemory::take(pages * page_stride_ * sizeof(std::uint16_t), false, "the KV pages");
    if (!kv) return kv.error();
    kv_ = *std::move(kv);

    std::size_t used = 0;
    std::uint8_t* memory = nullptr;
    int columns_max = std::max({n.hidden, n.query_width(), n.ffn});
    auto take = [&](auto*& pointer, int rows, int columns) {
        using Value = std::remove_reference_t<decltype(*pointer)>;
        if (memory != nullptr) pointer = reinterpret_cast<Value*>(memory + used);
        used += (size(rows) * size(columns) * sizeof(Value) + 63) / 64 * 64;
    };
    auto take_all = [&] {
        int tokens = limits_.tokens_max;
        take(hidden_, tokens, n.hidden);
        take(cosine_, tokens, n.rope_dims / 2);
        take(sine_, tokens, n.rope_dims / 2);
        take(logits_, limits_.sequences_max, n.vocab);
        take(normed_, tile_max_, n.hidden);
        take(x_.codes, tile_max_, columns_max);
        take(x_.scale, tile_max_, columns_max / block_columns + 1);
        take(x_.sum, tile_max_, columns_max / block_columns + 1);
        // Attention is over before the feed-forward network begins.
        std::size_t shared = used;
        take(qkv_, tile_max_, n.query_width() + 2 * n.kv_width());
        take(mixed_, tile_max_, n.query_width());
        std::size_t attention_end = std::exchange(used, shared);
        take(gate_, tile_max_, n.ffn);
        take(up_, tile_max_, n.ffn);
        used = std::max(used, attention_end);
    };
    take_all();  // adds up
    auto activations = LazyMemory::take(used, false, "the activations of a step");
    if (!activations) return activations.error();
    activations_ = *std::move(activations);
    memory = activations_.data();
    used = 0;
    take_all();  // hands out
    return Done{};
}

void Forward::rest() {
    kv_.give_back();
    activations_.give_back();
}

std::span<float> Forward::logits(int index) {
    return {logits_ + size(index) * size(network_.vocab), size(network_.tokens)};
}

std::span<const float> Forward::last_hidden(int index) const {
    return {hidden_ + size(index) * size(network_.hidden), size(network_.hidden)};
}

void Forward::run(std::span<const StepSequence> step) {
    lay_out(step);
    embed();
    for (int layer = 0; layer < network_.layers; ++layer) {
        for (const Tile& tile : tiles_) {
            attention(layer, tile);
            feed_forward(layer, tile);
        }
    }
    output();
}

void Forward::lay_out(std::span<const StepSequence> step) {
    runs_.clear();
    ids_.clear();
    position_.clear();
    pages_.clear();
    sampled_.clear();
    for (const StepSequence& sequence : step) {
        auto count = static_cast<int>(sequence.tokens.size());
        auto first = static_cast<int>(ids_.size());
        for (int i = 0; i < count; ++i) {
            if (i % attention_chunk == 0)
                runs_.push_back({&sequence, first + i, std::min(attention_chunk, count - i),
                                 sequence.position + i});
            ids_.push_back(sequence.tokens[size(i)]);
            position_.push_back(sequence.position + i);
            pages_.push_back(sequence.pages);
        }
        if (sequence.sample) sampled_.push_back(first + count - 1);
    }
    tokens_ = static_cast<int>(ids_.size());
    assert(tokens_ <= limits_.tokens_max);
    lay_tiles();
}

void Forward::lay_tiles() {
    tiles_.clear();
    for (std::size_t i = 0; i < runs_.size(); ++i) {
        const Run& run = runs_[i];
        if (tiles_.empty() || tiles_.back().count + run.count > tile_max_)
            tiles_.push_back({run.token, 0, std::span(runs_).subspan(i, 0)});
        Tile& tile = tiles_.back();
        tile.count += run.count;
        tile.runs = {tile.runs.data(), tile.runs.size() + 1};
    }
}

template <class Work>
void Forward::each_token(int count, const Work& work) {
    threads_.run((count + tokens_chunk - 1) / tokens_chunk, [&](int chunk) {
        int end = std::min(count, (chunk + 1) * tokens_chunk);
        for (int token = chunk * tokens_chunk; token < end; ++token) work(token);
    });
}

// hidden[t] = the row of the token's embedding; the angles of its position.
void Forward::embed() {
    int pairs = network_.rope_dims / 2;
    each_token(tokens_, [&](int token) {
        unpack_row(weights_.embedding, ids_[size(token)],
                   hidden_ + size(token) * size(network_.hidden));
        for (int i = 0; i < pairs; ++i) {
            double angle = position_[size(token)] * frequency_[size(i)];
            cosine_[size(token * pairs + i)] = static_cast<float>(std::cos(angle));
            sine_[size(token * pairs + i)] = static_cast<float>(std::sin(angle));
        }
    });
}

void Forward::prepare(float* x, int columns, int token) {
    if (columns % block_columns != 0) return;  // such rows meet weights in floats only
    std::size_t blocks = size(token) * size(columns / block_columns);
    kernels_.quantise(x + size(token) * size(columns), columns,
                      x_.codes + size(token) * size(columns), x_.scale + blocks, x_.sum + blocks);
}

// All products of the same `x` as one piece of work.
void Forward::multiply(std::initializer_list<Product> products, float* x, int count) {
    int groups = 0;
    for (const Product& product : products) groups += product.matrix->groups();
    int chunks = std::min(groups, threads_.count() * chunks_thread);
    threads_.run(chunks, [&](int chunk) {
        auto share = [&](std::int64_t part) { return static_cast<int>(part * groups / chunks); };
        int begin = share(chunk);
        int end = share(chunk + 1);
        for (const Product& product : products) {
            MatmulArguments m;
            m.matrix = product.matrix;
            m.group_begin = std::max(begin, 0);
            m.group_end = std::min(end, product.matrix->groups());
            m.x = x_;
            m.x.floats = x;
            m.x.columns = product.matrix->columns;
            m.tokens = count;
            m.out = product.out;
            m.stride = size(product.stride);
            m.into = product.into;
            if (m.group_begin < m.group_end) kernels_.matmul(product.matrix->type)(m);
            begin -= product.matrix->groups();
            end -= product.matrix->groups();
        }
    });
}

// hidden += attention_output(attention(rope(query), rope(key), value)) of norm(hidden)
void Forward::attention(int layer, const Tile& tile) {
    const PackedLayer& weights = weights_.layers[size(layer)];
    int hidden = network_.hidden;
    int query_width = network_.query_width();
    int kv_width = network_.kv_width();
    int width = query_width + 2 * kv_width;
    float* residual = hidden_ + size(tile.token) * size(hidden);
    normalise(residual, weights.attention_norm, tile.count);
    multiply({{&weights.query, qkv_, width},
              {&weights.key, qkv_ + query_width, width},
              {&weights.value, qkv_ + query_width + kv_width, width}},
             normed_, tile.count);
    each_token(tile.count, [&](int index) { place(layer, tile, index); });
    int kv_heads = network_.kv_heads;
    threads_.run(static_cast<int>(tile.runs.size()) * kv_heads, [&](int chunk) {
        attend(layer, tile, tile.runs[size(chunk / kv_heads)], chunk % kv_heads);
    });
    each_token(tile.count, [&](int index) { prepare(mixed_, query_width, index); });
    multiply({{&weights.attention_output, residual, hidden, Into::add}}, mixed_, tile.count);
}

// normed[i] = norm(x[i]), ready for the products after it
void Forward::normalise(const float* x, const float* weight, int count) {
    int hidden = network_.hidden;
    each_token(count, [&](int index) {
        std::size_t at = size(index) * size(hidden);
        kernels_.rmsnorm(normed_ + at, x + at, weight, hidden, network_.norm_eps);
        prepare(normed_, hidden, index);
    });
}

// Biases, turns and scales a token's query; stores its key and value in its page.
void Forward::place(int layer, const Tile& tile, int index) {
    int dim = network_.head_dim;
    int pairs = network_.rope_dims / 2;
    int width = network_.query_width() + 2 * network_.kv_width();
    int token = tile.token + index;
    float* query = qkv_ + size(index) * size(width);
    float* key = query + network_.query_width();
    float* value = key + network_.kv_width();
    const float* bias = weights_.layers[size(layer)].bias;
    for (int i = 0; bias != nullptr && i < width; ++i) query[i] += bias[i];
    const float* cosine = cosine_ + size(token * pairs);
    const float* sine = sine_ + size(token * pairs);
    for (int head = 0; head < network_.query_heads + network_.kv_heads; ++head)
        kernels_.rotate(query + head * dim, cosine, sine, pairs);
    float scale = 1.0F / std::sqrt(static_cast<float>(dim));
    for (int i = 0; i < network_.query_width(); ++i) query[i] *= scale;
    int position = position_[size(token)];
    auto page = static_cast<std::size_t>(pages_[size(token)][size(position / page_positions)]);
    int slot = position % page_positions;
    for (int head = 0; head < network_.kv_heads; ++head) {
        std::uint16_t* keys = keys_of(layer, head) + page * page_stride_;
        kernels_.store_key(keys, slot, key + head * dim, dim);
        kernels_.store_value(keys + dim * page_positions, slot, value + head * dim, dim);
    }
}

std::uint16_t* Forward::keys_of(int layer, int kv_head) const {
    return reinterpret_cast<std::uint16_t*>(kv_.data()) +
           size(layer * network_.kv_heads + kv_head) * head_stride_;
}

void Forward::attend(int layer, const Tile& tile, const Run& run, int kv_head) {
    int shared = network_.query_heads / network_.kv_heads;
    std::size_t head = size(kv_head * shared * network_.head_dim);
    std::size_t index = size(run.token - tile.token);
    AttentionArguments a;
    a.query_stride = size(network_.query_width() + 2 * network_.kv_width());
    a.query = qkv_ + index * a.query_stride + head;
    a.out_stride = size(network_.query_width());
    a.out = mixed_ + index * a.out_stride + head;
    a.tokens = run.count;
    a.heads = shared;
    a.head_dim = network_.head_dim;
    a.position = run.position;
    a.pages = run.sequence->pages.data();
    a.keys = keys_of(layer, kv_head);
    a.values = a.keys + network_.head_dim * page_positions;
    a.page_stride = page_stride_;
    kernels_.attend(a);
}

// hidden += down(silu(gate) * up) of norm(hidden)
void Forward::feed_forward(int layer, const Tile& tile) {
    const PackedLayer& weights = weights_.layers[size(layer)];
    int hidden = network_.hidden;
    int ffn = network_.ffn;
    float* residual = hidden_ + size(tile.token) * size(hidden);
    normalise(residual, weights.ffn_norm, tile.count);
    multiply({{&weights.gate, gate_, ffn}, {&weights.up, up_, ffn}}, normed_, tile.count);
    each_token(tile.count, [&](int index) {
        std::size_t at = size(index) * size(ffn);
        kernels_.silu_multiply(gate_ + at, up_ + at, ffn);
        prepare(gate_, ffn, index);
    });
    multiply({{&weights.down, residual, hidden, Into::add}}, gate_, tile.count);
}

// Logits of the sampled tokens. Their rows of `hidden` move to its front, which no later row is
// still in: nothing reads the others again. They are left there as the final norm gives them.
void Forward::output() {
    auto count = static_cast<int>(sampled_.size());
    std::size_t hidden = size(network_.hidden);
    for (std::size_t i = 0; i < sampled_.size(); ++i)
        if (size(sampled_[i]) != i)
            std::copy_n(hidden_ + size(sampled_[i]) * hidden, hidden, hidden_ + i * hidden);
    for (int first = 0; first < count; first += tile_max_) {
        int taken = std::min(tile_max_, count - first);
        normalise(hidden_ + size(first) * hidden, weights_.output_norm, taken);
        float* logits = logits_ + size(first) * size(network_.vocab);
        multiply({{&weights_.output, logits, network_.vocab}}, normed_, taken);
        std::copy_n(normed_, size(taken) * hidden, hidden_ + size(first) * hidden);
    }
}

}  // namespace sluice
