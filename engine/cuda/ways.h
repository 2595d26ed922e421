// Which kernels take which products: of their formats, their sizes and the card alone. Plain
// numbers, so that they can be held for every model's shape where there is no GPU
// (tests/cuda/plans).
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "engine/cuda/card.h"
#include "engine/cuda/codes_plan.h"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/weight_layout.cuh"

namespace sluice::cuda {

constexpr bool quantised(WeightFormat format) {
    return format != WeightFormat::bf16 && format != WeightFormat::f16 &&
           format != WeightFormat::fp8_e4m3;
}

// Whether the kernels that read weights as they are take two formats in one launch.
constexpr bool one_launch(WeightFormat a, WeightFormat b) {
    using enum WeightFormat;
    const auto beside_q6_k = [](WeightFormat format) { return format == q4_k || format == q5_k; };
    return a == b || (beside_q6_k(a) && b == q6_k) || (beside_q6_k(b) && a == q6_k);
}
constexpr bool one_launch(std::span<const Product> products) {
    for (const Product& a : products)
        for (const Product& b : products)
            if (!one_launch(a.matrix.format, b.matrix.format)) return false;
    return true;
}
constexpr bool all_quantised(std::span<const Product> products) {
    return std::ranges::all_of(products,
                               [](const Product& one) { return quantised(one.matrix.format); });
}

// Whether matmul_warpgroup takes them.
constexpr bool warpgroups_take(const Card& card, std::span<const Product> products) {
    return card.warpgroups && all_quantised(products) && one_launch(products);
}

constexpr std::size_t decode_workspace_bytes = 16U << 20;  // 64 tokens of 7168 rows, 8 segments

constexpr int row_tiles(const Product& product) {
    return (product.matrix.rows + tile_rows - 1) / tile_rows;
}

// Whether matmul_codes takes them: a block keeps the activations of a part of the columns, parts
// are few enough, and what blocks leave of each fits the workspace.
constexpr bool codes_take(const Card& card, std::span<const Product> products) {
    if (!all_quantised(products) || !one_launch(products)) return false;
    const int parts =
        parts_for(coded_steps(products.front().matrix.columns), card.block_shared_bytes);
    std::size_t rows = 0;
    for (const Product& one : products)
        rows += static_cast<std::size_t>(row_tiles(one) * tile_rows);
    const bool room =
        parts == 1 || rows * static_cast<std::size_t>(parts * coded_tokens_max) * sizeof(float) <=
                          decode_workspace_bytes;
    return parts <= segments_max && room;
}

}  // namespace sluice::cuda
