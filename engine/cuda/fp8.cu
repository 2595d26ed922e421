#include <cuda_fp8.h>

#include "engine/cuda/convert.cuh"
#include "engine/cuda/fp8.h"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/swiglu.cuh"

namespace sluice::cuda {
namespace {

constexpr int row_threads = 256;
constexpr int swiglu_threads = 512;
constexpr int pairs_kept = 32;  // of a row, in a thread's registers
static_assert(2 * pairs_kept * swiglu_threads == swiglu_fp8_max);

template <int threads>
__device__ float block_most(float most) {
    __shared__ float warp_most[threads / 32];
    for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(~0U, most, step));
    if (threadIdx.x % 32 == 0) warp_most[threadIdx.x / 32] = most;
    __syncthreads();
    for (float other : warp_most) most = fmaxf(most, other);
    return most;
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
    most = block_most<row_threads>(most);
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

__global__ void scale_rows_kernel(const float* raw, int raw_stride, float* out, int out_stride,
                                  bool add, const float* row_scale, const float* token_scale,
                                  int rows) {
    wait_for_previous();
    let_next_start();
    const int r = 4 * static_cast<int>(blockIdx.x * row_threads + threadIdx.x);
    const int t = static_cast<int>(blockIdx.y);
    if (r >= rows) return;
    const float factor = token_scale[t];
    const float4 v = *reinterpret_cast<const float4*>(raw + std::size_t(t) * raw_stride + r);
    const float4 s = *reinterpret_cast<const float4*>(row_scale + r);
    auto* to = reinterpret_cast<float4*>(out + std::size_t(t) * out_stride + r);
    float4 sum = add ? *to : float4{};
    sum.x += v.x * s.x * factor;
    sum.y += v.y * s.y * factor;
    sum.z += v.z * s.z * factor;
    sum.w += v.w * s.w * factor;
    *to = sum;
}

__global__ void __launch_bounds__(swiglu_threads)
    swiglu_fp8_kernel(const f16* gate_up, const float* row_scale, const float* token_scale,
                      std::uint8_t* code, float* scale, int F) {
    wait_for_previous();
    let_next_start();
    const int t = static_cast<int>(blockIdx.x);
    const auto* gate = reinterpret_cast<const __half2*>(gate_up + std::size_t(t) * 2 * F);
    const auto* gate_scale = reinterpret_cast<const float2*>(row_scale);
    const float factor = token_scale[t] / gate_up_scale;
    float2 kept[pairs_kept];
    float most = 0.0F;
#pragma unroll
    for (int n = 0; n < pairs_kept; ++n) {
        const int i = static_cast<int>(threadIdx.x) + n * swiglu_threads;
        if (i >= F / 2) break;
        const float2 g = __half22float2(gate[i]);
        const float2 u = __half22float2(gate[i + F / 2]);
        const float2 gs = gate_scale[i];
        const float2 us = gate_scale[i + F / 2];
        kept[n].x = silu(bounded(g.x) * gs.x * factor) * (bounded(u.x) * us.x * factor);
        kept[n].y = silu(bounded(g.y) * gs.y * factor) * (bounded(u.y) * us.y * factor);
        most = fmaxf(most, fmaxf(fabsf(kept[n].x), fabsf(kept[n].y)));
    }
    most = block_most<swiglu_threads>(most);
    const float unit = most > 0.0F ? most / 448.0F : 1.0F;
    if (threadIdx.x == 0) scale[t] = unit;
    auto* out = reinterpret_cast<__nv_fp8x2_storage_t*>(code + std::size_t(t) * F);
#pragma unroll
    for (int n = 0; n < pairs_kept; ++n) {
        const int i = static_cast<int>(threadIdx.x) + n * swiglu_threads;
        if (i >= F / 2) break;
        out[i] = __nv_cvt_float2_to_fp8x2({kept[n].x / unit, kept[n].y / unit}, __NV_SATFINITE,
                                          __NV_E4M3);
    }
}

}  // namespace

void quantise_fp8(const f16* x, std::uint8_t* code, float* scale, float multiplier, int T,
                  int columns, cudaStream_t stream) {
    launch(quantise_fp8_kernel, static_cast<unsigned>(T), row_threads, 0, stream, x, code, scale,
           multiplier, columns);
}

void scale_rows(const float* raw, int raw_stride, float* out, int out_stride, bool add,
                const float* row_scale, const float* token_scale, int T, int rows,
                cudaStream_t stream) {
    const dim3 grid(static_cast<unsigned>((rows / 4 + row_threads - 1) / row_threads),
                    static_cast<unsigned>(T));
    launch(scale_rows_kernel, grid, row_threads, 0, stream, raw, raw_stride, out, out_stride, add,
           row_scale, token_scale, rows);
}

void swiglu_fp8(const f16* gate_up, const float* row_scale, const float* token_scale,
                std::uint8_t* code, float* scale, int T, int F, cudaStream_t stream) {
    launch(swiglu_fp8_kernel, static_cast<unsigned>(T), swiglu_threads, 0, stream, gate_up,
           row_scale, token_scale, code, scale, F);
}

}  // namespace sluice::cuda
