// Chooses the kernel and lays out the work of matmul_warpgroup; arranges activations for it.
#include "engine/cuda/matmul_warpgroup.h"

#include <cassert>
#include <set>

#include "engine/cuda/context.h"
#include "engine/cuda/decode_launch.h"
#include "engine/cuda/matmul_warpgroup.cuh"

namespace sluice::cuda {
namespace {

constexpr int arrange_threads = 256;

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
    return this_card().processors;
}

// Numbers the groups of rows that blocks take.
void place_products(std::span<const Product> products, WeightFormat first, DecodeWork& work) {
    const bool swiglu = work.into == Into::swiglu;
    int groups = 0;
    for (std::size_t i = 0; i < products.size(); ++i) {
        const Product& from = products[i];
        DecodeProduct& one = work.product[i];
        one.planes = from.matrix.planes;
        one.rows = from.matrix.rows;
        one.out_column = from.out_column;
        one.second = from.matrix.format == first ? 0 : 1;
        one.first = swiglu ? 0 : groups;
        groups = one.first + groups_of(from, swiglu);
    }
}

}  // namespace

WarpgroupKernel warpgroup_for(WeightFormat first, WeightFormat second, int tokens) {
    for (auto* of : {warpgroup_q4_k, warpgroup_q6_k, warpgroup_q5_k})
        if (WarpgroupKernel kernel = of(first, second, tokens); kernel.kernel != nullptr)
            return kernel;
    return first == second ? warpgroup_small_blocks(first, tokens) : WarpgroupKernel{};
}

void arrange(const f16* x, void* out, int T, int rows, int columns, cudaStream_t stream) {
    const std::int64_t threads = std::int64_t{T} * padded_columns(columns) / 8;
    const auto grid = static_cast<unsigned>((threads + arrange_threads - 1) / arrange_threads);
    launch(arrange_kernel, dim3(grid), dim3(arrange_threads), 0, stream, x,
           static_cast<std::uint8_t*>(out), T, rows, columns);
}

bool warpgroup_takes(std::span<const Product> products) {
    return warpgroups_take(this_card(), products);
}

void matmul_warpgroup(std::span<const Product> products, const void* x, int T, void* out,
                      int out_stride, Into into, bool out_arranged, float scale, void* workspace,
                      const Ahead& ahead, cudaStream_t stream) {
    assert(T >= 1 && !products.empty() && products.size() <= products_max);
    const Formats formats(products);
    const WarpgroupKernel kernel = warpgroup_for(formats.first, formats.second, tile_tokens(T));
    assert(kernel.kernel != nullptr);
    WarpgroupWork work{};
    DecodeWork& decode = work.decode;
    decode.products = static_cast<int>(products.size());
    decode.columns = products.front().matrix.columns;
    decode.steps = steps_of(formats.first, decode.columns);
    decode.T = T;
    decode.out = out;
    decode.out_stride = out_stride;
    decode.into = into;
    decode.scale = scale;
    decode.ahead = ahead;
    place_products(products, formats.first, decode);
    const WarpgroupShares shares =
        share_warpgroups(products, into == Into::swiglu, decode.steps, T, resident_blocks(kernel));
    decode.groups = shares.groups;
    work.x = static_cast<const std::uint8_t*>(x);
    work.x_rows = warpgroup_rows(T);
    work.token_tiles = shares.token_tiles;
    work.rounds = shares.rounds;
    work.shorter = shares.run.shorter;
    work.longer = shares.run.longer;
    work.out_rows = out_arranged ? work.x_rows : 0;
    work.arrived = static_cast<int*>(workspace);
    work.pieces = reinterpret_cast<float*>(static_cast<std::uint8_t*>(workspace) +
                                           warpgroup_counter_bytes(this_card().processors));
    launch(kernel.kernel, dim3(static_cast<unsigned>(shares.blocks)),
           dim3(static_cast<unsigned>(kernel.threads)),
           static_cast<std::size_t>(kernel.shared_bytes), stream, work);
}

std::size_t warpgroup_workspace_bytes() {
    return this_card().warpgroups ? warpgroup_room(this_card().processors) : 0;
}

}  // namespace sluice::cuda
