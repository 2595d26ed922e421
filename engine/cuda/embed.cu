#include <cuda_fp8.h>

#include "engine/cuda/block_value.cuh"
#include "engine/cuda/convert.cuh"
#include "engine/cuda/embed.h"
#include "engine/cuda/launch.cuh"

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
    int id = slot[t] < 0 ? 0 : token[t];
    if (id < 0) id = last_token[slot[t]];
    const std::uint8_t* row = blocks + id * row_bytes;
    for (int h = threadIdx.x; h < H; h += row_threads)
        x[static_cast<std::size_t>(t) * H + h] = block_value(type, row, h);
}

__device__ float silu(float value) { return value / (1.0F + __expf(-value)); }

__device__ float bounded(float value) { return fminf(fmaxf(value, -65504.0F), 65504.0F); }

__global__ void swiglu_f16_kernel(const f16* gate_up, f16* out, std::int64_t count, int F) {
    wait_for_previous();
    let_next_start();
    const std::int64_t i = 2 * (blockIdx.x * std::int64_t{row_threads} + threadIdx.x);
    if (i >= count) return;
    const std::int64_t at = i / F * 2 * F + i % F;
    const float2 g = __half22float2(*reinterpret_cast<const __half2*>(gate_up + at));
    const float2 u = __half22float2(*reinterpret_cast<const __half2*>(gate_up + at + F));
    const float x = silu(swiglu_scale * bounded(g.x)) * bounded(u.x);
    const float y = silu(swiglu_scale * bounded(g.y)) * bounded(u.y);
    *reinterpret_cast<__half2*>(out + i) = __halves2half2(rounded<f16>(x), rounded<f16>(y));
}

__global__ void swiglu_bf16_kernel(const bf16* gate_up, bf16* out, std::int64_t count, int F) {
    wait_for_previous();
    let_next_start();
    const std::int64_t i = 2 * (blockIdx.x * std::int64_t{row_threads} + threadIdx.x);
    if (i >= count) return;
    const std::int64_t at = i / F * 2 * F + i % F;
    const float2 g = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(gate_up + at));
    const float2 u = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(gate_up + at + F));
    *reinterpret_cast<__nv_bfloat162*>(out + i) =
        __floats2bfloat162_rn(silu(g.x) * u.x, silu(g.y) * u.y);
}

__global__ void __launch_bounds__(row_threads)
    quantise_fp8_kernel(const f16* x, std::uint8_t* code, float* scale, float multiplier,
                        int columns) {
    wait_for_previous();
    let_next_start();
    const std::size_t row = static_cast<std::size_t>(blockIdx.x) * columns;
    const auto* in = reinterpret_cast<const uint4*>(x + row);
    float most = 0.0F;
    for (int i = threadIdx.x; i < columns / 8; i += row_threads) {
        const uint4 eight = in[i];
        const auto* pair = reinterpret_cast<const __half2*>(&eight);
        for (int p = 0; p < 4; ++p) {
            const float2 v = __half22float2(pair[p]);
            most = fmaxf(most, fmaxf(fabsf(v.x), fabsf(v.y)));
        }
    }
    __shared__ float warp_most[row_threads / 32];
    for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(~0U, most, step));
    if (threadIdx.x % 32 == 0) warp_most[threadIdx.x / 32] = most;
    __syncthreads();
    for (float other : warp_most) most = fmaxf(most, other);
    const float unit = most > 0.0F ? most / 448.0F : 1.0F;
    const float factor = 1.0F / unit;
    if (threadIdx.x == 0) scale[blockIdx.x] = unit * multiplier;
    auto* out = reinterpret_cast<uint2*>(code + row);
    for (int i = threadIdx.x; i < columns / 8; i += row_threads) {
        const uint4 eight = in[i];
        const auto* pair = reinterpret_cast<const __half2*>(&eight);
        uint2 packed;
        auto* codes = reinterpret_cast<__nv_fp8x2_storage_t*>(&packed);
        for (int p = 0; p < 4; ++p) {
            const float2 v = __half22float2(pair[p]);
            codes[p] =
                __nv_cvt_float2_to_fp8x2({v.x * factor, v.y * factor}, __NV_SATFINITE, __NV_E4M3);
        }
        out[i] = packed;
    }
}

__global__ void update_pages_kernel(const PageUpdate* updates, int count, std::int32_t* page_table,
                                    int stride) {
    const int i = static_cast<int>(blockIdx.x * row_threads + threadIdx.x);
    if (i >= count) return;
    const PageUpdate update = updates[i];
    page_table[static_cast<std::int64_t>(update.slot) * stride + update.index] = update.page;
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
    launch(embed_kernel, static_cast<unsigned>(T), row_threads, 0, stream, type, blocks, row_bytes,
           token, slot, last_token, x, H);
}

void swiglu_f16(const f16* gate_up, f16* out, int T, int F, cudaStream_t stream) {
    const std::int64_t count = std::int64_t{T} * F;
    launch(swiglu_f16_kernel, blocks_for(count / 2, row_threads), row_threads, 0, stream, gate_up,
           out, count, F);
}

void swiglu_bf16(const bf16* gate_up, bf16* out, int T, int F, cudaStream_t stream) {
    const std::int64_t count = std::int64_t{T} * F;
    launch(swiglu_bf16_kernel, blocks_for(count / 2, row_threads), row_threads, 0, stream, gate_up,
           out, count, F);
}

void quantise_fp8(const f16* x, std::uint8_t* code, float* scale, float multiplier, int T,
                  int columns, cudaStream_t stream) {
    launch(quantise_fp8_kernel, static_cast<unsigned>(T), row_threads, 0, stream, x, code, scale,
           multiplier, columns);
}

void update_pages(const PageUpdate* updates, int count, std::int32_t* page_table, int stride,
                  cudaStream_t stream) {
    update_pages_kernel<<<blocks_for(count, row_threads), row_threads, 0, stream>>>(
        updates, count, page_table, stride);
    check(cudaGetLastError());
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
