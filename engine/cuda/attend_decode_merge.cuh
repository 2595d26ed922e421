// How attend_decode adds up weighted values: of warps, of pieces in one block and of pieces that
// many blocks stored. Pieces are folded from the first on with the same rounding wherever it
// happens.
#pragma once

#include "engine/cuda/attend_decode_work.cuh"

namespace sluice::cuda {

template <int N>
struct alignas(N > 4 ? 16 : N * 4) Floats {
    float at[N];
};

// Weighted values of some d of a head over 2^top, and the sum of the weights.
template <int N>
struct Sum {
    Floats<N> values{};
    float top = lowest_score, sum = 0.0F;

    // The one order and rounding in which pieces are added, wherever it happens: a fold from the
    // first piece on.
    __device__ void add(const Sum& next) {
        const float higher = fmaxf(top, next.top);
        const float old = power_of_2(top - higher);
        const float factor = power_of_2(next.top - higher);
        top = higher;
        add(next, old, factor);
    }
    __device__ void add(const Sum& next, float old, float factor) {
        sum = fmaf(sum, old, __fmul_rn(next.sum, factor));
        for (int i = 0; i < N; ++i)
            values.at[i] = fmaf(values.at[i], old, __fmul_rn(next.values.at[i], factor));
    }
};

template <class Out, int N>
struct alignas(N * 2) Stored {
    Out at[N];
};

template <int D, int N>
__device__ void store_sum(const Decode& in, const Item& item, int head, int d, const Sum<N>& sum) {
    const float factor = __fdividef(in.kv.value_scale(item.k), sum.sum);
    const std::int64_t at = (item.pair(in) * in.group + head) * D + d;
    Stored<bf16, N> brain;
    Stored<f16, N> half_;
    for (int i = 0; i < N; ++i) {
        const float value = sum.values.at[i] * factor;
        brain.at[i] = rounded<bf16>(value);
        half_.at[i] = rounded<f16>(value);
    }
    if (in.out_bf16)
        *reinterpret_cast<Stored<bf16, N>*>(static_cast<bf16*>(in.out) + at) = brain;
    else
        *reinterpret_cast<Stored<f16, N>*>(static_cast<f16*>(in.out) + at) = half_;
}

// How one piece joins the pieces before it: Sum::add's factors, made ahead.
struct Joint {
    float old, factor, sum;
    unsigned present;  // else an earlier block's sum holds it
};

// A warp a query head, a lane a piece.
__device__ inline void make_joints(Joint* joints, const Item& item, const Decode& in) {
    const int lane = threadIdx.x % 32;
    const std::int64_t first = item.pair(in) * in.pieces;
#pragma unroll 1
    for (int head = static_cast<int>(threadIdx.x) / 32; head < in.group; head += decode_warps) {
        float2 stats = {lowest_score, -1.0F};
        if (lane < item.pieces) stats = __ldcg(in.stats + (first + lane) * in.group + head);
        float top = stats.x;
        for (int step = 1; step < 32; step *= 2) {
            const float other = __shfl_up_sync(~0U, top, step);
            if (lane >= step) top = fmaxf(top, other);
        }
        float before = __shfl_up_sync(~0U, top, 1);
        if (lane == 0) before = lowest_score;
        joints[lane * in.group + head] = {power_of_2(before - top), power_of_2(stats.x - top),
                                          stats.y, stats.y >= 0.0F};
    }
}

// Adds up the pieces of one sequence's kv head, as many at a time as shared memory holds; nothing
// else of the block is in it any more. The same fold as Sum::add's, bit for bit.
template <int D, int Columns, int SharedBytes>
__device__ void merge_pieces(std::uint8_t* shared, const Item& item, const Decode& in) {
    constexpr int parts = Columns * 8 * D / 4 / decode_threads;
    constexpr int joint_bytes = pieces_max * Columns * 8 * static_cast<int>(sizeof(Joint));
    static_assert(pieces_max == 32);
    const int row = in.group * D / 4;  // chunks of 16 bytes a piece
    const int room = (SharedBytes - joint_bytes) / 16 / row;
    auto* joints = reinterpret_cast<Joint*>(shared);
    const auto* values = reinterpret_cast<const float4*>(shared + joint_bytes);
    const auto* from =
        reinterpret_cast<const float4*>(in.partial) + item.pair(in) * in.pieces * row;
    Sum<4> sums[parts];
#pragma unroll 1
    for (int begin = 0; begin < item.pieces; begin += room) {
        const int count = min(room, item.pieces - begin);
        const std::uint32_t to = shared_address(values);
        __syncthreads();
#pragma unroll 4
        for (int i = static_cast<int>(threadIdx.x); i < count * row; i += decode_threads)
            copy_16(to + i * 16, from + begin * row + i, true);
        close_copies();
        if (begin == 0) make_joints(joints, item, in);
        wait_copies<0>();
        __syncthreads();
#pragma unroll
        for (int part = 0; part < parts; ++part) {
            const int i = static_cast<int>(threadIdx.x) + part * decode_threads;
            if (i >= row) continue;
            const int head = i / (D / 4);
#pragma unroll 4
            for (int p = 0; p < count; ++p) {
                const Joint joint = joints[(begin + p) * in.group + head];
                const float4 v = values[p * row + i];
                if (joint.present != 0)
                    sums[part].add({{v.x, v.y, v.z, v.w}, 0.0F, joint.sum}, joint.old,
                                   joint.factor);
            }
        }
    }
#pragma unroll
    for (int part = 0; part < parts; ++part) {
        const int i = static_cast<int>(threadIdx.x) + part * decode_threads;
        if (i < row) store_sum<D>(in, item, i / (D / 4), i % (D / 4) * 4, sums[part]);
    }
}

}  // namespace sluice::cuda
