#include "engine/cuda/forward.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/embed.h"
#include "engine/cuda/matmul_warpgroup.h"
#include "engine/cuda/memory_plan.h"
#include "engine/cuda/norm.h"

namespace sluice::cuda {
namespace {

std::size_t size(int count) { return static_cast<std::size_t>(count); }

// What L2 is asked for behind each product, in bytes of the next one's weights: measured on an
// H100.
constexpr std::int64_t mebibyte = 1 << 20;
constexpr std::int64_t ahead_of_output = 4 * mebibyte;
constexpr std::int64_t ahead_of_gate = 8 * mebibyte;
constexpr std::int64_t ahead_of_down = 16 * mebibyte;
constexpr std::int64_t ahead_of_next = 8 * mebibyte;  // the next layer's queries, or the output
constexpr int ahead_tokens = 64;  // with more, tensor cores are what a step waits for

Ahead ask_for(const Matrix* next, std::int64_t bytes, int T) {
    return next == nullptr || T > ahead_tokens ? Ahead{} : first_of(*next, bytes);
}

}  // namespace

Forward::Forward(const NetworkDescription& network, WeightsOnDevice weights, ForwardLimits limits)
    : network_(network), weights_(std::move(weights)), limits_(limits) {}

Result<std::unique_ptr<Forward>> Forward::open(const ModelFile& file,
                                               const NetworkDescription& network,
                                               ForwardLimits limits, cudaStream_t stream) {
    auto weights = load_weights(file, network, stream);
    if (!weights) return weights.error();
    std::unique_ptr<Forward> out(new Forward(network, *std::move(weights), limits));
    auto products = Products::open(out->weights_, limits.tokens_max, limits.batch_invariant);
    if (!products) return products.error();
    out->products_ = *std::move(products);
    Status taken = out->take_memory();
    if (!taken) return taken.error();
    return out;
}

// Each at which the library chooses; without it one of each way of multiplying, which loads its
// code.
std::vector<int> Forward::sizes_to_meet(int most) const {
    std::vector<int> sizes;
    if (products_->has_library())
        for (int T = rows_of(1); T <= rows_of(most); T += rows_of(1)) sizes.push_back(T);
    for (int T : {1, 4, 8, 16, 32, 64, rows_of(most)})
        if (!products_->has_library() && T <= rows_of(most)) sizes.push_back(T);
    return sizes;
}

void Forward::meet_sizes(cudaStream_t stream) {
    const NetworkDescription& n = network_;
    const auto rows = static_cast<std::int64_t>(buffer_rows(limits_.tokens_max));
    // On numbers: products of zeros run faster, each way by another share.
    const TensorType type =
        reads_bf16(weights_.layers.front().gate.format) ? TensorType::bf16 : TensorType::f16;
    for (auto [memory, width] : {std::pair{&normed_, n.hidden}, std::pair{&mixed_, n.query_width()},
                                 std::pair{&gated_, n.ffn}})
        random_blocks(type, static_cast<std::uint8_t*>(memory->get()), rows * width * 2, 1, 1,
                      stream);
    for (const LayerOnDevice* layer : kinds_of(weights_.layers))
        for (int T : sizes_to_meet(limits_.tokens_max)) {
            multiply_query(*layer, T, {}, stream);
            products_->multiply({{layer->attention_output, 0}}, mixed_.get(), T, hidden_.get(),
                                n.hidden, Into::add, 1.0F, {}, stream);
            multiply_ffn(*layer, nullptr, static_cast<float*>(hidden_.get()), T, {}, stream);
        }
    for (int S : sizes_to_meet(limits_.sequences_max))
        products_->multiply({{weights_.output, 0}}, normed_.get(), S, logits_.get(), n.vocab,
                            Into::store, 1.0F, {}, stream);
    check(cudaMemsetAsync(hidden_.get(), 0,
                          static_cast<std::size_t>(rows * n.hidden) * sizeof(float), stream));
    check(cudaStreamSynchronize(stream));
}

// The residual stream's rows in the form that these products read.
Products::Arranged Forward::norm(std::initializer_list<Product> products, const float* weight,
                                 const float* hidden, int T, cudaStream_t stream) {
    const NetworkDescription& n = network_;
    if (n.hidden <= norm_coded_columns && products_->take_coded(products, T)) {
        rmsnorm_coded(hidden, weight, products_->coded(), T, n.hidden, n.norm_eps, stream);
        return {.coded = true};
    }
    const bool arranged = products_->take_arranged(products, T);
    rmsnorm(hidden, nullptr, weight, normed_.get(), reads_bf16(products.begin()->matrix.format), T,
            n.hidden, n.norm_eps, stream, arranged ? warpgroup_rows(T) : 0);
    return {.x = arranged};
}

void Forward::multiply_query(const LayerOnDevice& layer, int T, Products::Arranged form,
                             cudaStream_t stream) {
    const NetworkDescription& n = network_;
    products_->multiply({{layer.query, 0},
                         {layer.key, n.query_width()},
                         {layer.value, n.query_width() + n.kv_width()}},
                        normed_.get(), T, qkv_.get(), n.query_width() + 2 * n.kv_width(),
                        Into::store, 1.0F,
                        {.x = form.x,
                         .coded = form.coded,
                         .ahead = ask_for(&layer.attention_output, ahead_of_output, T)},
                        stream);
}

void Forward::multiply_ffn(const LayerOnDevice& layer, const Matrix* next, float* hidden, int T,
                           Products::Arranged form, cudaStream_t stream) {
    const NetworkDescription& n = network_;
    const bool gated = products_->take_arranged({{layer.gate, 0}, {layer.up, 0}}, T) &&
                       products_->take_arranged({{layer.down, 0}}, T);
    products_->multiply({{layer.gate, 0}, {layer.up, 0}}, normed_.get(), T, gated_.get(), n.ffn,
                        Into::swiglu, 1.0F,
                        {.x = form.x,
                         .out = gated,
                         .coded = form.coded,
                         .ahead = ask_for(&layer.down, ahead_of_down, T)},
                        stream);
    products_->multiply({{layer.down, 0}}, gated_.get(), T, hidden, n.hidden, Into::add,
                        reads_bf16(layer.gate.format) ? 1.0F : swiglu_scale,
                        {.x = gated, .ahead = ask_for(next, ahead_of_next, T)}, stream);
}

Status Forward::take_memory() {
    const NetworkDescription& n = network_;
    const Activations bytes =
        plan_activations(n, limits_.tokens_max, limits_.sequences_max, limits_.context_max);
    page_stride_ = bytes.page_stride;
    bool all = true;
    // Zeroed: rows of padding are computed too, and must hold numbers.
    const auto take = [&](DeviceMemory& memory, std::size_t count) {
        memory = take_device_memory(count);
        if (memory) check(cudaMemset(memory.get(), 0, count));
        all = all && memory;
        activation_bytes_ += static_cast<std::int64_t>(count);
    };
    take(page_table_, bytes.page_table);
    take(frequency_, bytes.frequency);
    take(hidden_, bytes.hidden);
    take(picked_, bytes.picked);
    take(normed_, bytes.normed);
    take(qkv_, bytes.qkv);
    take(query_, bytes.query);
    take(mixed_, bytes.mixed);
    take(gated_, bytes.gated);
    take(logits_, bytes.logits);
    take(attend_workspace_, bytes.attend);
    if (!all)
        return Error(Errc::bad_config,
                     "the GPU has no memory left for the activations of a step of " +
                         std::to_string(limits_.tokens_max) +
                         " tokens; lower prefill_tokens_max "
                         "or sequences_max");
    std::vector<float> frequency;
    for (int i = 0; i < n.rope_dims / 2; ++i) {
        const double turn = std::pow(static_cast<double>(n.rope_theta), -2.0 * i / n.rope_dims);
        frequency.push_back(
            static_cast<float>(turn / static_cast<double>(n.rope_factors[size(i)])));
    }
    check(cudaMemcpy(frequency_.get(), frequency.data(), frequency.size() * sizeof(float),
                     cudaMemcpyHostToDevice));
    return Done{};
}

Status Forward::take_kv(cudaStream_t stream) {
    const NetworkDescription& n = network_;
    kv_.format = limits_.kv_format;
    kv_.layers = n.layers;
    kv_.kv_heads = n.kv_heads;
    kv_.head_dim = n.head_dim;
    const std::int64_t page_bytes = kv_page_bytes(kv_.format, n.layers, n.kv_heads, n.head_dim);
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total));
    const KvPages plan =
        plan_kv(free, page_bytes, limits_.kv_tokens, limits_.sequences_max, page_stride_);
    kv_.pages = plan.pages;
    if (!plan.fits())
        return Error(Errc::bad_config,
                     no_room_for_kv(plan, limits_.kv_tokens, free, kv_.format == KvFormat::bf16));
    kv_bytes_ = kv_.pages * page_bytes;
    kv_memory_ = take_device_memory(static_cast<std::size_t>(kv_bytes_));
    const std::vector<float> ones(size(2 * n.layers * n.kv_heads), 1.0F);
    kv_scale_ = take_device_memory(ones.size() * sizeof(float));
    if (!kv_memory_ || !kv_scale_)
        return Error(Errc::bad_config,
                     "the GPU has no " + std::to_string(kv_bytes_ >> 20) +
                         " MiB in one piece for the KV cache; set kv_tokens below " +
                         std::to_string(kv_.pages * page_positions));
    check(cudaMemset(kv_memory_.get(), 0, static_cast<std::size_t>(kv_bytes_)));
    check(cudaMemcpy(kv_scale_.get(), ones.data(), ones.size() * sizeof(float),
                     cudaMemcpyHostToDevice));
    kv_.data = static_cast<std::uint8_t*>(kv_memory_.get());
    kv_.scale = static_cast<const float*>(kv_scale_.get());
    meet_sizes(stream);
    return Done{};
}

