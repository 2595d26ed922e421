#include "engine/cuda/coded.cuh"
#include "engine/cuda/launch.cuh"

namespace sluice::cuda {
namespace {

constexpr int coding_warps = 4;  // a block

__global__ void __launch_bounds__(coding_warps * 32)
    code_kernel(const f16* x, int T, int columns, std::uint8_t* coded) {
    let_next_start();  // first, so that the product's weights come meanwhile
    wait_for_previous();
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int item = static_cast<int>(blockIdx.x * coding_warps + threadIdx.x / 32);
    const int step = item / T;
    if (step >= coded_steps(columns)) return;
    const f16* from = x + static_cast<std::int64_t>(item % T) * columns;
    const int column = step * coded_columns + lane * 8;
    float values[8] = {};
    if (column + 8 <= columns) eight_values(*reinterpret_cast<const uint4*>(from + column), values);
    code_columns(values, coded + static_cast<std::int64_t>(item) * coded_bytes, lane, T == 1);
}

}  // namespace

void code_activations(const f16* x, int T, int columns, std::uint8_t* coded, cudaStream_t stream) {
    const int items = coded_steps(columns) * T;
    launch(code_kernel, dim3(static_cast<unsigned>((items + coding_warps - 1) / coding_warps)),
           dim3(coding_warps * 32), 0, stream, x, T, columns, coded);
}

}  // namespace sluice::cuda
