// The work of attend_decode as a list of items, one piece of one sequence's context for one kv
// head, and the share of it that each block takes. How a context is cut depends on its length
// alone.
#pragma once

#include "engine/cuda/attention.cuh"

namespace sluice::cuda {

constexpr int decode_warps = 4;
constexpr int decode_threads = decode_warps * 32;
constexpr int step_keys = 16;

struct Decode {
    const bf16* query;
    void* out;
    bool out_bf16;
    KvLayer kv;
    StepTables tables;
    int T;
    int group;          // query heads a kv head
    int pieces;         // room for them in:
    unsigned* arrived;  // [T, K]
    float2* stats;      // [T, K, pieces, group] maximum and sum of a piece
    float* partial;     // [T, K, pieces, group, D] weighted values over 2^maximum
};

// What a block knows of the step's sequences. A sequence's items are [k][piece], each of equal
// weight: its keys and a page's worth for its fixed cost, in pages.
struct Sequences {
    int context[decode_sequences_max];     // 0: padding
    int before[decode_sequences_max + 1];  // weight of the items of the sequences before
    std::uint8_t piece_pages[decode_sequences_max];
    std::uint8_t pieces[decode_sequences_max];

    __device__ int length(int token) const { return piece_pages[token] * page_positions; }
    __device__ int item_weight(int token) const { return piece_pages[token] + 1; }
    __device__ void measure(const Decode& in);
    // The last sequence whose items begin at or before the weight `at`.
    __device__ int holding(int at, int T) const {
        int low = 0;
#pragma unroll 1
        for (int step = decode_sequences_max / 2; step > 0; step /= 2)
            if (low + step < T && before[low + step] <= at) low += step;
        return low;
    }
};

// All threads of the block; a barrier must follow.
__device__ inline void Sequences::measure(const Decode& in) {
    constexpr int each = decode_sequences_max / decode_threads;
    __shared__ int warp_total[decode_warps];
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int first = static_cast<int>(threadIdx.x) * each;
    int total = 0;
#pragma unroll 1
    for (int i = 0; i < each; ++i) {
        before[first + i] = 0;
        if (first + i >= in.T) continue;
        const int positions = in.tables.slot[first + i] < 0 ? 0 : in.tables.position[first + i] + 1;
        const int piece = piece_length(positions);
        context[first + i] = positions;
        piece_pages[first + i] = static_cast<std::uint8_t>(piece / page_positions);
        pieces[first + i] = static_cast<std::uint8_t>((positions + piece - 1) / piece);
        before[first + i] = in.kv.kv_heads * pieces[first + i] * item_weight(first + i);
        total += before[first + i];
    }
    int sum = total;
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(~0U, sum, step);
        if (lane >= step) sum += other;
    }
    if (lane == 31) warp_total[warp] = sum;
    __syncthreads();
    int at = sum - total;
    for (int w = 0; w < warp; ++w) at += warp_total[w];
    for (int i = 0; i < each; ++i) {
        const int weight = before[first + i];
        before[first + i] = at;
        at += weight;
    }
    if (threadIdx.x == decode_threads - 1) before[decode_sequences_max] = at;
}

struct Item {
    int token, k, piece, pieces;
    int begin, end;  // positions

    __device__ std::int64_t pair(const Decode& in) const {
        return std::int64_t{token} * in.kv.kv_heads + k;
    }
};

// Walks the items whose weights begin in [begin, stop).
struct Run {
    int token, k, piece;  // of the next item
    int left;             // weight from the next item on to `stop`

    __device__ Run(const Sequences& all, int T, int begin, int stop) {
        token = all.holding(begin, T);
        const int weight = all.item_weight(token);
        const int index = (begin - all.before[token] + weight - 1) / weight;
        const int pieces = max(static_cast<int>(all.pieces[token]), 1);
        left = stop - all.before[token] - index * weight;
        k = index / pieces;
        piece = index % pieces;
    }
    __device__ bool next(Item& item, const Sequences& all, const Decode& in) {
        if (left <= 0) return false;
#pragma unroll 1
        while (all.pieces[token] == 0 || k == in.kv.kv_heads) {
            if (++token >= in.T) return false;
            k = piece = 0;
        }
        item.token = token;
        item.k = k;
        item.piece = piece;
        item.pieces = all.pieces[token];
        item.begin = piece * all.length(token);
        item.end = min(item.begin + all.length(token), all.context[token]);
        left -= all.item_weight(token);
        if (++piece == item.pieces) {
            piece = 0;
            ++k;
        }
        return true;
    }
};

}  // namespace sluice::cuda
