// Chooses the kernel, the split of the columns and the grid of a product of f16 or bf16.
#include <cassert>

#include "engine/cuda/decode_launch.h"

namespace sluice::cuda {
namespace {

constexpr int tiles_of_few = 5;  // an SM

int resident_of(const DecodeKernel& kernel) {
    return resident_blocks(reinterpret_cast<const void*>(kernel.kernel), kernel.shared_bytes,
                           kernel.threads);
}

struct Launch {
    std::span<const Product> products;
    WeightFormat first;
    WeightFormat second;
    DecodeWork work;
};

// One launch, or two where blocks leave their segments' sums, of work.T tokens at most; gives how
// many it took: shared memory may be too small for all.
int run_some(Launch& launch, float* partial, cudaStream_t stream) {
    DecodeWork& work = launch.work;
    const bool swiglu = work.into == Into::swiglu;
    int tiles = 0;
    for (const Product& product : launch.products) tiles += row_tiles(product);
    const auto kernel_now = [&] {
        const bool few_rows =
            !swiglu && work.T <= few_tokens_max && tiles <= tiles_of_few * this_card().processors;
        return decode_kernel(launch.first, launch.second,
                             {work.T, work.segments, swiglu, few_rows});
    };
    DecodeKernel kernel = kernel_now();
    int resident = resident_of(kernel);
    while (resident == 0) {
        assert(work.T > 1);
        work.T = (work.T + 1) / 2;
        kernel = kernel_now();
        resident = resident_of(kernel);
    }
    place_products(launch.products, launch.first, kernel.tiles, work);
    const std::size_t partial_bytes =
        sizeof(float) * tile_rows * static_cast<std::size_t>(work.groups) *
        static_cast<std::size_t>(kernel.tiles * work.segments) * static_cast<std::size_t>(work.T);
    const bool split =
        kernel.tiles > 1 && work.groups < resident && partial_bytes <= decode_workspace_bytes;
    work.partial = split ? partial : nullptr;
    const int items = work.groups * (split ? work.segments : 1);
    const int rounds = (items + resident - 1) / resident;
    const int blocks = (items + rounds - 1) / rounds;
    // What follows a product is small, but for down behind gate and up, whose blocks would crowd on
    // the SMs that are done first.
    work.early = !swiglu;
    cuda::launch(kernel.kernel, dim3(static_cast<unsigned>(blocks)),
                 dim3(static_cast<unsigned>(kernel.threads)), kernel.shared_bytes, stream, work);
    if (split) add_segments(work, kernel.tiles * tile_rows, reads_bf16(launch.first), stream);
    return work.T;
}

void run(Launch launch, void* workspace, cudaStream_t stream) {
    DecodeWork& work = launch.work;
    work.products = static_cast<int>(launch.products.size());
    work.steps = steps_of(launch.first, work.columns);
    cut_steps(work, segments_for(work.steps, segments_max));
    const std::size_t out_bytes = work.into == Into::swiglu ? 2 : 4;
    for (int left = work.T; left > 0;) {
        work.T = left;
        const int taken = run_some(launch, static_cast<float*>(workspace), stream);
        left -= taken;
        work.x = static_cast<const std::uint16_t*>(work.x) +
                 static_cast<std::ptrdiff_t>(taken) * work.columns;
        work.out =
            static_cast<std::uint8_t*>(work.out) +
            static_cast<std::size_t>(taken) * static_cast<std::size_t>(work.out_stride) * out_bytes;
    }
}

}  // namespace

DecodeKernel decode_kernel(WeightFormat first, WeightFormat second, DecodeShape shape) {
    if (DecodeKernel kernel = k_quant_kernel(first, second, shape); kernel.kernel != nullptr)
        return kernel;
    if (first != second) return {};
    if (is_plain(first)) return plain_kernel(first, shape);
    return small_block_kernel(first, shape);
}

void matmul_decode(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale, void* workspace, const Ahead& ahead,
                   cudaStream_t stream) {
    assert(T >= 1 && T <= decode_tokens_max);
    assert(!products.empty() && products.size() <= products_max);
    const DecodeWork work = work_of(products, x, T, out, out_stride, into, scale, ahead);
    const Formats formats(products);
    if (formats.all &&
        decode_kernel(formats.first, formats.second, {T, 1, false, false}).kernel != nullptr)
        return run({products, formats.first, formats.second, work}, workspace, stream);
    assert(into != Into::swiglu);
    for (const Product& product : products)
        run({{&product, 1}, product.matrix.format, product.matrix.format, work}, workspace, stream);
}

std::size_t matmul_workspace_bytes() { return decode_workspace_bytes; }

}  // namespace sluice::cuda
