#include "engine/cuda/block_value.cuh"
#include "engine/cuda/convert.cuh"
#include "engine/cuda/embed.h"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/step_sizes.h"
#include "engine/cuda/swiglu.cuh"

namespace sluice::cuda {
namespace {

constexpr int row_threads = 256;

unsigned blocks_for(std::int64_t count, int threads) {
    return static_cast<unsigned>((count + threads - 1) / threads);
}

__global__ void __launch_bounds__(row_threads)
    embed_kernel(TensorType type, const std::uint8_t* blocks, std::int64_t row_bytes,
                 const std::int32_t* token, const std::int32_t* slot,
                 const std::int32_t* last_token, float* x, int H) {
    wait_for_previous();
    let_next_start();
    const int t = static_cast<int>(blockIdx.x);
    const int h = static_cast<int>(blockIdx.y * row_threads + threadIdx.x);
    int id = slot[t] < 0 ? 0 : token[t];
    if (id < 0) id = last_token[slot[t]];
    const std::uint8_t* row = blocks + id * row_bytes;
    if (h < H) x[static_cast<std::size_t>(t) * H + h] = block_value(type, row, h);
}

__global__ void __launch_bounds__(row_threads)
    pick_rows_kernel(const std::int32_t* row, int S, RowsToPick first, RowsToPick second) {
    wait_for_previous();
    let_next_start();
    const RowsToPick& of = blockIdx.y == 0 ? first : second;
    const int i = static_cast<int>(blockIdx.x);
    const int words = of.width / 16;
    const uint4* from =
        static_cast<const uint4*>(of.from) + (i < S ? std::int64_t{row[i]} * words : 0);
    uint4* to = static_cast<uint4*>(of.to) + std::int64_t{i} * words;
    for (int w = static_cast<int>(threadIdx.x); w < words; w += row_threads)
        to[w] = i < S ? from[w] : uint4{};
}

// Eight of F a thread.
template <class Value, class Pair, class Of>
__device__ inline void swiglu_eight(const Value* gate_up, Value* out, int F, Of of) {
    wait_for_previous();
    let_next_start();
    const std::int64_t f = 8 * (blockIdx.x * std::int64_t{row_threads} + threadIdx.x);
    if (f >= F) return;
    const std::int64_t t = blockIdx.y;
    const uint4 gate = *reinterpret_cast<const uint4*>(gate_up + t * 2 * F + f);
    const uint4 up = *reinterpret_cast<const uint4*>(gate_up + t * 2 * F + F + f);
    uint4 result;
    for (int i = 0; i < 4; ++i)
        reinterpret_cast<Pair*>(&result)[i] =
            of(reinterpret_cast<const Pair*>(&gate)[i], reinterpret_cast<const Pair*>(&up)[i]);
    *reinterpret_cast<uint4*>(out + t * F + f) = result;
}

__global__ void swiglu_f16_kernel(const f16* gate_up, f16* out, int F) {
    swiglu_eight<f16, __half2>(gate_up, out, F, [](__half2 gate, __half2 up) {
        const float2 g = __half22float2(gate);
        const float2 u = __half22float2(up);
        return __halves2half2(rounded<f16>(silu(swiglu_scale * bounded(g.x)) * bounded(u.x)),
                              rounded<f16>(silu(swiglu_scale * bounded(g.y)) * bounded(u.y)));
    });
}

__global__ void swiglu_bf16_kernel(const bf16* gate_up, bf16* out, int F) {
    swiglu_eight<bf16, __nv_bfloat162>(gate_up, out, F, [](__nv_bfloat162 gate, __nv_bfloat162 up) {
        const float2 g = __bfloat1622float2(gate);
        const float2 u = __bfloat1622float2(up);
        return __floats2bfloat162_rn(silu(g.x) * u.x, silu(g.y) * u.y);
    });
}

__global__ void update_pages_kernel(const PageUpdate* updates, const std::int32_t* count,
                                    std::int32_t* page_table, int stride) {
    wait_for_previous();
    let_next_start();
    for (int i = static_cast<int>(blockIdx.x * row_threads + threadIdx.x); i < *count;
         i += static_cast<int>(gridDim.x) * row_threads) {
        const PageUpdate update = updates[i];
        page_table[static_cast<std::int64_t>(update.slot) * stride + update.index] = update.page;
    }
}

// SplitMix64 (Steele, Lea, Flood 2014).
__device__ std::uint64_t mixed(std::uint64_t value) {
    value += 0x9E3779B97F4A7C15U;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31);
}

__global__ void random_bytes_kernel(std::uint8_t* bytes, std::int64_t words, std::uint64_t seed) {
    const std::int64_t i = blockIdx.x * std::int64_t{row_threads} + threadIdx.x;
    if (i < words) reinterpret_cast<std::uint64_t*>(bytes)[i] = mixed(seed + i);
}

__global__ void tame_blocks_kernel(TensorType type, std::uint8_t* data, std::int64_t blocks,
                                   float size) {
    const std::int64_t i = blockIdx.x * std::int64_t{row_threads} + threadIdx.x;
    if (i < blocks) tame_block(type, data, i, size);
}

}  // namespace

void embed(TensorType type, const std::uint8_t* blocks, const std::int32_t* token,
           const std::int32_t* slot, const std::int32_t* last_token, float* x, int T, int H,
           cudaStream_t stream) {
    const std::int64_t row_bytes = H / block_weights(type) * std::int64_t{block_bytes(type)};
    const dim3 grid(static_cast<unsigned>(T), blocks_for(H, row_threads));
    launch(embed_kernel, grid, row_threads, 0, stream, type, blocks, row_bytes, token, slot,
           last_token, x, H);
}

void pick_rows(const std::int32_t* row, int S, RowsToPick first, RowsToPick second,
               cudaStream_t stream) {
    launch(pick_rows_kernel, dim3(static_cast<unsigned>(buffer_rows(S)), 2), row_threads, 0, stream,
           row, S, first, second);
}

void swiglu_f16(const f16* gate_up, f16* out, int T, int F, cudaStream_t stream) {
    const dim3 grid(blocks_for(F / 8, row_threads), static_cast<unsigned>(T));
    launch(swiglu_f16_kernel, grid, row_threads, 0, stream, gate_up, out, F);
}

void swiglu_bf16(const bf16* gate_up, bf16* out, int T, int F, cudaStream_t stream) {
    const dim3 grid(blocks_for(F / 8, row_threads), static_cast<unsigned>(T));
    launch(swiglu_bf16_kernel, grid, row_threads, 0, stream, gate_up, out, F);
}

void update_pages(const PageUpdate* updates, const std::int32_t* count, std::int32_t* page_table,
                  int stride, cudaStream_t stream) {
    launch(update_pages_kernel, 4U, row_threads, 0, stream, updates, count, page_table, stride);
}

void random_blocks(TensorType type, std::uint8_t* blocks, std::int64_t bytes, std::uint64_t seed,
                   int columns, cudaStream_t stream) {
    const std::int64_t words = bytes / 8;
    random_bytes_kernel<<<blocks_for(words, row_threads), row_threads, 0, stream>>>(blocks, words,
                                                                                    seed);
    check(cudaGetLastError());
    const std::int64_t count = bytes / block_bytes(type);
    tame_blocks_kernel<<<blocks_for(count, row_threads), row_threads, 0, stream>>>(
        type, blocks, count, rsqrtf(static_cast<float>(columns)));
    check(cudaGetLastError());
}

}  // namespace sluice::cuda
