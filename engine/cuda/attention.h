// Attention over the paged KV cache: rotation and storing of new keys and values, and the reading
// of them, for tokens of many sequences. Q.K and softmax in f32 (Qwen2's overflow f16). The engine
// thread's alone. D is 64 or 128; Q / K is any whole number up to 16 (5 and 7 are Qwen's): see
// attention_takes().
//
// A page holds P tokens of every layer: keys and values [layer][page][key|value][K][P][D], so a
// layer is contiguous over all pages and a head's P keys of a page are contiguous too.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "engine/cuda/attend_plan.h"
#include "engine/cuda/dims.h"

namespace sluice::cuda {

enum class KvFormat { bf16, fp8_e4m3 };

struct KvCache {
    KvFormat format = KvFormat::bf16;
    int layers = 0;
    std::int64_t pages = 0;
    int kv_heads = 0;
    int head_dim = 0;
    std::uint8_t* data = nullptr;
    const float* scale = nullptr;  // fp8: [L, 2, K], key or value = scale * code
};
// Of one page, over all layers.
std::int64_t kv_page_bytes(KvFormat format, int layers, int kv_heads, int head_dim);

// Where the step's tokens stand. Device memory, constant while the step runs. rope_append and
// attend_decode read it before the kernel ahead of them ends: what writes it must be followed by a
// kernel that waits for it before it lets the next one start (rmsnorm does) and one more.
struct StepTables {
    const std::int32_t* position = nullptr;    // [T]
    const std::int32_t* slot = nullptr;        // [T] row of page_table
    const std::int32_t* page_table = nullptr;  // [slots, page_stride] page ids
    int page_stride = 0;
};

struct AttentionShape {
    int query_heads = 0;  // Q
    int rope_dims = 0;    // the first dims of a head rotate, pairs (i, i + rope_dims / 2); % 4 == 0
};

// query[t] = rotate(qkv's query + bias) * log2(e) / sqrt(D), so that its product with a key is an
// exponent of 2; keys (rotated) and values + bias of the T tokens into their pages.
//   qkv        f32 [T, (Q + 2 K) D]             read
//   bias       f32 [(Q + 2 K) D] or nullptr     read
//   frequency  f32 [rope_dims / 2] radians a position    read
//   query      bf16 [T, Q, D]                   written
// A token with slot < 0 is padding: its query is zeros and nothing of it is stored in a page.
void rope_append(const float* qkv, const float* bias, const float* frequency, bf16* query,
                 const KvCache& kv, int layer, const StepTables& tables, AttentionShape shape,
                 int T, cudaStream_t stream);

// One query token a sequence: token t attends to positions 0..position[t] of its slot. The context
// is cut into pieces whose length depends on the token's position alone, so that a token's result
// does not depend on what runs beside it; `context_max` bounds position + 1 of all of them (the
// grid is made for it). A token with slot < 0 is padding: its output is zeros. Slots of the others
// differ. Keys and values before position[t] are read before the kernel ahead ends, the token's own
// after it: it runs behind rope_append of the same layer, or behind attend_prefill that does.
//   query  bf16 [T, Q, D]                                   read
//   out    f16 or bf16 (out_bf16) [T, Q, D]                 written
//   workspace  attend_workspace_bytes() of the largest T and context_max used, zeroed once at
//              start, used by one stream only; its first bytes are counters that end each call at 0
// T <= decode_sequences_max, K <= kv_heads_max, context_max <= attended_max.
void attend_decode(const bf16* query, void* out, bool out_bf16, const KvCache& kv, int layer,
                   const StepTables& tables, AttentionShape shape, int T, int context_max,
                   void* workspace, cudaStream_t stream);
std::size_t attend_workspace_bytes(int T, AttentionShape shape, int head_dim, int context_max);

// A run of consecutive tokens of one sequence: prefill. Causal: token i of it attends to positions
// 0..position + i of its slot, so a prompt may come in chunks. Its keys are in their pages already.
struct Tile {
    std::int32_t token = 0;     // first row of query
    std::int32_t count = 0;     // 1..prefill_tile rows
    std::int32_t position = 0;  // of the first
    std::int32_t slot = 0;      // < 0: padding, nothing is written
};

//   tiles  [tile_count] device memory       read
//   arranged_rows  0, or where attend_prefill_arranges(): out is f16 of so many rows in the order
//                  of arranged.h
// Rows of `out` that no tile names are left as they are. Fastest with full tiles, longest last.
void attend_prefill(const bf16* query, void* out, bool out_bf16, const KvCache& kv, int layer,
                    const StepTables& tables, AttentionShape shape, const Tile* tiles,
                    int tile_count, int arranged_rows, cudaStream_t stream);
bool attend_prefill_arranges(const KvCache& kv);

}  // namespace sluice::cuda
