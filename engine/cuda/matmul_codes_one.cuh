// matmul_codes of one token. It leaves columns of the tensor cores free, and they take turns.
//
// As in decode_few a block takes a row tile, and each of its warps streams one segment of the
// columns through a ring of its own; for SwiGLU there are twice as many warps, for gate and for up.
#pragma once

#include "engine/cuda/code_stream.cuh"
#include "engine/cuda/coded.cuh"

namespace sluice::cuda {

constexpr int code_sums = tile_rows;  // floats of a warp

// The columns of the tensor cores take turns at the pairs p, so that after `classes` products each
// lane holds the sums of one of those pairs, and scales no other. An even column has a token's
// upper bytes, an odd one its lower; for q6_k those of half of each 32 columns and zeros for the
// others.
template <bool halves>
struct SpreadLane {
    static constexpr int classes = halves ? 2 : 4;
    const std::uint8_t* bytes;  // of its column's pairs
    const std::uint8_t* own;    // the sums of the columns of the pairs that it holds
    std::uint32_t keep[classes];
    __device__ SpreadLane(const std::uint8_t* x, int lane) {
        const int column = lane / 4;
        const int q = lane % 4;
        const int turn = column * classes / 8;
        bytes = x + column % 2 * coded_lower + q * 16 + turn / 2 * 64 + turn % 2 * 8;
        own = x + coded_sums + (halves ? q / 2 * 8 + q % 2 * 4 : q * 8);
        for (int i = 0; i < classes; ++i)
            keep[i] = turn == i && (!halves || column / 2 % 2 == q / 2) ? ~0U : 0U;
    }
    __device__ uint2 pair(int k) const {
        return *reinterpret_cast<const uint2*>(bytes + k * classes * 32);
    }
    __device__ int columns(int k) const {
        const std::uint8_t* at = own + k * classes * 8;
        if constexpr (halves) return *reinterpret_cast<const int*>(at);
        const int2 two = *reinterpret_cast<const int2*>(at);
        return two.x + two.y;
    }
};

// {d, dmin} with the sums of a step's scaled integers.
__device__ inline float step_sum(float2 number, int upper, int lower, int minimum) {
    return number.x * (256.0F * static_cast<float>(upper) + static_cast<float>(lower)) -
           number.y * static_cast<float>(minimum);
}

// {d, m} of 32 columns with the sums of their integers.
template <WeightFormat format>
__device__ inline float block_sum(float2 number, int upper, int lower, int columns) {
    const int sum = 256 * upper + lower - CodeReader<format>::zero * columns;
    const float scaled = number.x * static_cast<float>(sum);
    if constexpr (format != WeightFormat::q4_1) return scaled;
    return scaled + number.y * static_cast<float>(columns);
}

// Adds 256 columns of rows g and g + 8 to a lane's sums; a row's sum is that of its four lanes.
template <WeightFormat format>
__device__ inline void add_codes(const std::uint8_t* weights, const std::uint8_t* x, int lane,
                                 float (&total)[2]) {
    using Reader = CodeReader<format>;
    using Lane = SpreadLane<Reader::halves>;
    Reader reader;
    reader.open(weights, lane);
    const Lane of(x, lane);
    const int q = lane % 4;
    int upper[2] = {};
    int lower[2] = {};
    int minimum[2] = {};
    float part[2] = {};
#pragma unroll
    for (int k = 0; k < 8 / Lane::classes; ++k) {
        const uint2 b = of.pair(k);
        int sum[4] = {};
#pragma unroll
        for (int i = 0; i < Lane::classes; ++i) {
            CodeWords a;
            reader.pair(k * Lane::classes + i, a);
            multiply_codes(sum, a, b.x & of.keep[i], b.y & of.keep[i]);
        }
        const int columns = of.columns(k);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            if constexpr (Reader::integers) {
                const int2 scale = reader.spread(k, q, r);
                upper[r] += scale.x * sum[2 * r];
                lower[r] += scale.x * sum[2 * r + 1];
                minimum[r] += scale.y * columns;
            } else {
                part[r] += block_sum<format>(reader.numbers(4 * k + q, r), sum[2 * r],
                                             sum[2 * r + 1], columns);
            }
        }
    }
    const float scale = *reinterpret_cast<const float*>(x + coded_scale);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        if constexpr (Reader::integers)
            part[r] = step_sum(reader.numbers(r), upper[r], lower[r], minimum[r]);
        total[r] += scale * part[r];
    }
}

// A warp's sums of a tile to shared memory.
__device__ inline void leave_codes(float (&total)[2], int lane, float* to) {
    for (int step = 1; step < 4; step *= 2)
        for (int r = 0; r < 2; ++r) total[r] += __shfl_xor_sync(~0U, total[r], step);
    if (lane % 4 != 0) return;
    for (int r = 0; r < 2; ++r) to[lane / 4 + 8 * r] = total[r];
}

