// Which way each product of a step is computed, and the memory that the ways take: of the matrices'
// formats and sizes and of the card alone. Plain numbers, so that they can be held for every
// model's shape where there is no GPU (tests/cuda/plans). Letters: dims.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <span>
#include <vector>

#include "engine/cuda/arranged.h"
#include "engine/cuda/step_sizes.h"
#include "engine/cuda/ways.h"
#include "engine/cuda/weights.h"

namespace sluice::cuda {

// Without warpgroups, up to here reading quantised weights once per 64 tokens beats writing them
// out as f16.
constexpr int few_quantised = 192;
constexpr int few_plain = 16;
// Above this many tokens warpgroups multiply quantised weights faster, where the device has them.
constexpr int few_decode = 8;
constexpr int fp8_multiple = 16;  // of the rows that the library's fp8 products take

constexpr bool whole_columns(int columns) { return columns % arranged_columns == 0; }

enum class Way { codes, few, warpgroups, library };

// The memory that products take, and what decides their way.
struct ProductsPlan {
    Card card;
    bool one_way = false;             // all through matmul_decode
    bool library = false;             // some go through it
    bool warpgroups = false;          // or through those
    std::size_t arranged_bytes = 0;   // activations for warpgroups
    std::size_t coded_bytes = 0;      // activations as integers; 0: none reads them
    std::size_t scratch_bytes = 0;    // the library's matrices of one product as f16
    std::size_t gate_up_bytes = 0;    // and its results before SwiGLU or scales
    std::size_t fp8_codes_bytes = 0;  // and its activations as fp8
    std::size_t fp8_scale_bytes = 0;
};

// What the quantised ones of these take as f16.
constexpr std::size_t f16_bytes(std::span<const Product> products) {
    std::size_t bytes = 0;
    for (const Product& one : products)
        if (quantised(one.matrix.format))
            bytes += static_cast<std::size_t>(one.matrix.rows) *
                     static_cast<std::size_t>(one.matrix.columns) * sizeof(f16);
    return bytes;
}

constexpr bool coded_way(const ProductsPlan& plan, std::span<const Product> products, int T) {
    return plan.coded_bytes > 0 && T <= coded_tokens_max && codes_take(plan.card, products);
}
constexpr bool warpgroup_way(const ProductsPlan& plan, std::span<const Product> products, int T) {
    return !plan.one_way && T > few_decode && warpgroups_take(plan.card, products);
}
// A product whose weights there is no room to write out as f16 never is: the output's, of which a
// few hundred tokens are the most. fp8 of odd rows is nothing that the library takes.
constexpr bool few_only(const ProductsPlan& plan, std::span<const Product> products) {
    if (f16_bytes(products) > plan.scratch_bytes) return true;
    return std::ranges::any_of(products, [](const Product& one) {
        return one.matrix.format == WeightFormat::fp8_e4m3 && one.matrix.rows % fp8_multiple != 0;
    });
}
constexpr Way way_of(const ProductsPlan& plan, std::span<const Product> products, int T) {
    if (warpgroup_way(plan, products, T)) return Way::warpgroups;
    if (coded_way(plan, products, T)) return Way::codes;
    const int few = quantised(products.front().matrix.format) ? few_quantised : few_plain;
    if (plan.one_way || T <= few || few_only(plan, products)) return Way::few;
    return Way::library;
}

// Whether SwiGLU leaves its output as the product behind it reads it.
constexpr bool arranges_gated(const Card& card, const LayerOnDevice& layer) {
    const Product gate_up[] = {{layer.gate}, {layer.up}};
    const Product down[] = {{layer.down}};
    return warpgroups_take(card, gate_up) && whole_columns(layer.gate.columns) &&
           warpgroups_take(card, down) && whole_columns(layer.down.columns);
}

// What one product adds to the plan. `rows` of the buffers.
enum class Role { query, attention_output, gate_up, down, output };
constexpr void add_product(ProductsPlan& plan, std::span<const Product> products, Role role,
                           bool arranged, std::size_t rows) {
    const int columns = products.front().matrix.columns;
    if (codes_take(plan.card, products))
        plan.coded_bytes = std::max(plan.coded_bytes, coded_size(coded_tokens_max, columns));
    if (warpgroups_take(plan.card, products)) {
        plan.warpgroups = true;
        if (!arranged)
            plan.arranged_bytes =
                std::max(plan.arranged_bytes, arranged_bytes(static_cast<int>(rows), columns));
        return;
    }
    plan.library = true;
    // The output's is never written out for its own sake: see few_only.
    if (role != Role::output)
        plan.scratch_bytes = std::max(plan.scratch_bytes, f16_bytes(products));
    std::size_t widest = 0;
    for (const Product& one : products)
        widest = std::max(widest, static_cast<std::size_t>(one.matrix.rows));
    const bool fp8 = products.front().matrix.format == WeightFormat::fp8_e4m3;
    if (role == Role::gate_up)
        plan.gate_up_bytes = std::max(plan.gate_up_bytes, rows * 2 * widest * sizeof(f16));
    else if (fp8 && role != Role::output)
        plan.gate_up_bytes = std::max(plan.gate_up_bytes, rows * widest * sizeof(float));
    if (!fp8) return;
    // SwiGLU leaves its own for the product behind it.
    const std::size_t codes = std::max(static_cast<std::size_t>(columns),
                                       role == Role::gate_up ? widest : std::size_t{0});
    plan.fp8_codes_bytes = std::max(plan.fp8_codes_bytes, rows * codes);
    plan.fp8_scale_bytes = rows * sizeof(float);
}

// `tokens_max` of a step; the output's, too, are at most so many.
constexpr ProductsPlan plan_products(std::span<const LayerOnDevice> layers, const Matrix& output,
                                     const Card& card, int tokens_max, bool one_way) {
    ProductsPlan plan;
    plan.card = card;
    plan.one_way = one_way;
    if (one_way) return plan;
    const auto rows = static_cast<std::size_t>(buffer_rows(tokens_max));
    for (const LayerOnDevice& layer : layers) {
        const Product query[] = {{layer.query}, {layer.key}, {layer.value}};
        const Product gate_up[] = {{layer.gate}, {layer.up}};
        const Product attention_output[] = {{layer.attention_output}};
        const Product down[] = {{layer.down}};
        // Sizes are met with plain activations first: all but SwiGLU's have to be arranged then.
        add_product(plan, query, Role::query, false, rows);
        add_product(plan, attention_output, Role::attention_output, false, rows);
        add_product(plan, gate_up, Role::gate_up, false, rows);
        add_product(plan, down, Role::down, arranges_gated(card, layer), rows);
    }
    const Product last[] = {{output}};
    add_product(plan, last, Role::output, false, rows);
    return plan;
}

// The layers of which each mixes formats as none before it does: what is met in all of them is met
// in these.
inline std::vector<const LayerOnDevice*> kinds_of(std::span<const LayerOnDevice> layers) {
    std::set<std::array<WeightFormat, 7>> known;
    std::vector<const LayerOnDevice*> out;
    for (const LayerOnDevice& l : layers)
        if (known
                .insert({l.query.format, l.key.format, l.value.format, l.attention_output.format,
                         l.gate.format, l.up.format, l.down.format})
                .second)
            out.push_back(&l);
    return out;
}

}  // namespace sluice::cuda