void Forward::run(const StepOnDevice& step, const StepSizes& sizes, cudaStream_t stream) {
    embed(weights_.embedding_type, weights_.embedding, step.token, step.slot, step.last_token,
          static_cast<float*>(hidden_.get()), sizes.tokens, network_.hidden, stream);
    Rows rows{};
    for (int layer = 0; layer < network_.layers; ++layer) {
        rows = attend(layer, step, sizes, stream);
        if (picks(layer, sizes)) {
            if (sizes.samples == 0) return;
            rows = picked(step, sizes, stream);
        }
        finish_layer(layer, rows, stream);
    }
    // Plain, for last_hidden().
    rmsnorm(rows.hidden, sizes.all_choose() ? step.sample_row : nullptr, weights_.output_norm,
            normed_.get(), reads_bf16(weights_.output.format), sizes.samples, network_.hidden,
            network_.norm_eps, stream);
    products_->multiply({{weights_.output, 0}}, normed_.get(), sizes.samples, logits_.get(),
                        network_.vocab, Into::store, 1.0F, {}, stream);
}

// attend(rotate(query), rotate(key), value) of norm(hidden)
Forward::Rows Forward::attend(int layer, const StepOnDevice& step, const StepSizes& sizes,
                              cudaStream_t stream) {
    const LayerOnDevice& weights = weights_.layers[size(layer)];
    const NetworkDescription& n = network_;
    const int T = sizes.tokens;
    auto* hidden = static_cast<float*>(hidden_.get());
    const AttentionShape shape{n.query_heads, n.rope_dims};
    const StepTables tables{step.position, step.slot, page_table(), page_stride_};
    const bool brain = reads_bf16(weights.attention_output.format);
    auto* query = static_cast<bf16*>(query_.get());
    const Products::Arranged form = norm({{weights.query, 0}, {weights.key, 0}, {weights.value, 0}},
                                         weights.attention_norm, hidden, T, stream);
    multiply_query(weights, T, form, stream);
    rope_append(static_cast<float*>(qkv_.get()), weights.bias,
                static_cast<float*>(frequency_.get()), query, kv_, layer, tables, shape, T, stream);
    if (sizes.decode > 0)
        attend_decode(query, mixed_.get(), brain, kv_, layer, tables, shape, sizes.decode,
                      sizes.context, attend_workspace_.get(), stream);
    const bool arranged = sizes.decode == 0 && !picks(layer, sizes) &&
                          attend_prefill_arranges(kv_) &&
                          products_->take_arranged({{weights.attention_output, 0}}, T);
    if (sizes.tiles > 0)
        attend_prefill(query, mixed_.get(), brain, kv_, layer, tables, shape, step.tiles,
                       sizes.tiles, arranged ? warpgroup_rows(T) : 0, stream);
    return {hidden, mixed_.get(), arranged, T};
}

