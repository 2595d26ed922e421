// How attend_decode cuts contexts into pieces, the memory that their sums take, and which heads and
// contexts the attention kernels take at all. Plain numbers, so that what fits can be held for
// every model's shape where there is no GPU (tests/cuda/plans). Letters: dims.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/cuda/dims.h"
#include "engine/cuda/step_sizes.h"

namespace sluice::cuda {

constexpr int decode_sequences_max = 256;
constexpr int kv_heads_max = 64;
constexpr int group_max = 16;  // query heads a kv head
constexpr int pieces_max = 32;
constexpr int piece_min = 128;  // positions; a multiple of a page
constexpr std::size_t decode_counter_bytes = sizeof(unsigned) * decode_sequences_max * kv_heads_max;
// A block keeps the pages of a piece as a byte.
constexpr int attended_max = pieces_max * 255 * page_positions;  // positions

// Positions a piece, of a context of so many: of it alone, and at most pieces_max pieces.
constexpr int piece_length(int context) {
    const int least = (context + pieces_max - 1) / pieces_max;
    const int pages = (least + page_positions - 1) / page_positions;
    return pages * page_positions < piece_min ? piece_min : pages * page_positions;
}
// Room for the pieces of any context up to this.
constexpr int pieces_of(int context_max) {
    return std::min(pieces_max, (context_max + piece_min - 1) / piece_min);
}

// What lies where in attend_decode's workspace, in bytes.
struct DecodeRoom {
    int pieces = 0;
    std::size_t partial_at = 0;  // f32 [T, K, pieces, group, D], behind the counters
    std::size_t stats_at = 0;    // float2 [T, K, pieces, group]
    std::size_t bytes = 0;
};
constexpr DecodeRoom decode_room(int T, int query_heads, int head_dim, int context_max) {
    DecodeRoom room;
    room.pieces = pieces_of(context_max);
    const std::size_t sums = static_cast<std::size_t>(T) * static_cast<std::size_t>(query_heads) *
                             static_cast<std::size_t>(room.pieces);
    room.partial_at = decode_counter_bytes;
    room.stats_at = room.partial_at + sums * static_cast<std::size_t>(head_dim) * sizeof(float);
    room.bytes = room.stats_at + sums * 2 * sizeof(float);
    return room;
}

// For all steps of an engine: they are padded, and told apart by classes of contexts.
constexpr DecodeRoom most_decode_room(int sequences_max, int context_max, int query_heads,
                                      int head_dim) {
    return decode_room(padded_tokens(sequences_max), query_heads, head_dim,
                       context_class(context_max));
}

// Whether heads are of a kind that the kernels are made for. A lane of rope_append turns D / 64
// neighbouring pairs.
constexpr bool attention_takes(int query_heads, int kv_heads, int head_dim, int rope_dims) {
    return (head_dim == 64 || head_dim == 128) && kv_heads >= 1 && kv_heads <= kv_heads_max &&
           query_heads % kv_heads == 0 && query_heads / kv_heads <= group_max &&
           rope_dims <= head_dim && rope_dims % (head_dim / 32) == 0;
}

}  // namespace sluice::cuda
