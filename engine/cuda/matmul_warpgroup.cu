// Chooses the kernel and lays out the work of matmul_warpgroup; arranges activations for it.
#include "engine/cuda/matmul_warpgroup.h"

#include <algorithm>
#include <cassert>
#include <set>
#include <vector>

#include "engine/cuda/context.h"
#include "engine/cuda/decode_launch.h"
#include "engine/cuda/matmul_warpgroup.cuh"

namespace sluice::cuda {
namespace {

constexpr int arrange_threads = 256;
constexpr int tokens_most = 128;  // of a tile
constexpr int tokens_wide = 64;   // more are tiles of 128

// Thread i: unit i % 4 of a run of 32 columns of a token.
__global__ void __launch_bounds__(arrange_threads)
    arrange_kernel(const f16* x, std::uint8_t* out, int T, int rows, int columns) {
    wait_for_previous();
    let_next_start();
    const int runs = (columns + arranged_columns - 1) / arranged_columns * (arranged_columns / 32);
    const int i = static_cast<int>(blockIdx.x) * arrange_threads + static_cast<int>(threadIdx.x);
    const int token = i / (runs * 4);
    if (token >= T) return;
    const int c = i % (runs * 4) / 4 * 32 + i % 4 * 2;
    const f16* from = x + std::int64_t{token} * columns + c;
    uint4 unit{};
    if (c < columns) {  // whole runs of 16 or 32: what is beyond is zeros
        const auto word = [&](int q) {
            return c + 8 * q < columns ? *reinterpret_cast<const std::uint32_t*>(from + 8 * q) : 0U;
        };
        unit = {word(0), word(1), word(2), word(3)};
    }
    *reinterpret_cast<uint4*>(out + arranged_place(token, c, rows)) = unit;
}

std::vector<WeightFormat> formats_of(std::span<const Product> products) {
    std::vector<WeightFormat> formats;
    for (const Product& product : products) formats.push_back(product.matrix.format);
    std::sort(formats.begin(), formats.end());
    formats.erase(std::unique(formats.begin(), formats.end()), formats.end());
    return formats;
}

WarpgroupKernel kernel_for(const std::vector<WeightFormat>& formats, int tokens) {
    const WeightFormat first = formats.front(), second = formats.back();
    if (formats.size() > 2) return {};
    for (auto* of : {warpgroup_q4_k, warpgroup_q6_k, warpgroup_q5_k})
        if (WarpgroupKernel kernel = of(first, second, tokens); kernel.kernel != nullptr)
            return kernel;
    return first == second ? warpgroup_small_blocks(first, tokens) : WarpgroupKernel{};
}

// How many blocks the device holds at once: one a processor, for their shared memory.
int resident_blocks(const WarpgroupKernel& kernel) {
    static PerContext<std::set<void (*)(WarpgroupWork)>> known;
    if (known.get().insert(kernel.kernel).second) {
        const auto* function = reinterpret_cast<const void*>(kernel.kernel);
        check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   kernel.shared_bytes));
        check(cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout,
                                   cudaSharedmemCarveoutMaxShared));
    }
    return decode_device().processors;
}

// Numbers the groups of rows that blocks take; gives how many there are.
int place_products(std::span<const Product> products, WeightFormat first, DecodeWork& work) {
    int groups = 0;
    for (std::size_t i = 0; i < products.size(); ++i) {
        const Product& from = products[i];
        DecodeProduct& one = work.product[i];
        one.planes = from.matrix.planes;
        one.rows = from.matrix.rows;
        one.out_column = from.out_column;
        one.second = from.matrix.format == first ? 0 : 1;
        const bool swiglu = work.into == Into::swiglu;
        one.first = swiglu ? 0 : groups;
        const int each = swiglu ? block_tiles / 2 : block_tiles;
        groups = one.first + (row_tiles(from) + each - 1) / each;
    }
    return groups;
}

std::size_t counter_bytes() {
    return static_cast<std::size_t>(decode_device().processors * block_tiles / 2) * sizeof(int);
}

int tile_tokens(int T) { return T <= 16 ? 16 : T <= 32 ? 32 : T <= tokens_wide ? 64 : tokens_most; }

}  // namespace

void arrange(const f16* x, void* out, int T, int rows, int columns, cudaStream_t stream) {
    const std::int64_t threads = std::int64_t{T} * padded_columns(columns) / 8;
    const auto grid = static_cast<unsigned>((threads + arrange_threads - 1) / arrange_threads);
    launch(arrange_kernel, dim3(grid), dim3(arrange_threads), 0, stream, x,
           static_cast<std::uint8_t*>(out), T, rows, columns);
}

bool warpgroup_takes(std::span<const Product> products) {
    return device_has_warpgroups() && kernel_for(formats_of(products), 16).kernel != nullptr;
}

int warpgroup_rows(int T) {
    const int tokens = tile_tokens(T);
    return (T + tokens - 1) / tokens * tokens;
}

void matmul_warpgroup(std::span<const Product> products, const void* x, int T, void* out,
                      int out_stride, Into into, bool out_arranged, float scale, void* workspace,
                      const Ahead& ahead, cudaStream_t stream) {
    assert(T >= 1 && !products.empty() && products.size() <= products_max);
    const std::vector<WeightFormat> formats = formats_of(products);
    const WarpgroupKernel kernel = kernel_for(formats, tile_tokens(T));
    assert(kernel.kernel != nullptr);
    WarpgroupWork work{};
    DecodeWork& decode = work.decode;
    decode.products = static_cast<int>(products.size());
    decode.columns = products.front().matrix.columns;
    decode.steps = steps_of(formats.front(), decode.columns);
    decode.T = T;
    decode.out = out;
    decode.out_stride = out_stride;
    decode.into = into;
    decode.scale = scale;
    decode.ahead = ahead;
    decode.groups = place_products(products, formats.front(), decode);
    work.x = static_cast<const std::uint8_t*>(x);
    work.x_rows = warpgroup_rows(T);
    work.token_tiles = work.x_rows / kernel.tokens;
    const int items = decode.groups * work.token_tiles;
    const int blocks = std::min(resident_blocks(kernel), items * decode.steps);
    // Blocks that work at the same time share rows and tokens when there are many of both.
    work.rounds = work.token_tiles > 1 ? items / blocks : 0;
    const int units = (items - work.rounds * blocks) * decode.steps;
    work.shorter = units / blocks;
    work.longer = units % blocks;
    work.out_rows = out_arranged ? work.x_rows : 0;
    work.arrived = static_cast<int*>(workspace);
    work.pieces = reinterpret_cast<float*>(static_cast<std::uint8_t*>(workspace) + counter_bytes());
    launch(kernel.kernel, dim3(static_cast<unsigned>(blocks)),
           dim3(static_cast<unsigned>(kernel.threads)),
           static_cast<std::size_t>(kernel.shared_bytes), stream, work);
}

std::size_t warpgroup_workspace_bytes() {
    if (!device_has_warpgroups()) return 0;
    constexpr auto piece_bytes = sizeof(float) * block_tiles * tile_rows * tokens_most;
    return counter_bytes() + static_cast<std::size_t>(decode_device().processors) * 2 * piece_bytes;
}

}  // namespace sluice::cuda
