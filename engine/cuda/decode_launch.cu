#include "engine/cuda/decode_launch.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/cuda/context.h"

namespace sluice::cuda {
namespace {

constexpr int add_threads = 256;

template <bool brain>
__global__ void __launch_bounds__(add_threads)
    add_segments_kernel(const __grid_constant__ DecodeWork work, int group_rows) {
    wait_for_previous();
    let_next_start();
    const bool swiglu = work.into == Into::swiglu;
    const int rows = swiglu ? group_rows / 2 : group_rows;  // of out, that a group gives
    const int index = static_cast<int>(blockIdx.x) * add_threads + static_cast<int>(threadIdx.x);
    const int group = index / (rows * work.T);
    if (group >= work.groups) return;
    const int token = index / rows % work.T;
    const int within = index % rows;
    int product = 0;
    if (!swiglu)
        while (product + 1 < work.products && group >= work.product[product + 1].first) ++product;
    const int row = (group - work.product[product].first) * rows + within;
    if (row >= work.product[product].rows) return;
    // Gate's and up's tiles of a warp stand beside each other.
    const int place = swiglu ? within / tile_rows * 2 * tile_rows + within % tile_rows : within;
    const float* sums =
        work.partial +
        (static_cast<std::int64_t>(group) * work.segments * work.T + token) * group_rows + place;
    float total = 0.0F;
    float up_total = 0.0F;
#pragma unroll
    for (int segment = 0; segment < segments_max; ++segment) {
        if (segment >= work.segments) break;
        const float* of = sums + static_cast<std::int64_t>(segment) * work.T * group_rows;
        total += of[0];
        if (swiglu) up_total += of[tile_rows];
    }
    write_value<brain>(work, work.product[product], token, row, total, up_total);
}

}  // namespace

Formats::Formats(std::span<const Product> products) {
    const auto less = [](const Product& a, const Product& b) {
        return a.matrix.format < b.matrix.format;
    };
    const auto [least, greatest] = std::minmax_element(products.begin(), products.end(), less);
    first = least->matrix.format;
    second = greatest->matrix.format;
    for (const Product& product : products)
        all = all && (product.matrix.format == first || product.matrix.format == second);
}

DecodeWork work_of(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale, const Ahead& ahead) {
    DecodeWork work{};
    work.products = static_cast<int>(products.size());
    work.columns = products.front().matrix.columns;
    work.x = x;
    work.T = T;
    work.out = out;
    work.out_stride = out_stride;
    work.into = into;
    work.scale = scale;
    work.ahead = ahead;
    return work;
}

void cut_steps(DecodeWork& work, int segments) {
    work.segments = segments;
    for (int i = 0; i <= segments; ++i) work.begin[i] = work.steps * i / segments;
}

void place_products(std::span<const Product> products, WeightFormat first, int tiles,
                    DecodeWork& work) {
    const bool swiglu = work.into == Into::swiglu;
    work.groups = 0;
    for (std::size_t i = 0; i < products.size(); ++i) {
        const Product& from = products[i];
        DecodeProduct& one = work.product[i];
        one.planes = from.matrix.planes;
        one.row_scale = from.matrix.row_scale;
        one.rows = from.matrix.rows;
        one.out_column = from.out_column;
        one.first = swiglu ? 0 : work.groups;
        one.second = from.matrix.format == first ? 0 : 1;
        const int each = swiglu ? std::max(tiles / 2, 1) : tiles;
        work.groups = one.first + (row_tiles(from) + each - 1) / each;
    }
}

int resident_blocks(const void* kernel, std::size_t shared_bytes, int threads) {
    static PerContext<std::map<std::pair<const void*, std::size_t>, int>> known;
    const auto [entry, fresh] = known.get().try_emplace({kernel, shared_bytes}, 0);
    if (!fresh) return entry->second;
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel));
    const Card& device = this_card();
    const int dynamic_bytes =
        device.block_shared_bytes - static_cast<int>(attributes.sharedSizeBytes);
    if (static_cast<int>(shared_bytes) > dynamic_bytes) return 0;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, dynamic_bytes));
    // One division of L1 for all: changing it between kernels empties the SMs.
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                               cudaSharedmemCarveoutMaxShared));
    int each = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, shared_bytes));
    entry->second = device.processors * each;
    return entry->second;
}

void add_segments(const DecodeWork& work, int group_rows, bool brain, cudaStream_t stream) {
    const int rows = work.into == Into::swiglu ? group_rows / 2 : group_rows;
    const int threads = work.groups * rows * work.T;
    launch(brain ? add_segments_kernel<true> : add_segments_kernel<false>,
           dim3(static_cast<unsigned>((threads + add_threads - 1) / add_threads)),
           dim3(add_threads), 0, stream, work, group_rows);
}

}  // namespace sluice::cuda
