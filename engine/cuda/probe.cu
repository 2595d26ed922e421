#include "engine/cuda/dims.h"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/probe.h"

namespace sluice::cuda {
namespace {

constexpr int threads = 256;

template <class T>
__global__ void __launch_bounds__(threads)
    probe_kernel(const T* x, const float* weight, float bias, float* value, int H) {
    wait_for_previous();
    let_next_start();
    __shared__ float sums[threads / 32];
    const T* row = x + static_cast<std::size_t>(blockIdx.x) * H;
    float sum = 0.0F;
    for (int h = static_cast<int>(threadIdx.x); h < H; h += threads)
        sum = fmaf(static_cast<float>(row[h]), weight[h], sum);
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0U, sum, step);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    float total = bias;
    for (float part : sums) total += part;
    value[blockIdx.x] = total;
}

}  // namespace

void probe(const void* x, bool x_bf16, const float* weight, float bias, float* value, int S, int H,
           cudaStream_t stream) {
    const auto rows = static_cast<unsigned>(S);
    if (x_bf16)
        launch(probe_kernel<bf16>, rows, threads, 0, stream, static_cast<const bf16*>(x), weight,
               bias, value, H);
    else
        launch(probe_kernel<f16>, rows, threads, 0, stream, static_cast<const f16*>(x), weight,
               bias, value, H);
}

}  // namespace sluice::cuda
