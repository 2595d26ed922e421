// Chooses the kernel, the split of the columns and the grid of a decode product.
#include <algorithm>
#include <cassert>
#include <map>
#include <vector>

#include "engine/cuda/matmul_decode.cuh"

namespace sluice::cuda {
namespace {

DecodeKernel kernel_for(WeightFormat first, WeightFormat second, int T) {
    if (DecodeKernel kernel = k_quant_kernel(first, second, T); kernel.kernel != nullptr)
        return kernel;
    if (first != second) return {};
    if (is_plain(first)) return plain_kernel(first, T);
    return small_block_kernel(first, T);
}

// Few row tiles: more warps share each, so that enough bytes are in flight on every SM. Never of T:
// the split decides the order of the sums.
int segments_for(int pairs, int steps) {
    constexpr int warps_wanted = 132 * 9;  // nine on each SM of an H100
    const int wanted = pairs * 4 >= warps_wanted ? 4 : segments_max;
    return std::min(wanted, steps);
}

// How many blocks the device holds at once.
int resident_blocks(const DecodeKernel& kernel, int segments) {
    static std::map<std::pair<void (*)(DecodeWork), int>, int> known;
    int& blocks = known[{kernel.kernel, segments}];
    if (blocks > 0) return blocks;
    const std::size_t shared = kernel.segment_shared_bytes * static_cast<std::size_t>(segments);
    const auto* function = reinterpret_cast<const void*>(kernel.kernel);
    check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(kernel.segment_shared_bytes) * segments_max));
    int device = 0;
    int processors = 0;
    int each = 0;
    check(cudaGetDevice(&device));
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, function, segments * 32, shared));
    blocks = processors * each;
    return blocks;
}

// Products of one format, or of two that a kernel reads in one launch.
void launch_together(std::span<const Product> products, WeightFormat first, WeightFormat second,
                     const void* x, int T, void* out, int out_stride, Into into, float scale,
                     cudaStream_t stream) {
    DecodeWork work{};
    work.columns = products.front().matrix.columns;
    work.x = x;
    work.T = T;
    work.out = out;
    work.out_stride = out_stride;
    work.into = into;
    work.scale = scale;
    int steps = 0;
    for (const Product& product : products) {
        const Matrix& matrix = product.matrix;
        assert(matrix.columns == work.columns);
        DecodeProduct& one = work.product[work.products++];
        one.planes = matrix.planes;
        one.row_scale = matrix.row_scale;
        one.rows = matrix.rows;
        one.out_column = product.out_column;
        one.first = into == Into::swiglu ? 0 : work.pairs;
        one.steps = steps_of(matrix.format, matrix.columns);
        one.second = matrix.format == first ? 0 : 1;
        steps = std::max(steps, one.steps);
        const int tiles = (matrix.rows + tile_rows - 1) / tile_rows;
        if (into != Into::swiglu)
            work.pairs += (tiles + 1) / tiles_at_once;
        else
            work.pairs = tiles;
    }
    const DecodeKernel kernel = kernel_for(first, second, T);
    const int segments = segments_for(work.pairs, steps);
    const int blocks = std::min(work.pairs, resident_blocks(kernel, segments));
    launch(kernel.kernel, dim3(static_cast<unsigned>(blocks)),
           dim3(static_cast<unsigned>(segments * 32)),
           kernel.segment_shared_bytes * static_cast<std::size_t>(segments), stream, work);
}

}  // namespace

void matmul_decode(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale, void* /*workspace*/,
                   cudaStream_t stream) {
    assert(T >= 1 && T <= decode_tokens_max);
    assert(!products.empty() && products.size() <= products_max);
    std::vector<WeightFormat> formats;
    for (const Product& product : products) formats.push_back(product.matrix.format);
    std::sort(formats.begin(), formats.end());
    formats.erase(std::unique(formats.begin(), formats.end()), formats.end());
    if (formats.size() <= 2 && kernel_for(formats.front(), formats.back(), T).kernel != nullptr)
        return launch_together(products, formats.front(), formats.back(), x, T, out, out_stride,
                               into, scale, stream);
    assert(into != Into::swiglu);
    for (const Product& product : products)
        launch_together({&product, 1}, product.matrix.format, product.matrix.format, x, T, out,
                        out_stride, into, scale, stream);
}

std::size_t matmul_workspace_bytes() { return 256; }

}  // namespace sluice::cuda
