// The kernel behind matmul_decode, instantiated for one or two weight formats and 1, 2, 4 or 8
// tiles of eight tokens.
//
// Weights are the A operand of mma.m16n8k16 and tokens its N, so that up to eight tokens cost what
// one does. A block takes two row tiles at a time (for SwiGLU one of gate and the same one of up);
// its warps split the columns into fixed segments, each streams its segment's steps through a ring
// of its own in shared memory, and the segments' sums are added in order. Nothing of this depends
// on T, so neither does a token's result. Activations are read from global memory: L1 keeps them
// for the SM's other warps. Blocks stay and take further row tiles; the ring runs on across them.
#pragma once

#include "engine/cuda/convert.cuh"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/weight_reader.cuh"

namespace sluice::cuda {

constexpr int products_max = 3;
constexpr int segments_max = 8;  // warps of a block
constexpr int tiles_at_once = 2;
constexpr int ring_steps = 2;

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
    int pairs;  // of row tiles, of all products; for SwiGLU of gate and up together
    int columns;
    const void* x;  // [T, columns]
    int T;
    void* out;
    int out_stride;
    Into into;
    float scale;
};

__device__ inline void copy_async(std::uint32_t to, const std::uint8_t* from,
                                  std::uint64_t policy) {
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(to),
                 "l"(from), "l"(policy)
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
constexpr int ring_slot_bytes = tiles_at_once*(step_layout(first).bytes > step_layout(second).bytes
                                                   ? step_layout(first).bytes
                                                   : step_layout(second).bytes);

constexpr int sums_pitch = tiles_at_once * tile_rows + 4;  // floats a token; keeps banks apart

template <WeightFormat first, WeightFormat second>
constexpr std::size_t decode_shared_bytes(int segments) {
    return static_cast<std::size_t>(segments) *
           (ring_steps * ring_slot_bytes<first, second> + 8 * sums_pitch * sizeof(float));
}

// Where a warp stands in its stream: a pair of row tiles and a step within the warp's segment.
struct StreamPlace {
    int pair;
    int product;
    int step;
    int end;

    __device__ void open(const DecodeWork& work, int at, int segment, int segments) {
        pair = at;
        if (pair >= work.pairs) return;
        product = 0;
        if (work.into != Into::swiglu)
            while (product + 1 < work.products && pair >= work.product[product + 1].first)
                ++product;
        const int steps = work.product[product].steps;
        step = steps * segment / segments;
        end = steps * (segment + 1) / segments;
    }
    // A segment may be empty: then the stream has no step of this pair.
    __device__ void skip_empty(const DecodeWork& work, int segment, int segments) {
        while (pair < work.pairs && step == end)
            open(work, pair + static_cast<int>(gridDim.x), segment, segments);
    }
    __device__ void next(const DecodeWork& work, int segment, int segments) {
        ++step;
        skip_empty(work, segment, segments);
    }
    __device__ const DecodeProduct& matrix(const DecodeWork& work, int index) const {
        return work.product[work.into == Into::swiglu ? index : product];
    }
    __device__ int tile(const DecodeWork& work, int index) const {
        if (work.into == Into::swiglu) return pair;
        return (pair - work.product[product].first) * tiles_at_once + index;
    }
};

__device__ inline void copy_async_or_zero(std::uint32_t to, const std::uint8_t* from, int bytes,
                                          std::uint64_t policy) {
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(to),
                 "l"(from), "r"(bytes), "l"(policy)
                 : "memory");
}

// A step of plain rows into the order of weight_layout.cuh. Rows beyond the matrix read its last
// one, and their sums are never stored; columns beyond it are zeros.
template <WeightFormat format>
__device__ inline void fetch_plain_tile(const DecodeWork& work, const DecodeProduct& matrix,
                                        int tile, int step, std::uint32_t to, int lane,
                                        std::uint64_t policy) {
    constexpr int pieces = plain_step_bytes / 16;  // of a row
    const int row_bytes = work.columns * (plain_step_bytes / step_layout(format).columns);
#pragma unroll
    for (int i = 0; i < tile_rows * pieces / 32; ++i) {
        const int row = (i * 32 + lane) / pieces;
        const int piece = lane % pieces;
        const int at = step * plain_step_bytes + piece * 16;
        const int from_row = min(tile * tile_rows + row, matrix.rows - 1);
        const std::uint8_t* from = matrix.planes + static_cast<std::int64_t>(from_row) * row_bytes;
        const int place = format == WeightFormat::fp8_e4m3
                              ? row * fp8_row_pitch + piece * 16
                              : (piece / 4 * 2 + row / 8) * 512 + (row % 8 * 4 + piece % 4) * 16;
        const bool inside = at < row_bytes;
        copy_async_or_zero(to + place, inside ? from + at : from, inside ? 16 : 0, policy);
    }
}

