#include "engine/cuda/arranged.h"
#include "engine/cuda/coded.cuh"
#include "engine/cuda/convert.cuh"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/norm.h"

namespace sluice::cuda {
namespace {

constexpr int norm_threads = 512;
constexpr int norm_kept = 4;  // quadruples of a row that a thread keeps in registers

// Columns 4 i .. 4 i + 3 of a token; `rows` as in norm.h.
template <class Out>
__device__ inline void put(Out* out, int token, int i, int H, int rows, Four<Out> values) {
    if (rows == 0) {
        reinterpret_cast<Four<Out>*>(out + static_cast<std::size_t>(token) * H)[i] = values;
        return;
    }
    auto* bytes = reinterpret_cast<std::uint8_t*>(out);
    const auto* word = reinterpret_cast<const std::uint32_t*>(&values);
    for (int w = 0; w < 2; ++w)
        *reinterpret_cast<std::uint32_t*>(bytes + arranged_place(token, 4 * i + 2 * w, rows)) =
            word[w];
}

// 1 / the root of the mean square, of the sum of the threads' sums of squares.
template <int threads>
__device__ inline float norm_factor(float sum, int H, float eps) {
    __shared__ float warp_sum[threads / 32];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0U, sum, step);
    if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = threadIdx.x % 32 < threads / 32 ? warp_sum[threadIdx.x % 32] : 0.0F;
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0U, sum, step);
    return rsqrtf(sum / static_cast<float>(H) + eps);
}

template <class Out>
__global__ void __launch_bounds__(norm_threads)
    rmsnorm_kernel(const float* x, const std::int32_t* row, const float* weight, Out* out, int H,
                   float eps, int rows) {
    // The norm's weights are nobody's to write: fetched while the kernel ahead still runs.
    const auto* scale = reinterpret_cast<const float4*>(weight);
    float4 weights[norm_kept];
#pragma unroll
    for (int n = 0; n < norm_kept; ++n) {
        const int i = static_cast<int>(threadIdx.x) + n * norm_threads;
        if (i < H / 4) weights[n] = scale[i];
    }
    wait_for_previous();
    let_next_start();
    const int token = static_cast<int>(blockIdx.x);
    const int from = row == nullptr ? token : row[token];
    const auto* in = reinterpret_cast<const float4*>(x + static_cast<std::size_t>(from) * H);
    float4 kept[norm_kept];  // a row of up to 8192 is read once
    float sum = 0.0F;
#pragma unroll
    for (int n = 0; n < norm_kept; ++n) {
        const int i = static_cast<int>(threadIdx.x) + n * norm_threads;
        if (i < H / 4) kept[n] = in[i];
    }
#pragma unroll
    for (int n = 0; n < norm_kept; ++n) {
        const int i = static_cast<int>(threadIdx.x) + n * norm_threads;
        const float4 v = kept[n];
        if (i < H / 4) sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    for (int i = static_cast<int>(threadIdx.x) + norm_kept * norm_threads; i < H / 4;
         i += norm_threads) {
        const float4 v = in[i];
        sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    const float factor = norm_factor<norm_threads>(sum, H, eps);
#pragma unroll
    for (int n = 0; n < norm_kept; ++n) {
        const int i = static_cast<int>(threadIdx.x) + n * norm_threads;
        if (i >= H / 4) break;
        const float4 v = kept[n];
        const float4 w = weights[n];
        put(out, token, i, H, rows,
            four<Out>(v.x * factor * w.x, v.y * factor * w.y, v.z * factor * w.z,
                      v.w * factor * w.w));
    }
    for (int i = static_cast<int>(threadIdx.x) + norm_kept * norm_threads; i < H / 4;
         i += norm_threads) {
        const float4 v = in[i];
        const float4 w = scale[i];
        put(out, token, i, H, rows,
            four<Out>(v.x * factor * w.x, v.y * factor * w.y, v.z * factor * w.z,
                      v.w * factor * w.w));
    }
}

constexpr int code_threads = 640;  // of eight columns each, so that a warp has 256
constexpr int code_kept = norm_coded_columns / (code_threads * 8);

__global__ void __launch_bounds__(code_threads)
    rmsnorm_coded_kernel(const float* x, const float* weight, std::uint8_t* coded, int T, int H,
                         float eps) {
    let_next_start();  // first, so that the product's weights come meanwhile
    const int thread = static_cast<int>(threadIdx.x);
    const auto* scale = reinterpret_cast<const float4*>(weight);
    float4 weights[code_kept][2] = {};
#pragma unroll
    for (int n = 0; n < code_kept; ++n)
        for (int half = 0; half < 2; ++half) {
            const int i = (thread + n * code_threads) * 2 + half;
            if (i < H / 4) weights[n][half] = scale[i];
        }
    wait_for_previous();
    const int token = static_cast<int>(blockIdx.x);
    const auto* in = reinterpret_cast<const float4*>(x + static_cast<std::size_t>(token) * H);
    float4 kept[code_kept][2] = {};
    float sum = 0.0F;
#pragma unroll
    for (int n = 0; n < code_kept; ++n)
        for (int half = 0; half < 2; ++half) {
            const int i = (thread + n * code_threads) * 2 + half;
            if (i < H / 4) kept[n][half] = in[i];
        }
#pragma unroll
    for (int n = 0; n < code_kept; ++n)
        for (const float4& v : kept[n]) sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    const float factor = norm_factor<code_threads>(sum, H, eps);
#pragma unroll
    for (int n = 0; n < code_kept; ++n) {
        const int step = (thread + n * code_threads) / 32;
        if (step >= coded_steps(H)) break;
        const float4 a = kept[n][0], b = kept[n][1], u = weights[n][0], v = weights[n][1];
        const float values[8] = {a.x * factor * u.x, a.y * factor * u.y, a.z * factor * u.z,
                                 a.w * factor * u.w, b.x * factor * v.x, b.y * factor * v.y,
                                 b.z * factor * v.z, b.w * factor * v.w};
        code_columns(values, coded + (static_cast<std::int64_t>(step) * T + token) * coded_bytes,
                     thread % 32, T == 1);
    }
}

}  // namespace

void rmsnorm_coded(const float* x, const float* weight, std::uint8_t* coded, int T, int H,
                   float eps, cudaStream_t stream) {
    launch(rmsnorm_coded_kernel, dim3(static_cast<unsigned>(T)), code_threads, 0, stream, x, weight,
           coded, T, H, eps);
}

void rmsnorm(const float* x, const std::int32_t* row, const float* weight, void* out, bool out_bf16,
             int T, int H, float eps, cudaStream_t stream, int arranged_rows) {
    const dim3 grid(static_cast<unsigned>(T));
    if (out_bf16)
        launch(rmsnorm_kernel<bf16>, grid, norm_threads, 0, stream, x, row, weight,
               static_cast<bf16*>(out), H, eps, arranged_rows);
    else
        launch(rmsnorm_kernel<f16>, grid, norm_threads, 0, stream, x, row, weight,
               static_cast<f16*>(out), H, eps, arranged_rows);
}

}  // namespace sluice::cuda
