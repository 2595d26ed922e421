// Chooses the kernel, the split of the columns and the grid of a decode product.
#include <algorithm>
#include <cassert>
#include <map>
#include <vector>

#include "engine/cuda/coded.h"
#include "engine/cuda/context.h"
#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {
namespace {

constexpr int tiles_of_few = 5;  // an SM
constexpr int add_threads = 256;
constexpr std::size_t workspace_bytes = 16U << 20;  // 64 tokens of 7168 rows in eight segments

DecodeKernel kernel_for(WeightFormat first, WeightFormat second, DecodeShape shape) {
    if (DecodeKernel kernel = k_quant_kernel(first, second, shape); kernel.kernel != nullptr)
        return kernel;
    if (first != second) return {};
    if (is_plain(first)) return plain_kernel(first, shape);
    return small_block_kernel(first, shape);
}

// As many warps as share the steps evenly: 5 of 20 steps, 6 of 108. Never of T: the segments decide
// the order of the sums.
int segments_for(int steps) {
    int best = 1;
    int best_idle = segments_max * steps;
    for (int segments : {6, 5, 7, 8, 4, 3, 2, 1}) {
        if (segments > steps) continue;
        const int idle = ((steps + segments - 1) / segments * segments - steps) * 1000 / steps;
        if (idle >= best_idle) continue;
        best = segments;
        best_idle = idle;
    }
    return best;
}

struct Device {
    int processors = 0;
    int block_shared_bytes = 0;
    int processor_shared_bytes = 0;

    Device() {
        int device = 0;
        check(cudaGetDevice(&device));
        check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
        check(cudaDeviceGetAttribute(&processor_shared_bytes,
                                     cudaDevAttrMaxSharedMemoryPerMultiprocessor, device));
        check(cudaDeviceGetAttribute(&block_shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                     device));
    }
};

// How many blocks the device holds at once; 0: a block needs more shared memory than there is.
int resident_blocks(const DecodeKernel& kernel, const Device& device) {
    static PerContext<std::map<std::pair<void (*)(DecodeWork), std::size_t>, int>> known;
    const auto [entry, fresh] = known.get().try_emplace({kernel.kernel, kernel.shared_bytes}, 0);
    if (!fresh) return entry->second;
    const auto* function = reinterpret_cast<const void*>(kernel.kernel);
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, function));
    const int dynamic_bytes =
        device.block_shared_bytes - static_cast<int>(attributes.sharedSizeBytes);
    if (static_cast<int>(kernel.shared_bytes) > dynamic_bytes) return 0;
    check(
        cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, dynamic_bytes));
    // One division of L1 for all: changing it between kernels empties the SMs.
    check(cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout,
                               cudaSharedmemCarveoutMaxShared));
    int each = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, function, kernel.threads,
                                                        kernel.shared_bytes));
    entry->second = device.processors * each;
    return entry->second;
}

// out, as in Into, of the sums that decode_many left for each segment; in the segments' order.
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

void add_segments(const DecodeWork& work, int group_rows, bool brain, cudaStream_t stream) {
    const int rows = work.into == Into::swiglu ? group_rows / 2 : group_rows;
    const int threads = work.groups * rows * work.T;
    launch(brain ? add_segments_kernel<true> : add_segments_kernel<false>,
           dim3(static_cast<unsigned>((threads + add_threads - 1) / add_threads)),
           dim3(add_threads), 0, stream, work, group_rows);
}

struct Launch {
    std::span<const Product> products;
    WeightFormat first;
    WeightFormat second;
    DecodeWork work;
    bool coded = false;
};

int row_tiles(const Product& product) { return (product.matrix.rows + tile_rows - 1) / tile_rows; }

// Numbers the groups of row tiles that blocks take.
void place_products(Launch& launch, int tiles) {
    DecodeWork& work = launch.work;
    const bool swiglu = work.into == Into::swiglu;
    work.groups = 0;
    for (std::size_t i = 0; i < launch.products.size(); ++i) {
        const Product& from = launch.products[i];
        DecodeProduct& one = work.product[i];
        one.planes = from.matrix.planes;
        one.row_scale = from.matrix.row_scale;
        one.rows = from.matrix.rows;
        one.out_column = from.out_column;
        one.first = swiglu ? 0 : work.groups;
        one.second = from.matrix.format == launch.first ? 0 : 1;
        const int each = swiglu ? std::max(tiles / 2, 1) : tiles;
        work.groups = one.first + (row_tiles(from) + each - 1) / each;
    }
}

