// Decode attention. The work is a list of items: one piece of one sequence's context for one kv
// head. Blocks stay and take a run of the list each, of equal weight. A block's warps walk an
// item's steps of 16 keys in turn, each through its own ring in shared memory that it fills across
// the items' borders, so that memory is busy while pieces are added up. Keys are the rows of a
// product whose columns are the group's query heads; values transposed are the rows of the second.
// The last block of a sequence's head to finish adds up the pieces, in their order.
#include <algorithm>

#include "engine/cuda/attend_decode_merge.cuh"
#include "engine/cuda/attend_decode_warp.cuh"
#include "engine/cuda/card.h"
#include "engine/cuda/context.h"
#include "engine/cuda/launch.cuh"

namespace sluice::cuda {
namespace {

// A warp's ring of steps, and the next step to put into it.
template <int D, class Code>
struct Ring {
    static constexpr int row_bytes = D * static_cast<int>(sizeof(Code));
    static constexpr int half_bytes = step_keys * row_bytes;  // a step's keys; its values follow
    static constexpr int stage_bytes = 2 * half_bytes;
    static constexpr int stages = 3;
    static constexpr int blocks = stage_bytes >= 8192 ? 2 : 4;  // a multiprocessor, wanted
    static constexpr int warp_bytes = stages * stage_bytes;
    static constexpr int bytes = decode_warps * warp_bytes;
    static constexpr int stride = decode_warps * step_keys;
    std::uint32_t base;
    int stage = 0;  // the next to be worked on; the one before it is free
    Run run;
    Item item{};
    int position = 0, page = 0;
    bool any;

    __device__ Ring(std::uint8_t* shared, const Run& from, const Sequences& all, const Decode& in)
        : base(shared_address(shared) + threadIdx.x / 32 * warp_bytes), run(from) {
        any = run.next(item, all, in);
        position = item.begin + static_cast<int>(threadIdx.x) / 32 * step_keys;
        settle(all, in);
    }
    __device__ std::uint32_t at(int ahead) const {
        return base + (stage + ahead) % stages * stage_bytes;
    }
    __device__ int free_offset() const {
        return static_cast<int>(threadIdx.x) / 32 * warp_bytes +
               (stage + stages - 1) % stages * stage_bytes;
    }
    // Goes on to an item that has a step for this warp, and fetches the step's page id.
    __device__ void settle(const Sequences& all, const Decode& in) {
#pragma unroll 1
        while (any && position >= item.end) {
            any = run.next(item, all, in);
            position = item.begin + static_cast<int>(threadIdx.x) / 32 * step_keys;
        }
        if (!any) return;
        const std::int64_t row = std::int64_t{in.tables.slot[item.token]} * in.tables.page_stride;
        page = in.tables.page_table[row + position / page_positions];
    }
    // Copies the next step's keys and values that exist; the rest becomes zeros.
    __device__ void copy(std::uint32_t to, const Sequences& all, const Decode& in) {
        if (any) {
            constexpr int chunks = row_bytes / 16;
            const int skip = position % page_positions * row_bytes;
            const std::uint8_t* keys = in.kv.keys(page, item.k) + skip;
            const std::uint8_t* values = in.kv.values(page, item.k) + skip;
#pragma unroll
            for (int j = 0; j < step_keys * chunks / 32; ++j) {
                const int i = static_cast<int>(threadIdx.x) % 32 + j * 32;
                const bool there = position + i / chunks < item.end;
                const int offset = swizzled<row_bytes>(i / chunks, i % chunks);
                copy_16(to + offset, keys + i * 16, there);
                copy_16(to + half_bytes + offset, values + i * 16, there);
            }
            position += stride;
            settle(all, in);
        }
        close_copies();
    }
};

// The warp's steps of an item.
template <int D, class Code, int Columns>
__device__ void walk(WarpState<D, Code, Columns>& state, Ring<D, Code>& ring, const Item& item,
                     const Sequences& all, const Decode& in) {
    using R = Ring<D, Code>;
    const float scale = in.kv.key_scale(item.k);
#pragma unroll 1
    for (int position = item.begin + static_cast<int>(threadIdx.x) / 32 * step_keys;
         position < item.end; position += R::stride) {
        wait_copies<Ring<D, Code>::stages - 2>();
        __syncwarp();
        ring.copy(ring.at(Ring<D, Code>::stages - 1), all, in);
        const std::uint32_t keys = ring.at(0);
        float scores[Columns][4];
        state.score(scores, keys);
        std::uint32_t weights[Columns][2];
        for (int c = 0; c < Columns; ++c)
            state.weigh(weights[c], scores[c], c, item.end - position, scale);
        state.add(keys + R::half_bytes, weights);
        ring.stage = ring.stage == Ring<D, Code>::stages - 1 ? 0 : ring.stage + 1;
    }
    __syncwarp();
}

// How the warps' weighted values of eight heads meet: each warp's lie in its ring's free stage.
struct Meeting {
    int offset[decode_warps];  // of the free stage, in shared memory
    float2 stats[decode_warps][8];
    Item merged[2];  // heads whose last pieces this block brought: one it began within, one it
                     // ended within; no pieces: none
};

// Where element d of head h lies in a free stage, in floats: spread over the banks.
template <int D>
__device__ inline int met(int h, int d) {
    return h * D + (d ^ (h / 2 % 4 * 8));
}

// Elements d .. d + 7 of head h over all warps, in their order.
template <int D>
__device__ Sum<8> folded(const std::uint8_t* shared, const Meeting& meeting, int h, int d) {
    Sum<8> out;
#pragma unroll 1
    for (int w = 0; w < decode_warps; ++w) {
        const auto* values = reinterpret_cast<const float*>(shared + meeting.offset[w]);
        const auto* run = reinterpret_cast<const float4*>(values + met<D>(h, d));
        const float4 low = run[0];
        const float4 high = run[1];
        const float2 stats = meeting.stats[w][h];
        out.add({{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}, stats.x, stats.y});
    }
    return out;
}

// A block's sums of a sequence's head while it goes through pieces of it. `whole`: from the first
// piece on, so that they are a beginning of the fold; else each piece is stored for itself.
template <int D, int Columns>
struct Chain {
    static_assert(8 * D / 8 <= decode_threads);
    Sum<8> sums[Columns];
    bool whole = false;
    int first = 0;  // piece

