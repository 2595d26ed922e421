// The memory that a network's steps take beside its weights and products, and how many pages of KV
// cache there are. Plain numbers, so that they can be held for every model's shape where there is
// no GPU (tests/cuda/plans). Bytes, unless said otherwise. Letters: dims.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/cuda/arranged.h"
#include "engine/cuda/attend_plan.h"
#include "engine/cuda/step_sizes.h"
#include "engine/engine.h"
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
    std::size_t picked = 0;      // f32 [S, H]
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
    out.picked = bytes(buffer_rows(sequences_max), n.hidden, sizeof(float));
    out.normed = bytes(rows, padded_columns(n.hidden), sizeof(f16));
    out.qkv = bytes(rows, n.query_width() + 2 * n.kv_width(), sizeof(float));
    out.query = bytes(rows, n.query_width(), sizeof(bf16));
    out.mixed = bytes(rows, padded_columns(n.query_width()), sizeof(f16));
    out.gated = bytes(rows, padded_columns(n.ffn), sizeof(f16));
    out.logits = bytes(rows_of(sequences_max), n.vocab, sizeof(float));
    out.attend = most_decode_room(sequences_max, context_max, n.query_heads, n.head_dim).bytes;
    return out;
}

// Tokens of all sequences of a step that a bias or a penalty may change: those of prompt and
// answer, and those that a bias names. There is a place for each.
constexpr int adjustments_most(int vocab, int sequences_max, int context_max) {
    return sequences_max * std::min(vocab, context_max + Sampling::logit_bias_max);
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

// Places of the swap room: for kv_swap_tokens, or with -1 as EngineOptions says.
constexpr std::int64_t plan_swap(std::int64_t kv_swap_tokens, std::int64_t pages,
                                 std::int64_t page_bytes, std::int64_t memory_bytes) {
    if (kv_swap_tokens >= 0) return (kv_swap_tokens + page_positions - 1) / page_positions;
    return std::min(pages / 4, memory_bytes / 8 / page_bytes);
}

// Why not plan.fits(), and what would.
inline std::string no_room_for_kv(const KvPages& plan, std::int64_t kv_tokens, std::size_t free,
                                  bool could_be_fp8) {
    const std::string fp8 = could_be_fp8 ? ", or set kv_format to fp8, which takes half of it" : "";
    if (plan.room < 1)
        return "the GPU has " + std::to_string(free >> 20) +
               " MiB free beside the weights, of which " +
               std::to_string((kv_tokens == 0 ? reserve_bytes : reserve_bytes / 2) >> 20) +
               " MiB stay free: no room for a KV cache; take a smaller model or quantisation, or "
               "lower prefill_tokens_max or sequences_max" +
               fp8;
    return "the GPU has room for " + std::to_string(plan.room * page_positions) +
           " tokens of KV cache beside the weights; kv_tokens asks for " +
           std::to_string(kv_tokens) + ": lower it" + fp8;
}

// What the card's memory holds once a device is open, in bytes.
struct MemoryShares {
    std::int64_t card = 0;
    std::int64_t weights = 0;
    std::int64_t activations = 0;
    std::int64_t products = 0;  // with the library's room to work in
    std::int64_t steps = 0;     // their tables, and the sampler
    std::int64_t kv = 0;
    std::int64_t free = 0;  // for graphs, and what the driver takes late
};

// The same in whole MiB, which add up to the card: what is neither ours nor free is `other`, the
// driver's, the kernels' code and what other processes have.
struct MemoryLine {
    std::int64_t card, weights, activations, products, steps, kv, free, other;
};
constexpr MemoryLine memory_line(const MemoryShares& shares) {
    MemoryLine out{
        shares.card >> 20,  shares.weights >> 20, shares.activations >> 20, shares.products >> 20,
        shares.steps >> 20, shares.kv >> 20,      shares.free >> 20,        0};
    out.other =
        out.card - out.weights - out.activations - out.products - out.steps - out.kv - out.free;
    return out;
}

}  // namespace sluice::cuda