// The results of a group, by one warp, of the sums that all have left.
__device__ inline void finish_codes(const DecodeWork& work, int group, const float* sums,
                                    int lane) {
    const bool swiglu = work.into == Into::swiglu;
    const DecodeProduct& product = product_of(work, group, 0);
    const int row = (group - product.first) * tile_rows + lane;
    if (lane >= tile_rows || row >= product.rows) return;
    float total = 0.0F;
    float up = 0.0F;
    for (int s = 0; s < work.segments; ++s) {
        total += sums[s * code_sums + lane];
        if (swiglu) up += sums[(work.segments + s) * code_sums + lane];
    }
    write_value<false>(work, product, 0, row, total, up);
}

// 256 columns of f16, which a step's x holds, become integers in their place; by the warp.
__device__ inline void code_in_place(std::uint8_t* x, int lane) {
    const uint4 words = *reinterpret_cast<const uint4*>(x + lane * 16);
    float values[8];
    eight_values(words, values);
    __syncwarp();
    code_columns(values, x, lane, true);
    __syncwarp();
}

// `plain`: x is f16 and each warp codes what it reads, which is worth it where few row tiles read
// it.
template <WeightFormat first, WeightFormat second, bool plain>
__global__ void __maxnreg__(80) decode_codes_kernel(const __grid_constant__ DecodeWork work) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int warps = static_cast<int>(blockDim.x) / 32;
    const int part = warp / work.segments;
    constexpr int x_bytes = coded_bytes;
    constexpr int slot_size = x_bytes + code_weight_bytes<first, second>;
    const int ring_begin = warp * code_slots * slot_size;
    auto* sums = reinterpret_cast<float*>(shared + warps * code_slots * slot_size);
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
    const std::uint64_t policy = read_once_policy();
    CodeStream<first, second> weights(work, warp - part * work.segments, part, lane,
                                      static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
    const int begin = weights.begin;
    const int end = weights.end;
    const auto* x = static_cast<const std::uint8_t*>(work.x);
    constexpr int x_step_bytes = plain ? coded_columns * 2 : x_bytes;
    const std::uint8_t* x_from = x + begin * x_step_bytes + lane * 16;
    int x_step = begin;
    const auto fetch_x = [&](int slot) {
        const std::uint32_t to = address + slot + lane * 16;
        if constexpr (plain) {
            const bool inside = x_step * coded_columns + lane * 8 < work.columns;
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                         "l"(inside ? x_from : x), "r"(inside ? 16 : 0)
                         : "memory");
        } else {
#pragma unroll
            for (int at = 0; at < x_bytes; at += 512)
                if (at + 512 <= x_bytes || at + lane * 16 < x_bytes)
                    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + at),
                                 "l"(x_from + at)
                                 : "memory");
        }
        commit_copies();
        x_from += x_step_bytes;
        if (++x_step < end) return;
        x_step = begin;
        x_from = x + begin * x_step_bytes + lane * 16;
    };
    // Not unrolled: see decode_few.
#pragma unroll 1
    for (int i = 0; i < code_slots; ++i)
        weights.fetch(address + ring_begin + i * slot_size + x_bytes, policy);
    wait_for_previous();
    weights.waited = true;
#pragma unroll 1
    for (int i = 0; i < code_slots; ++i) fetch_x(ring_begin + i * slot_size);

    int slot = ring_begin;
    int round = 0;
    for (int group = static_cast<int>(blockIdx.x); group < work.groups;
         group += static_cast<int>(gridDim.x), ++round) {
        // Two sets, so that a warp may go on while another still adds up.
        float* left = sums + round % 2 * warps * code_sums;
        const bool second_format = first != second && product_of(work, group, part).second == 1;
        float total[2] = {};
#pragma unroll 1
        for (int step = begin; step < end; ++step) {
            wait_for_copies<code_slots - 1>();
            __syncwarp();
            std::uint8_t* here = shared + slot;
            if constexpr (plain) code_in_place(here, lane);
            if (!second_format)
                add_codes<first>(here + x_bytes, here, lane, total);
            else
                add_codes<second>(here + x_bytes, here, lane, total);
            __syncwarp();
            std::uint32_t to = address + slot + x_bytes;
            // nvcc 13.0 makes an illegal instruction of a uniform offset here: see decode_few.
            if constexpr (plain) to = __shfl_sync(~0U, to, lane);
            weights.fetch(to, policy);
            fetch_x(slot);
            slot = slot == ring_begin ? ring_begin + slot_size : ring_begin;
        }
        leave_codes(total, lane, left + warp * code_sums);
        __syncthreads();
        if (warp == round % warps) finish_codes(work, group, left, lane);
    }
}

template <WeightFormat first, WeightFormat second = first>
DecodeKernel decode_codes(DecodeShape shape) {
    const int ring = code_slots * (coded_bytes + code_weight_bytes<first, second>);
    const int sums = 2 * code_sums * static_cast<int>(sizeof(float));
    const int warps = shape.segments * (shape.swiglu ? 2 : 1);
    return {shape.plain ? decode_codes_kernel<first, second, true>
                        : decode_codes_kernel<first, second, false>,
            static_cast<std::size_t>(warps * (ring + sums)), warps * 32, 1};
}

}  // namespace sluice::cuda
