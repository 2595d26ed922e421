// What the kernels behind matmul_decode share: their work, copies, products and epilogue.
//
// Weights are the A operand of mma.m16n8k16 and tokens its N. The columns are cut into fixed
// segments; within a segment the tensor cores add up step after step, and the segments' sums are
// added in their order. Neither depends on T or on the kernel, so neither does a token's result
// (of the two kernels that take f16 or bf16; the one that takes integers gives others).
//
// Those of f16 call let_next_start() before a small kernel only: a large one's blocks, let in
// early, crowd on the SMs that are done first and stay there (a chain of products took 12.6 ms
// instead of 8.9).
#pragma once

#include "engine/cuda/ahead.h"
#include "engine/cuda/codes_plan.h"
#include "engine/cuda/convert.cuh"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/swiglu.cuh"
#include "engine/cuda/weight_reader.cuh"

namespace sluice::cuda {

constexpr int products_max = 3;
constexpr int few_tokens_max = 4;

struct DecodeProduct {
    const std::uint8_t* planes;
    const float* row_scale;
    int rows;
    int out_column;
    int first;  // index of its first pair of row tiles among the launch's
    int steps;
    int second;  // 1: of the kernel's second format
};

struct DecodeWork {
    DecodeProduct product[products_max];
    int products;
    int groups;  // of row tiles, of all products; for SwiGLU of gate and up together
    int columns;
    int steps;                    // of columns, the same for all products
    int begin[segments_max + 1];  // of the segments, in steps
    const void* x;                // [T, columns]
    int T;
    int segments;
    void* out;
    int out_stride;
    Into into;
    float scale;
    // Not nullptr: blocks take one segment each and leave its sums here for add_segments:
    // [group][segment][T][row of the group].
    float* partial;
    bool early;   // the next kernel may start when all is fetched: it is a small one
    Ahead ahead;  // asked for by warps whose own weights are all on their way
};

__device__ inline void copy_async(std::uint32_t to, const std::uint8_t* from,
                                  std::uint64_t policy) {
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(to),
                 "l"(from), "l"(policy)
                 : "memory");
}
__device__ inline void copy_async_or_zero(std::uint32_t to, const std::uint8_t* from, int bytes,
                                          std::uint64_t policy) {
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(to),
                 "l"(from), "r"(bytes), "l"(policy)
                 : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int left>
__device__ inline void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}
// Weights are read once a step: they must not push activations and partial results out of L2.
__device__ inline std::uint64_t read_once_policy() {
    std::uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

__device__ inline std::uint64_t read_often_policy() {
    std::uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

template <bool brain>
__device__ inline void multiply(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                std::uint32_t b1) {
    if constexpr (brain)
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
            "{%8,%9}, {%0,%1,%2,%3};"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    else
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
            "{%8,%9}, {%0,%1,%2,%3};"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <WeightFormat first, WeightFormat second>
constexpr int slot_bytes = step_layout(first).bytes > step_layout(second).bytes
                               ? step_layout(first).bytes
                               : step_layout(second).bytes;
// A step of plain rows into the order of weight_layout.cuh. Rows beyond the matrix read its last
// one, and their sums are never stored; columns beyond it are zeros.
template <WeightFormat format>
__device__ inline void fetch_plain_tile(const DecodeWork& work, const DecodeProduct& matrix,
                                        int tile, int step, std::uint32_t to, int lane,
                                        std::uint64_t policy) {
    constexpr int pieces = plain_step_bytes / 16;  // of a row
    constexpr int rows_each = 32 / pieces;         // that a warp copies at once
    const int row_bytes = work.columns * (plain_step_bytes / step_layout(format).columns);
    const int piece = lane % pieces;
    const int at = step * plain_step_bytes + piece * 16;
    const int bytes = at < row_bytes ? 16 : 0;
    const int first = tile * tile_rows + lane / pieces;
    const int last = matrix.rows - 1;
    const std::uint8_t* from = matrix.planes +
                               static_cast<std::int64_t>(min(first, last)) * row_bytes +
                               (bytes > 0 ? at : 0);
#pragma unroll
    for (int i = 0; i < tile_rows / rows_each; ++i) {
        const int row = lane / pieces + i * rows_each;
        const int place = format == WeightFormat::fp8_e4m3
                              ? row * fp8_row_pitch + piece * 16
                              : (piece / 4 * 2 + row / 8) * 512 + (row % 8 * 4 + piece % 4) * 16;
        copy_async_or_zero(to + place, from, bytes, policy);
        if (first + (i + 1) * rows_each <= last) from += rows_each * row_bytes;
    }
}

template <WeightFormat format>
__device__ inline void fetch_tile(const DecodeWork& work, const DecodeProduct& matrix, int tile,
                                  int step, std::uint32_t to, int lane, std::uint64_t policy) {
    const int steps = work.steps;
    if constexpr (is_plain(format)) {
        fetch_plain_tile<format>(work, matrix, tile, step, to, lane, policy);
    } else {
        constexpr int bytes = step_layout(format).bytes;
        const std::uint8_t* from =
            matrix.planes + (static_cast<std::int64_t>(tile) * steps + step) * bytes + lane * 16;
#pragma unroll
        for (int at = 0; at < bytes; at += 512)
            if (at + 512 <= bytes || at + lane * 16 < bytes)
                copy_async(to + at + lane * 16, from + at, policy);
    }
}

template <WeightFormat format>
constexpr int x_pitch = step_layout(format).columns * 2 + 64;  // bytes a token; keeps banks apart

// A step's activations of all tokens, by `threads` threads of which this is number `thread`.
template <WeightFormat format>
__device__ inline void fetch_activations(const DecodeWork& work, int step, std::uint32_t to,
                                         int thread, int threads) {
    constexpr int pieces = step_layout(format).columns / 8;  // of 16 bytes, of a token
    const auto* x = static_cast<const std::uint8_t*>(work.x);
    for (int i = thread; i < work.T * pieces; i += threads) {
        const int token = i / pieces;
        const int column = step * step_layout(format).columns + i % pieces * 8;
        const bool inside = column < work.columns;
        const std::int64_t at = static_cast<std::int64_t>(token) * work.columns + column;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                         to + token * x_pitch<format> + i % pieces * 16),
                     "l"(inside ? x + at * 2 : x), "r"(inside ? 16 : 0)
                     : "memory");
    }
}

template <int tiles, int token_tiles>
using Sums = float[tiles][token_tiles][4];

// Adds a step's products. What stands in rows of x beyond T only reaches sums that nobody reads.
template <WeightFormat format, int tiles, int token_tiles>
__device__ inline void add_step(const std::uint8_t* weights, int tile_bytes, const std::uint8_t* x,
                                int T, int lane, Sums<tiles, token_tiles>& sum) {
    constexpr bool brain = reads_bf16(format);
    WeightReader<format> reader[tiles];
    for (int tile = 0; tile < tiles; ++tile) reader[tile].open(weights + tile * tile_bytes, lane);
    const int token = token_tiles == 1 ? min(lane / 4, T - 1) : lane / 4;
    x += token * x_pitch<format> + lane % 4 * 16;
#pragma unroll
    for (int p = 0; p < step_layout(format).columns / 32; ++p) {
        Fragments a[tiles];
        for (int tile = 0; tile < tiles; ++tile) reader[tile].pair(p, a[tile]);
#pragma unroll
        for (int n = 0; n < token_tiles; ++n) {
            const uint4 b = *reinterpret_cast<const uint4*>(x + n * 8 * x_pitch<format> + p * 64);
            for (int tile = 0; tile < tiles; ++tile)
                multiply<brain>(sum[tile][n], a[tile][0], b.x, b.y);
            for (int tile = 0; tile < tiles; ++tile)
                multiply<brain>(sum[tile][n], a[tile][1], b.z, b.w);
        }
    }
}

__device__ inline float row_scale_of(const DecodeProduct& product, int row) {
    return product.row_scale == nullptr ? 1.0F : product.row_scale[row];
}

// What becomes of a row's sum, and for SwiGLU of gate's and up's.
template <bool brain>
__device__ inline void write_value(const DecodeWork& work, const DecodeProduct& product, int token,
                                   int row, float sum, float up_sum) {
    const std::int64_t at =
        static_cast<std::int64_t>(token) * work.out_stride + product.out_column + row;
    float value = sum * row_scale_of(product, row) * work.scale;
    if (work.into == Into::store) {
        static_cast<float*>(work.out)[at] = value;
    } else if (work.into == Into::add) {
        // One addition a launch, so the same bits as a load and a store, without the load's wait.
        atomicAdd(static_cast<float*>(work.out) + at, value);
    } else {
        value = silu(value) * (up_sum * row_scale_of(work.product[1], row) * work.scale);
        if constexpr (brain)
            static_cast<bf16*>(work.out)[at] = rounded<bf16>(value);
        else
            static_cast<f16*>(work.out)[at] = rounded<f16>(value / swiglu_scale);
    }
}

// What a kernel is chosen by, beside the formats.
struct DecodeShape {
    int T;
    int segments;
    bool swiglu;
    bool few_rows;       // few tokens and hardly more row tiles than the device takes at once
    bool plain = false;  // of codes_kernel: x is not coded yet
};

struct DecodeKernel {
    void (*kernel)(DecodeWork);
    std::size_t shared_bytes;
    int threads;  // of a block
    int tiles;    // of 16 rows that a block takes at a time
};

// For products of one or two formats; no kernel where the two do not go together. Each is defined
// beside its instantiations.
DecodeKernel k_quant_kernel(WeightFormat first, WeightFormat second, DecodeShape shape);
DecodeKernel small_block_kernel(WeightFormat format, DecodeShape shape);
DecodeKernel plain_kernel(WeightFormat format, DecodeShape shape);
DecodeKernel codes_kernel(WeightFormat first, WeightFormat second, DecodeShape shape);

}  // namespace sluice::cuda