// One launch, or two where blocks leave their segments' sums, of work.T tokens at most; gives how
// many it took: shared memory may be too small for all.
int run_some(Launch& launch, const Device& device, float* partial, cudaStream_t stream) {
    DecodeWork& work = launch.work;
    const bool swiglu = work.into == Into::swiglu;
    int tiles = 0;
    for (const Product& product : launch.products) tiles += row_tiles(product);
    const auto kernel_now = [&] {
        if (launch.coded)
            return codes_kernel(launch.first, launch.second,
                                {work.T, work.segments, swiglu, false});
        const bool few_rows =
            !swiglu && work.T <= few_tokens_max && tiles <= tiles_of_few * device.processors;
        return kernel_for(launch.first, launch.second, {work.T, work.segments, swiglu, few_rows});
    };
    DecodeKernel kernel = kernel_now();
    int resident = resident_blocks(kernel, device);
    while (resident == 0) {
        assert(work.T > 1 && !launch.coded);  // two tokens' codes fit any device's
        work.T = (work.T + 1) / 2;
        kernel = kernel_now();
        resident = resident_blocks(kernel, device);
    }
    place_products(launch, kernel.tiles);
    const std::size_t partial_bytes =
        sizeof(float) * tile_rows * static_cast<std::size_t>(work.groups) *
        static_cast<std::size_t>(kernel.tiles * work.segments) * static_cast<std::size_t>(work.T);
    const bool split =
        kernel.tiles > 1 && work.groups < resident && partial_bytes <= workspace_bytes;
    work.partial = split ? partial : nullptr;
    const int items = work.groups * (split ? work.segments : 1);
    const int rounds = (items + resident - 1) / resident;
    const int blocks = launch.coded ? std::min(items, resident) : (items + rounds - 1) / rounds;
    // What follows a product is small, but for the f16 path's down behind gate and up, whose blocks
    // would crowd on the SMs that are done first.
    work.early = launch.coded || !swiglu;
    // At most as many blocks on an SM as an even spread gives, by asking for shared memory that one
    // more would not find (a block's own 1024 bytes aside): started early, they would fill SM by
    // SM.
    if (launch.coded && items <= resident) {
        const int each = (items + device.processors - 1) / device.processors;
        const int least = device.processor_shared_bytes / (each + 1) - 1024 + 128;
        kernel.shared_bytes = std::max(kernel.shared_bytes, static_cast<std::size_t>(least));
    }
    cuda::launch(kernel.kernel, dim3(static_cast<unsigned>(blocks)),
                 dim3(static_cast<unsigned>(kernel.threads)), kernel.shared_bytes, stream, work);
    if (split) add_segments(work, kernel.tiles * tile_rows, reads_bf16(launch.first), stream);
    return work.T;
}

void run(Launch launch, void* workspace, cudaStream_t stream) {
    static const Device device;
    DecodeWork& work = launch.work;
    work.products = static_cast<int>(launch.products.size());
    work.steps = launch.coded ? coded_steps(work.columns) : steps_of(launch.first, work.columns);
    work.segments = segments_for(work.steps);
    for (int i = 0; i <= work.segments; ++i) work.begin[i] = work.steps * i / work.segments;
    const std::size_t out_bytes = work.into == Into::swiglu ? 2 : 4;
    for (int left = work.T; left > 0;) {
        work.T = left;
        const int taken = run_some(launch, device, static_cast<float*>(workspace), stream);
        left -= taken;
        work.x = static_cast<const std::uint16_t*>(work.x) +
                 static_cast<std::ptrdiff_t>(taken) * work.columns;
        work.out =
            static_cast<std::uint8_t*>(work.out) +
            static_cast<std::size_t>(taken) * static_cast<std::size_t>(work.out_stride) * out_bytes;
    }
}

DecodeWork work_of(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale) {
    DecodeWork work{};
    work.columns = products.front().matrix.columns;
    work.x = x;
    work.T = T;
    work.out = out;
    work.out_stride = out_stride;
    work.into = into;
    work.scale = scale;
    return work;
}

// The least and the greatest of the products' formats, and whether there are no others.
struct Formats {
    WeightFormat first;
    WeightFormat second;
    bool all = true;
    explicit Formats(std::span<const Product> products) {
        const auto less = [](const Product& a, const Product& b) {
            return a.matrix.format < b.matrix.format;
        };
        const auto [least, greatest] = std::minmax_element(products.begin(), products.end(), less);
        first = least->matrix.format;
        second = greatest->matrix.format;
        for (const Product& product : products)
            all = all && (product.matrix.format == first || product.matrix.format == second);
    }
};

}  // namespace

void matmul_decode(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale, void* workspace, const Ahead& ahead,
                   cudaStream_t stream) {
    assert(T >= 1 && T <= decode_tokens_max);
    assert(!products.empty() && products.size() <= products_max);
    DecodeWork work = work_of(products, x, T, out, out_stride, into, scale);
    work.ahead = ahead;
    const Formats formats(products);
    if (formats.all &&
        kernel_for(formats.first, formats.second, {T, 1, false, false}).kernel != nullptr)
        return run({products, formats.first, formats.second, work}, workspace, stream);
    assert(into != Into::swiglu);
    for (const Product& product : products)
        run({{&product, 1}, product.matrix.format, product.matrix.format, work}, workspace, stream);
}

bool matmul_codes_takes(std::span<const Product> products) {
    const Formats formats(products);
    return formats.all &&
           codes_kernel(formats.first, formats.second, {1, 1, false, false}).kernel != nullptr;
}

void matmul_codes(std::span<const Product> products, const std::uint8_t* coded, int T, void* out,
                  int out_stride, Into into, float scale, const Ahead& ahead, cudaStream_t stream) {
    assert(T >= 1 && T <= coded_tokens_max && matmul_codes_takes(products));
    const Formats formats(products);
    DecodeWork work = work_of(products, coded, T, out, out_stride, into, scale);
    work.ahead = ahead;
    run({products, formats.first, formats.second, work, true}, nullptr, stream);
}

std::size_t matmul_workspace_bytes() { return workspace_bytes; }

}  // namespace sluice::cuda