    __device__ void begin(const Item& item) {
        if (item.piece == 0) whole = true;
        if (!whole && first == 0) first = item.piece;
    }
    __device__ int count(const Item& item) const { return item.piece - (whole ? 0 : first) + 1; }
};

// Stores pieces [0 or itself, piece] for who brings the last. Pieces that `sum` holds already are
// marked by a sum below 0.
template <int D>
__device__ void store_partial(const Decode& in, const Item& item, int head, int d,
                              const Sum<8>& sum, bool whole) {
    const std::int64_t first = item.pair(in) * in.pieces;
    const std::int64_t at = (first + item.piece) * in.group + head;
    auto* to = reinterpret_cast<float4*>(in.partial + at * D + d);
    const float* v = sum.values.at;
    to[0] = {v[0], v[1], v[2], v[3]};
    to[1] = {v[4], v[5], v[6], v[7]};
    if (d != 0) return;
    in.stats[at] = {sum.top, sum.sum};
#pragma unroll 1
    for (int p = 0; whole && p < item.piece; ++p)
        in.stats[(first + p) * in.group + head] = {lowest_score, -1.0F};
}

// The warps' states of an item join the chain. `leaves`: the block goes no further in this head.
template <int D, class Code, int Columns>
__device__ void merge_warps(const WarpState<D, Code, Columns>& state, Chain<D, Columns>& chain,
                            std::uint8_t* shared, Meeting& meeting, int free_offset,
                            const Item& item, const Decode& in, bool leaves) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    auto* mine = reinterpret_cast<float*>(shared + free_offset);
#pragma unroll
    for (int c = 0; c < Columns; ++c) {
        for (int i = 0; i < 2; ++i) {
            float sum = state.sum[c][i];
            for (int step = 4; step < 32; step *= 2) sum += __shfl_xor_sync(~0U, sum, step);
            const int h = lane % 4 * 2 + i;
            if (lane < 4) meeting.stats[warp][h] = {state.maximum[c][i], sum};
            for (int m = 0; m < D / 16; ++m)
                for (int j = i; j < 4; j += 2)
                    mine[met<D>(h, state.dim_of(m, j))] = state.values[c][m][j];
        }
        if (lane == 0) meeting.offset[warp] = free_offset;
        __syncthreads();
        const int h = static_cast<int>(threadIdx.x) / (D / 8);
        const int d = static_cast<int>(threadIdx.x) % (D / 8) * 8;
        if (h < 8 && c * 8 + h < in.group) {
            Sum<8>& sum = chain.sums[c];
            const Sum<8> piece = folded<D>(shared, meeting, h, d);
            if (chain.whole && item.piece > 0)
                sum.add(piece);
            else
                sum = piece;
            if (chain.whole && item.piece + 1 == item.pieces)
                store_sum<D>(in, item, c * 8 + h, d, sum);
            else if (!chain.whole || leaves)
                store_partial<D>(in, item, c * 8 + h, d, sum, chain.whole);
        }
        __syncthreads();
    }
}

// Thread 0, behind a barrier after the block's partial sums: counts `count` pieces of the item's
// sequence and head. Who brings the last is to merge them, and starts the count again.
__device__ inline void arrive(Meeting& meeting, const Item& item, const Decode& in, int count,
                              bool whole) {
    unsigned* arrived = in.arrived + item.pair(in);
    unsigned before = 0;  // the release covers what the barrier ordered before it, too
    asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(arrived), "r"(count)
                 : "memory");
    if (static_cast<int>(before) + count != item.pieces) return;
    *arrived = 0;
    meeting.merged[whole ? 1 : 0] = item;
}

