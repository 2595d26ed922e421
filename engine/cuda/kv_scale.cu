#include "engine/cuda/attention.cuh"
#include "engine/cuda/kv_scale.h"
#include "engine/cuda/launch.cuh"

namespace sluice::cuda {
namespace {

constexpr int threads = 256;

// A block for each head of keys and of values.
__global__ void __launch_bounds__(threads)
    largest_kernel(KvLayer kv, int tokens, int D, float* most) {
    wait_for_previous();
    let_next_start();
    __shared__ float largest[threads / 32];
    const int head = static_cast<int>(blockIdx.x);
    const bool is_value = blockIdx.y != 0;
    float top = 0.0F;
    for (int i = static_cast<int>(threadIdx.x); i < tokens * D; i += threads) {
        const int position = i / D;
        const int page = position / page_positions;
        const auto* codes =
            reinterpret_cast<const bf16*>(is_value ? kv.values(page, head) : kv.keys(page, head));
        const int at = position % page_positions * D + i % D;
        top = fmaxf(top, fabsf(__bfloat162float(codes[at])));
    }
    for (int step = 16; step > 0; step /= 2) top = fmaxf(top, __shfl_xor_sync(~0U, top, step));
    if (threadIdx.x % 32 == 0) largest[threadIdx.x / 32] = top;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (float other : largest) top = fmaxf(top, other);
    most[blockIdx.y * gridDim.x + blockIdx.x] = top;
}

}  // namespace

void largest_in_kv(const KvCache& kv, int tokens, float* most, cudaStream_t stream) {
    const dim3 grid(static_cast<unsigned>(kv.kv_heads), 2);
    for (int layer = 0; layer < kv.layers; ++layer)
        launch(largest_kernel, grid, threads, 0, stream, layer_of(kv, layer), tokens, kv.head_dim,
               most + std::ptrdiff_t{2} * layer * kv.kv_heads);
}

}  // namespace sluice::cuda
