// The memory that a network's steps take beside its weights and products, and how many pages of KV
// cache there are. Plain numbers, so that they can be held for every model's shape where there is
// no GPU (tests/cuda/plans). Bytes, unless said otherwise. Letters: dims.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/cuda/arranged.h"
#include "engine/cuda/attend_plan.h"
#include "engine/cuda/step_sizes.h"
#include "engine/model/network.h"

namespace sluice::cuda {

// Left free on the device: graphs, the library's own, and what the driver takes late. An amount
// that is asked for may take half of it: a device that is opened again asks for what it had, and
// finds the kernels' code in memory that was free before.
constexpr std::size_t reserve_bytes = std::size_t{1} << 30;

struct Activations {
    int page_stride = 0;         // pages of one sequence
    std::size_t page_table = 0;  // i32 [slots, page_stride]
    std::size_t frequency = 0;   // f32 [rope_dims / 2]
    std::size_t hidden = 0;      // f32 [T, H]
    std::size_t normed = 0;      // f16 or bf16 [T, H], plain or arranged
    std::size_t qkv = 0;         // f32 [T, (Q + 2 K) D]
    std::size_t query = 0;       // bf16 [T, Q D]
    std::size_t mixed = 0;       // f16 or bf16 [T, Q D], plain or arranged
    std::size_t gated = 0;       // f16 or bf16 [T, F], plain or arranged
    std::size_t logits = 0;      // f32 [S, V]
    std::size_t attend = 0;      // attend_decode's workspace
};

inline Activations plan_activations(const NetworkDescription& n, int tokens_max, int sequences_max,
                                    int context_max) {
    const auto bytes = [](int count, int width, std::size_t value) {
        return static_cast<std::size_t>(count) * static_cast<std::size_t>(width) * value;
    };
    const int rows = buffer_rows(tokens_max);
    Activations out;
    out.page_stride = (context_max + page_positions - 1) / page_positions;
    out.page_table = bytes(sequences_max, out.page_stride, sizeof(std::int32_t));
    out.frequency = bytes(n.rope_dims / 2, 1, sizeof(float));
    out.hidden = bytes(rows, n.hidden, sizeof(float));
    out.normed = bytes(rows, padded_columns(n.hidden), sizeof(f16));
    out.qkv = bytes(rows, n.query_width() + 2 * n.kv_width(), sizeof(float));
    out.query = bytes(rows, n.query_width(), sizeof(bf16));
    out.mixed = bytes(rows, padded_columns(n.query_width()), sizeof(f16));
    out.gated = bytes(rows, padded_columns(n.ffn), sizeof(f16));
    out.logits = bytes(rows_of(sequences_max), n.vocab, sizeof(float));
    out.attend = most_decode_room(sequences_max, context_max, n.query_heads, n.head_dim).bytes;
    return out;
}

// Pages for kv_tokens, or with 0 all that `free` bytes hold and sequences_max sequences can use.
struct KvPages {
    std::int64_t pages = 0;
    std::int64_t room = 0;  // the most there is memory for
    bool fits() const { return pages >= 1 && pages <= room; }
};
constexpr KvPages plan_kv(std::size_t free, std::int64_t page_bytes, std::int64_t kv_tokens,
                          int sequences_max, int page_stride) {
    KvPages out;
    const std::size_t kept = kv_tokens == 0 ? reserve_bytes : reserve_bytes / 2;
    if (free > kept) out.room = static_cast<std::int64_t>(free - kept) / page_bytes;
    out.pages = (kv_tokens + page_positions - 1) / page_positions;
    if (kv_tokens == 0) out.pages = std::min(out.room, std::int64_t{sequences_max} * page_stride);
    return out;
}

}  // namespace sluice::cuda