__device__ inline void zero_padding(const Sequences& all, const Decode& in, int row) {
#pragma unroll 1
    for (int token = static_cast<int>(blockIdx.x); token < in.T;
         token += static_cast<int>(gridDim.x)) {
        if (all.context[token] != 0) continue;
        auto* out = static_cast<std::uint32_t*>(in.out) + std::int64_t{token} * row / 2;
#pragma unroll 1
        for (int i = static_cast<int>(threadIdx.x); i < row / 2; i += decode_threads) out[i] = 0;
    }
}

// Tables and older keys are read before the kernel ahead ends: see attention.h.
template <int D, class Code, int Columns>
__global__ void __launch_bounds__(decode_threads, Columns == 1 ? Ring<D, Code>::blocks : 2)
    attend_decode_kernel(Decode in) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    __shared__ Sequences all;
    __shared__ Meeting meeting;
    all.measure(in);
    if (threadIdx.x == 0) meeting.merged[0].pieces = meeting.merged[1].pieces = 0;
    __syncthreads();
    const std::int64_t total = all.before[decode_sequences_max];
    const Run run(all, in.T, static_cast<int>(total * blockIdx.x / gridDim.x),
                  static_cast<int>(total * (blockIdx.x + 1) / gridDim.x));
    Ring<D, Code> ring(shared, run, all, in);
    bool waited = false;
#pragma unroll 1
    for (int filled = 0;; ++filled) {
        const bool full = filled == Ring<D, Code>::stages - 1;
        const bool old = ring.any && ring.position + step_keys < all.context[ring.item.token];
        if (!waited && (full || !old)) {
            wait_for_previous();
            let_next_start();
            waited = true;
        }
        if (full) break;
        ring.copy(ring.at(filled), all, in);
    }
    zero_padding(all, in, in.kv.kv_heads * in.group * D);
    Run items = run;
    Item item{};
    WarpState<D, Code, Columns> state;
    Chain<D, Columns> chain;
    bool more = items.next(item, all, in);
    if (more) state.ask(item, in);
#pragma unroll 1
    while (more) {
        state.start();
        walk(state, ring, item, all, in);
        const Item done = item;
        more = items.next(item, all, in);
        if (more) state.ask(item, in);
        chain.begin(done);
        const bool leaves = !more || done.piece + 1 == done.pieces;
        merge_warps(state, chain, shared, meeting, ring.free_offset(), done, in, leaves);
        if (leaves && chain.count(done) != done.pieces && threadIdx.x == 0)
            arrive(meeting, done, in, chain.count(done), chain.whole);
    }
    wait_copies<0>();
    __syncthreads();
#pragma unroll 1
    for (const Item& merged : meeting.merged) {
        const Item here = merged;
        if (here.pieces > 0) merge_pieces<D, Columns, Ring<D, Code>::bytes>(shared, here, in);
    }
}

// The widest ring, with what is static and as much again as the compiler may align it by.
static_assert(Ring<128, bf16>::bytes + sizeof(Sequences) + sizeof(Meeting) +
                  decode_warps * sizeof(int) + 64 <=
              least_block_shared_bytes);

template <int D, class Code, int Columns>
void start(const Decode& in, cudaStream_t stream) {
    constexpr int bytes = Ring<D, Code>::bytes;
    auto* kernel = attend_decode_kernel<D, Code, Columns>;
    static PerContext<int> known;
    int& blocks_max = known.get();
    if (blocks_max == 0) {
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
        int device = 0, multiprocessors = 0, each = 0;
        check(cudaGetDevice(&device));
        check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
        check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, decode_threads, bytes));
        blocks_max = multiprocessors * each;
    }
    const int blocks = std::min(blocks_max, in.T * in.kv.kv_heads * in.pieces);
    launch(kernel, static_cast<unsigned>(blocks), decode_threads, bytes, stream, in);
}

template <int D, class Code>
void start(const Decode& in, cudaStream_t stream) {
    if (in.group <= 8)
        start<D, Code, 1>(in, stream);
    else
        start<D, Code, 2>(in, stream);
}

}  // namespace

std::size_t attend_workspace_bytes(int T, AttentionShape shape, int head_dim, int context_max) {
    return decode_room(T, shape.query_heads, head_dim, context_max).bytes;
}

void attend_decode(const bf16* query, void* out, bool out_bf16, const KvCache& kv, int layer,
                   const StepTables& tables, AttentionShape shape, int T, int context_max,
                   void* workspace, cudaStream_t stream) {
    const DecodeRoom room = decode_room(T, shape.query_heads, kv.head_dim, context_max);
    auto* counters = static_cast<std::uint8_t*>(workspace);
    const Decode in{query,
                    out,
                    out_bf16,
                    layer_of(kv, layer),
                    tables,
                    T,
                    shape.query_heads / kv.kv_heads,
                    room.pieces,
                    reinterpret_cast<unsigned*>(counters),
                    reinterpret_cast<float2*>(counters + room.stats_at),
                    reinterpret_cast<float*>(counters + room.partial_at)};
    if (kv.head_dim == 128)
        kv.format == KvFormat::bf16 ? start<128, bf16>(in, stream) : start<128, e4m3>(in, stream);
    else
        kv.format == KvFormat::bf16 ? start<64, bf16>(in, stream) : start<64, e4m3>(in, stream);
}

}  // namespace sluice::cuda
