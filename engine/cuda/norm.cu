#include "engine/cuda/arranged.h"
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
    __shared__ float warp_sum[norm_threads / 32];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0U, sum, step);
    if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0.0F;
    for (int i = 0; i < norm_threads / 32; ++i) sum += warp_sum[i];
    const float factor = rsqrtf(sum / static_cast<float>(H) + eps);
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

}  // namespace

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