template <WeightFormat format>
__device__ inline void fetch_step(const DecodeWork& work, const StreamPlace& place,
                                  std::uint32_t slot, int lane, std::uint64_t policy) {
    constexpr int bytes = step_layout(format).bytes;
#pragma unroll
    for (int index = 0; index < tiles_at_once; ++index) {
        const DecodeProduct& matrix = place.matrix(work, index);
        const int tile = place.tile(work, index);
        if constexpr (is_plain(format)) {
            fetch_plain_tile<format>(work, matrix, tile, place.step, slot + index * bytes, lane,
                                     policy);
        } else {
            const std::uint8_t* from =
                matrix.planes +
                (static_cast<std::int64_t>(tile) * matrix.steps + place.step) * bytes + lane * 16;
#pragma unroll
            for (int at = 0; at < bytes; at += 512)
                if (at + 512 <= bytes || at + lane * 16 < bytes)
                    copy_async(slot + index * bytes + at + lane * 16, from + at, policy);
        }
    }
}

template <int token_tiles>
using Sums = float[tiles_at_once][token_tiles][4];

// Adds a step's products. x_lane: this lane's token and eighth of column pairs.
template <WeightFormat format, int token_tiles>
__device__ inline void add_step(const DecodeWork& work, const std::uint8_t* slot, int lane,
                                int column, Sums<token_tiles>& sum) {
    constexpr StepLayout layout = step_layout(format);
    constexpr bool brain = reads_bf16(format);
    WeightReader<format> reader[tiles_at_once];
    for (int index = 0; index < tiles_at_once; ++index)
        reader[index].open(slot + index * layout.bytes, lane);
    column += lane % 4 * 8;
    const auto* x = static_cast<const std::uint16_t*>(work.x) + column;
#pragma unroll
    for (int p = 0; p < layout.columns / 32; ++p) {
        uint4 b[token_tiles];
#pragma unroll
        for (int n = 0; n < token_tiles; ++n) {
            const int token = n * 8 + lane / 4;
            b[n] = uint4{0, 0, 0, 0};
            if (token < work.T && column + 32 * p < work.columns)
                b[n] = *reinterpret_cast<const uint4*>(
                    x + static_cast<std::int64_t>(token) * work.columns + 32 * p);
        }
#pragma unroll
        for (int index = 0; index < tiles_at_once; ++index) {
            Fragments a;
            reader[index].pair(p, a);
#pragma unroll
            for (int n = 0; n < token_tiles; ++n) {
                multiply<brain>(sum[index][n], a[0], b[n].x, b[n].y);
                multiply<brain>(sum[index][n], a[1], b[n].z, b[n].w);
            }
        }
    }
}

__device__ inline float silu(float x) { return x / (1.0F + __expf(-x)); }

// The value of row `row` (0..31 of the pair of tiles) and a token of the current eight, over all
// segments, in their order.
__device__ inline float segments_sum(const float* sums, int segments, int token, int row) {
    float sum = 0.0F;
    for (int segment = 0; segment < segments; ++segment)
        sum += sums[(segment * 8 + token) * sums_pitch + row];
    return sum;
}

__device__ inline float row_scale_of(const DecodeProduct& product, int row) {
    // The reader gives fp8 as value / 256.
    return product.row_scale == nullptr ? 1.0F : product.row_scale[row] * 256.0F;
}

template <bool brain>
__device__ inline void write_out(const DecodeWork& work, const StreamPlace& place,
                                 const float* sums, int segments, int first_token) {
    const int count = work.into == Into::swiglu ? tile_rows : tile_rows * tiles_at_once;
    const DecodeProduct& product = work.product[place.product];
    for (int i = static_cast<int>(threadIdx.x); i < 8 * count; i += static_cast<int>(blockDim.x)) {
        const int token = i / count;
        const int within = i % count;
        const int row = (place.pair - product.first) * count + within;
        if (first_token + token >= work.T || row >= product.rows) continue;
        const std::int64_t at = static_cast<std::int64_t>(first_token + token) * work.out_stride +
                                product.out_column + row;
        float value =
            segments_sum(sums, segments, token, within) * row_scale_of(product, row) * work.scale;
        if (work.into == Into::store) {
            static_cast<float*>(work.out)[at] = value;
        } else if (work.into == Into::add) {
            static_cast<float*>(work.out)[at] += value;
        } else {
            const float up = segments_sum(sums, segments, token, tile_rows + within) *
                             row_scale_of(work.product[1], row) * work.scale;
            value = silu(value) * up;
            if constexpr (brain)
                static_cast<bf16*>(work.out)[at] = rounded<bf16>(value);
            else
                static_cast<f16*>(work.out)[at] = rounded<f16>(value / swiglu_scale);
        }
    }
}

