// What a warp of attend_decode computes of a step of keys: scores, weights, weighted values.
#pragma once

#include "engine/cuda/attend_decode_work.cuh"

namespace sluice::cuda {

// What one warp holds of its keys: 8 * Columns query heads, the running maximum and sum of heads
// 8 c + 2 t and + 1, and the weighted values [D, heads] as fragments.
template <int D, class Code, int Columns>
struct WarpState {
    using Operand = typename Codes<Code>::Operand;
    static constexpr bool narrow = sizeof(Code) == 1;
    std::uint32_t query[Columns][D / 16][2];
    float maximum[Columns][2], sum[Columns][2];
    float values[Columns][D / 16][4];

    // Loads an item's query heads.
    __device__ void ask(const Item& item, const Decode& in) {
        const int lane = threadIdx.x % 32;
        const std::int64_t first = (std::int64_t{item.token} * in.kv.kv_heads + item.k) * in.group;
#pragma unroll
        for (int c = 0; c < Columns; ++c) {
            const int head = c * 8 + lane / 4;
            const auto* words =
                reinterpret_cast<const __nv_bfloat162*>(in.query + (first + head) * D);
#pragma unroll
            for (int k = 0; k < D / 16; ++k)
                for (int i = 0; i < 2; ++i) {
                    const int word = k * 8 + (narrow ? lane % 4 * 2 + i : lane % 4 + i * 4);
                    std::uint32_t pair = 0;
                    if (head < in.group)
                        pair = *reinterpret_cast<const std::uint32_t*>(words + word);
                    query[c][k][i] = pair;
                }
        }
    }
    __device__ void start() {
        for (int c = 0; c < Columns; ++c) {
            for (int k = 0; narrow && k < D / 16; ++k)
                for (int i = 0; i < 2; ++i) {
                    const float2 q =
                        __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(query[c][k][i]));
                    query[c][k][i] = two<Operand>(q.x, q.y);
                }
            for (int i = 0; i < 2; ++i) {
                maximum[c][i] = lowest_score;
                sum[c][i] = 0.0F;
            }
            for (int m = 0; m < D / 16; ++m)
                for (int i = 0; i < 4; ++i) values[c][m][i] = 0.0F;
        }
    }

    // scores[c] = keys (16 rows) times query (8 columns).
    __device__ void score(float (&scores)[Columns][4], std::uint32_t keys) const {
        constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
        const int lane = threadIdx.x % 32;
        for (int c = 0; c < Columns; ++c)
            for (int i = 0; i < 4; ++i) scores[c][i] = 0.0F;
#pragma unroll
        for (int chunk = 0; chunk < row_bytes / 16; chunk += 2) {
            std::uint32_t codes[4];
            load_matrices(codes, keys + swizzled<row_bytes>(lane % 16, chunk + lane / 16));
            if constexpr (narrow) {
                for (int h = 0; h < 2; ++h) {
                    const std::uint32_t a[4] = {
                        widened<0>(codes[2 * h]), widened<0>(codes[2 * h + 1]),
                        widened<1>(codes[2 * h]), widened<1>(codes[2 * h + 1])};
                    for (int c = 0; c < Columns; ++c)
                        multiply(scores[c], a, query[c][chunk + h][0], query[c][chunk + h][1],
                                 Operand{});
                }
            } else {
                for (int c = 0; c < Columns; ++c)
                    multiply(scores[c], codes, query[c][chunk / 2][0], query[c][chunk / 2][1],
                             Operand{});
            }
        }
    }

    // Keys of this step beyond `count` do not exist. Turns scores into weights, as the second
    // product's fragments.
    __device__ void weigh(std::uint32_t (&weights)[2], float (&scores)[4], int c, int count,
                          float scale) {
        const int row = threadIdx.x % 32 / 4;
        for (int i = 0; i < 4; ++i)
            scores[i] = row + i / 2 * 8 < count ? scores[i] * scale : -INFINITY;
        for (int i = 0; i < 2; ++i) {
            float top = fmaxf(scores[i], scores[i + 2]);
            for (int step = 4; step < 32; step *= 2)
                top = fmaxf(top, __shfl_xor_sync(~0U, top, step));
            if (top > maximum[c][i]) {
                const float factor = power_of_2(maximum[c][i] - top);
                maximum[c][i] = top;
                sum[c][i] *= factor;
                for (int m = 0; m < D / 16; ++m) {
                    values[c][m][i] *= factor;
                    values[c][m][i + 2] *= factor;
                }
            }
            scores[i] = power_of_2(scores[i] - maximum[c][i]);
            scores[i + 2] = power_of_2(scores[i + 2] - maximum[c][i]);
            sum[c][i] += scores[i] + scores[i + 2];
        }
        weights[0] = transposed(packed(scores[0], scores[1], Operand{}));
        weights[1] = transposed(packed(scores[2], scores[3], Operand{}));
    }

    // values += value codes transposed (D rows) times weights (8 columns).
    __device__ void add(std::uint32_t codes_at, const std::uint32_t (&weights)[Columns][2]) {
        constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int chunk = 0; chunk < row_bytes / 16; chunk += 2) {
            std::uint32_t codes[4];
            if constexpr (narrow) {
                load_transposed(codes,
                                codes_at + swizzled<row_bytes>(lane % 16, chunk + lane / 16));
                for (int h = 0; h < 2; ++h) {
                    const std::uint32_t near = __byte_perm(codes[2 * h], 0, 0x3120);
                    const std::uint32_t far = __byte_perm(codes[2 * h + 1], 0, 0x3120);
                    const std::uint32_t a[4] = {widened<0>(near), widened<1>(near), widened<0>(far),
                                                widened<1>(far)};
                    for (int c = 0; c < Columns; ++c)
                        multiply(values[c][chunk + h], a, weights[c][0], weights[c][1], Operand{});
                }
            } else {
                const int row = lane % 8 + lane / 16 * 8;
                load_transposed(codes, codes_at + swizzled<row_bytes>(row, chunk + lane / 8 % 2));
                for (int c = 0; c < Columns; ++c)
                    multiply(values[c][chunk / 2], codes, weights[c][0], weights[c][1], Operand{});
            }
        }
    }

    // Which d a lane's element i of values[.][m] is.
    __device__ static int dim_of(int m, int i) {
        const int row = threadIdx.x % 32 / 4;
        return narrow ? m * 16 + row * 2 + i / 2 : m * 16 + row + i / 2 * 8;
    }
};

}  // namespace sluice::cuda
