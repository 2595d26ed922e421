// matmul_decode of a few tokens by matrices of few rows.
//
// A block takes a row tile; each of its warps takes one segment of the columns and streams it, with
// the activations that go with it, through a ring of its own in shared memory. So even 5120 rows
// keep every SM busy, and nothing has to be added up across blocks. The ring is short on purpose:
// bytes in flight beyond what the memory's latency needs only come back out of order.
#pragma once

#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {

constexpr int few_slots = 2;
constexpr int few_sums = 8 * (tile_rows + 4);  // floats of a warp: [token][row], banks kept apart

template <WeightFormat first, WeightFormat second>
constexpr int few_slot_bytes(int T) {
    return T * x_pitch<first> + slot_bytes<first, second>;
}

// The segments' sums through shared memory, added in the segments' order.
template <bool brain>
__device__ inline void finish_tile(const DecodeWork& work, const DecodeProduct& product,
                                   int row_tile, const float (&sum)[4], float* sums, int segment,
                                   int segments, int lane) {
    constexpr int pitch = few_sums / 8;
    float* mine = sums + segment * few_sums;
    for (int i = 0; i < 4; ++i)
        mine[(lane % 4 * 2 + i % 2) * pitch + i / 2 * 8 + lane / 4] = sum[i];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < work.T * tile_rows;
         i += static_cast<int>(blockDim.x)) {
        const int token = i / tile_rows;
        const int row = row_tile * tile_rows + i % tile_rows;
        if (row >= product.rows) continue;
        const float* of = sums + token * pitch + i % tile_rows;
        float total = 0.0F;
        for (int s = 0; s < segments; ++s) total += of[s * few_sums];
        write_value<brain>(work, product, token, row, total, 0.0F);
    }
    __syncthreads();
}

template <WeightFormat first, WeightFormat second>
__global__ void __launch_bounds__(segments_max * 32, 2)
    decode_few_kernel(const __grid_constant__ DecodeWork work) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    constexpr int columns = step_layout(first).columns;
    static_assert(columns == step_layout(second).columns);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int segment = static_cast<int>(threadIdx.x) / 32;
    const int segments = static_cast<int>(blockDim.x) / 32;
    const int x_bytes = work.T * x_pitch<first>;
    const int slot_size = few_slot_bytes<first, second>(work.T);
    const int ring_begin = segment * few_slots * slot_size;
    auto* sums = reinterpret_cast<float*>(shared + segments * few_slots * slot_size);
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
    const std::uint64_t policy = read_once_policy();
    const int begin = work.begin[segment];
    const int end = work.begin[segment + 1];
    const auto product_of = [&](int group) -> const DecodeProduct& {
        int product = 0;
        while (product + 1 < work.products && group >= work.product[product + 1].first) ++product;
        return work.product[product];
    };

    // Where the ring's end is in the stream: a row tile and a step.
    int group_ahead = static_cast<int>(blockIdx.x);
    int step_ahead = begin;
    const auto fetch_weights = [&](int slot) {
        if (group_ahead >= work.groups) {
            if (work.early) let_next_start();
            return;
        }
        const DecodeProduct& matrix = product_of(group_ahead);
        const std::uint32_t to = address + slot + x_bytes;
        if (first == second || matrix.second == 0)
            fetch_tile<first>(work, matrix, group_ahead - matrix.first, step_ahead, to, lane,
                              policy);
        else
            fetch_tile<second>(work, matrix, group_ahead - matrix.first, step_ahead, to, lane,
                               policy);
    };
    const auto fetch_x = [&](int slot) {
        if (group_ahead < work.groups)
            fetch_activations<first>(work, step_ahead, address + slot, lane, 32);
        commit_copies();  // an empty group keeps the count
    };
    const auto next = [&] {
        if (++step_ahead < end) return;
        step_ahead = begin;
        group_ahead += static_cast<int>(gridDim.x);
    };
    // Not unrolled: of cp.async to a lane's address plus a uniform offset nvcc 13.0 makes an
    // illegal instruction, whose descriptor is in an odd uniform register.
#pragma unroll 1
    for (int i = 0; i < few_slots; ++i, next()) fetch_weights(ring_begin + i * slot_size);
    wait_for_previous();
    group_ahead = static_cast<int>(blockIdx.x);
    step_ahead = begin;
#pragma unroll 1
    for (int i = 0; i < few_slots; ++i, next()) fetch_x(ring_begin + i * slot_size);

    int slot = ring_begin;
    for (int group = static_cast<int>(blockIdx.x); group < work.groups;
         group += static_cast<int>(gridDim.x)) {
        const DecodeProduct& product = product_of(group);
        Sums<1, 1> sum = {};
        for (int step = begin; step < end; ++step, next()) {
            wait_for_copies<few_slots - 1>();
            __syncwarp();
            const std::uint8_t* x = shared + slot;
            if (first == second || product.second == 0)
                add_step<first, 1, 1>(x + x_bytes, 0, x, work.T, lane, sum);
            else
                add_step<second, 1, 1>(x + x_bytes, 0, x, work.T, lane, sum);
            __syncwarp();
            fetch_weights(slot);
            fetch_x(slot);
            slot = slot == ring_begin ? ring_begin + slot_size : ring_begin;
        }
        finish_tile<reads_bf16(first)>(work, product, group - product.first, sum[0][0], sums,
                                       segment, segments, lane);
    }
    ask_ahead(work.ahead, threadIdx.x * gridDim.x + blockIdx.x, gridDim.x * blockDim.x);
}

template <WeightFormat first, WeightFormat second>
DecodeKernel decode_few(DecodeShape shape) {
    const int segment_bytes = few_slots * few_slot_bytes<first, second>(shape.T) +
                              few_sums * static_cast<int>(sizeof(float));
    return {decode_few_kernel<first, second>,
            static_cast<std::size_t>(shape.segments * segment_bytes), shape.segments * 32, 1};
}

}  // namespace sluice::cuda