bool Forward::picks(int layer, const StepSizes& sizes) const {
    return layer + 1 == network_.layers && !sizes.all_choose();
}

Forward::Rows Forward::picked(const StepOnDevice& step, const StepSizes& sizes,
                              cudaStream_t stream) {
    const int hidden_bytes = network_.hidden * static_cast<int>(sizeof(float));
    const int mixed_bytes = network_.query_width() * static_cast<int>(sizeof(bf16));
    pick_rows(step.sample_row, sizes.samples, {hidden_.get(), picked_.get(), hidden_bytes},
              {mixed_.get(), query_.get(), mixed_bytes}, stream);
    return {static_cast<float*>(picked_.get()), query_.get(), false, sizes.samples};
}

// hidden += attention_output(mixed), then hidden += down(silu(gate) * up) of norm(hidden)
void Forward::finish_layer(int layer, const Rows& rows, cudaStream_t stream) {
    const LayerOnDevice& weights = weights_.layers[size(layer)];
    const NetworkDescription& n = network_;
    const int T = rows.T;
    products_->multiply(
        {{weights.attention_output, 0}}, rows.mixed, T, rows.hidden, n.hidden, Into::add, 1.0F,
        {.x = rows.arranged, .ahead = ask_for(&weights.gate, ahead_of_gate, T)}, stream);
    const Products::Arranged form =
        norm({{weights.gate, 0}, {weights.up, 0}}, weights.ffn_norm, rows.hidden, T, stream);
    const bool last = layer + 1 == n.layers;
    multiply_ffn(weights, last ? &weights_.output : &weights_.layers[size(layer + 1)].query,
                 rows.hidden, T, form, stream);
}

}  // namespace sluice::cuda