// All segments' sums through shared memory, eight tokens at a time.
template <bool brain, int token_tiles>
__device__ inline void finish_pair(const DecodeWork& work, const StreamPlace& place,
                                   Sums<token_tiles>& sum, float* sums, int segment, int segments,
                                   int lane) {
#pragma unroll
    for (int n = 0; n < token_tiles; ++n) {
        if (n * 8 >= work.T) break;
        float* mine = sums + segment * 8 * sums_pitch;
#pragma unroll
        for (int index = 0; index < tiles_at_once; ++index)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                mine[(lane % 4 * 2 + i % 2) * sums_pitch + index * tile_rows + i / 2 * 8 +
                     lane / 4] = sum[index][n][i];
        __syncthreads();
        write_out<brain>(work, place, sums, segments, n * 8);
        __syncthreads();
    }
}

template <WeightFormat first, WeightFormat second, int token_tiles>
__global__ void __launch_bounds__(segments_max * 32, token_tiles < 8 ? 2 : 1)
    matmul_decode_kernel(const __grid_constant__ DecodeWork work) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    constexpr int slot_bytes = ring_slot_bytes<first, second>;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int segment = static_cast<int>(threadIdx.x) / 32;
    const int segments = static_cast<int>(blockDim.x) / 32;
    std::uint8_t* ring = shared + segment * ring_steps * slot_bytes;
    auto* sums = reinterpret_cast<float*>(shared + segments * ring_steps * slot_bytes);
    const auto ring_address = static_cast<std::uint32_t>(__cvta_generic_to_shared(ring));
    const std::uint64_t policy = read_once_policy();
    const auto fetch = [&](const StreamPlace& place, int slot) {
        if (place.pair < work.pairs) {
            const std::uint32_t to = ring_address + slot * slot_bytes;
            if (first == second || work.product[place.product].second == 0)
                fetch_step<first>(work, place, to, lane, policy);
            else
                fetch_step<second>(work, place, to, lane, policy);
        }
        commit_copies();  // an empty group keeps the count
    };

    StreamPlace ahead;
    ahead.open(work, static_cast<int>(blockIdx.x), segment, segments);
    ahead.skip_empty(work, segment, segments);
    for (int slot = 0; slot < ring_steps; ++slot) {
        fetch(ahead, slot);
        if (ahead.pair < work.pairs) ahead.next(work, segment, segments);
    }
    let_next_start();
    wait_for_previous();

    int slot = 0;
    StreamPlace place;
    for (int pair = static_cast<int>(blockIdx.x); pair < work.pairs;
         pair += static_cast<int>(gridDim.x)) {
        place.open(work, pair, segment, segments);
        Sums<token_tiles> sum = {};
        for (; place.step < place.end; ++place.step) {
            wait_for_copies<ring_steps - 1>();
            __syncwarp();
            const std::uint8_t* weights = ring + slot * slot_bytes;
            if (first == second || work.product[place.product].second == 0)
                add_step<first, token_tiles>(work, weights, lane,
                                             place.step * step_layout(first).columns, sum);
            else
                add_step<second, token_tiles>(work, weights, lane,
                                              place.step * step_layout(second).columns, sum);
            __syncwarp();
            fetch(ahead, slot);
            if (ahead.pair < work.pairs) ahead.next(work, segment, segments);
            slot = slot + 1 == ring_steps ? 0 : slot + 1;
        }
        finish_pair<reads_bf16(first), token_tiles>(work, place, sum, sums, segment, segments,
                                                    lane);
    }
}

struct DecodeKernel {
    void (*kernel)(DecodeWork);
    std::size_t segment_shared_bytes;
};

template <WeightFormat first, WeightFormat second = first>
DecodeKernel decode_kernel_of(int T) {
    constexpr std::size_t bytes = decode_shared_bytes<first, second>(1);
    if (T <= 8) return {matmul_decode_kernel<first, second, 1>, bytes};
    if (T <= 16) return {matmul_decode_kernel<first, second, 2>, bytes};
    if (T <= 32) return {matmul_decode_kernel<first, second, 4>, bytes};
    return {matmul_decode_kernel<first, second, 8>, bytes};
}

// For products of one or two formats; no kernel where the two do not go together. Each is defined
// beside its instantiations.
DecodeKernel k_quant_kernel(WeightFormat first, WeightFormat second, int T);
DecodeKernel small_block_kernel(WeightFormat format, int T);
DecodeKernel plain_kernel(WeightFormat format, int T);

}  // namespace sluice::cuda
