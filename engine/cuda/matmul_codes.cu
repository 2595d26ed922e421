// Chooses the kernel, the split of the columns and the grid of a product by integers.
#include <algorithm>
#include <cassert>

#include "engine/cuda/coded.h"
#include "engine/cuda/decode_launch.h"
#include "engine/cuda/matmul_codes_several.h"

namespace sluice::cuda {
namespace {

// Up to so many steps of a row tile on each SM, coding activations again for each of them takes
// less than a launch that codes them once.
constexpr int plain_steps = 64;

void run_one(std::span<const Product> products, const Formats& formats, DecodeWork& work,
             bool plain, cudaStream_t stream) {
    const bool swiglu = work.into == Into::swiglu;
    const DecodeKernel narrow =
        codes_kernel(formats.first, formats.second, {1, 1, swiglu, false, plain});
    const int fitting = decode_device().block_shared_bytes / static_cast<int>(narrow.shared_bytes);
    cut_steps(work, segments_for(work.steps, std::min(segments_max, fitting)));
    DecodeKernel kernel =
        codes_kernel(formats.first, formats.second, {1, work.segments, swiglu, false, plain});
    place_products(products, formats.first, 1, work);
    const int resident = resident_blocks(reinterpret_cast<const void*>(kernel.kernel),
                                         kernel.shared_bytes, kernel.threads);
    assert(resident > 0);
    // At most as many blocks on an SM as an even spread gives, by asking for shared memory that one
    // more would not find (a block's own 1024 bytes aside): started early, they would fill SM by
    // SM.
    if (work.groups <= resident) {
        const int processors = decode_device().processors;
        const int each = (work.groups + processors - 1) / processors;
        const int least = decode_device().processor_shared_bytes / (each + 1) - 1024 + 128;
        kernel.shared_bytes = std::max(kernel.shared_bytes, static_cast<std::size_t>(least));
    }
    launch(kernel.kernel, dim3(static_cast<unsigned>(std::min(work.groups, resident))),
           dim3(static_cast<unsigned>(kernel.threads)), kernel.shared_bytes, stream, work);
}

// How many parts the columns are cut into, so that a block can keep a part's activations.
int parts_for(int steps) {
    const int kept = decode_device().block_shared_bytes * 18 / 25;
    const int most = std::max(kept / (coded_tokens_max * coded_bytes), 1);
    return (steps + most - 1) / most;
}

// As many warps of a team as fit a block beside a part's activations of the most tokens: never of
// T, since the splits decide the order of the sums. At least one, for what parts_for() leaves.
int splits_max(int part_steps, int parts, const Formats& formats, bool swiglu) {
    const int warp_bytes =
        several_kernel(formats.first, formats.second, coded_tokens_max).warp_bytes;
    const int room =
        decode_device().block_shared_bytes - part_steps * coded_tokens_max * coded_bytes;
    return std::clamp(room / ((swiglu ? 2 : 1) * warp_bytes), 1, segments_max / parts);
}

void run_several(std::span<const Product> products, const Formats& formats, SeveralWork work,
                 float* partial, cudaStream_t stream) {
    DecodeWork& decode = work.decode;
    const SeveralKernel kernel = several_kernel(formats.first, formats.second, decode.T);
    const bool swiglu = decode.into == Into::swiglu;
    work.parts = parts_for(decode.steps);
    const int part_steps = (decode.steps + work.parts - 1) / work.parts;
    work.splits = segments_for(part_steps, splits_max(part_steps, work.parts, formats, swiglu));
    cut_steps(decode, work.parts * work.splits);
    place_products(products, formats.first, 1, decode);
    int widest = 0;  // part, in steps
    for (int part = 0; part < work.parts; ++part)
        widest = std::max(
            widest, decode.begin[(part + 1) * work.splits] - decode.begin[part * work.splits]);
    // Tokens beyond T are read, too, and must not be what other warps write meanwhile.
    work.x_room = (widest * decode.T + kernel.tokens - decode.T) * coded_bytes;
    const int team_warps = work.splits * (swiglu ? 2 : 1);
    const int room = decode_device().block_shared_bytes - work.x_room;
    work.teams = std::min(kernel.warps / team_warps, room / (team_warps * kernel.warp_bytes));
    assert(work.teams > 0);
    const int threads = work.teams * team_warps * 32;
    const auto shared_bytes =
        static_cast<std::size_t>(work.x_room + work.teams * team_warps * kernel.warp_bytes);
    (void)resident_blocks(reinterpret_cast<const void*>(kernel.kernel), shared_bytes, threads);
    const int each = std::max(decode_device().processors / work.parts, 1);
    decode.partial = work.parts > 1 ? partial : nullptr;
    launch(kernel.kernel, dim3(static_cast<unsigned>(std::min(each, decode.groups) * work.parts)),
           dim3(static_cast<unsigned>(threads)), shared_bytes, stream, work);
    if (work.parts == 1) return;
    decode.segments = work.parts;
    add_segments(decode, (swiglu ? 2 : 1) * tile_rows, false, stream);
}

}  // namespace

bool matmul_codes_takes(std::span<const Product> products) {
    const Formats formats(products);
    const int parts = parts_for(coded_steps(products.front().matrix.columns));
    std::size_t rows = 0;
    for (const Product& product : products)
        rows += static_cast<std::size_t>(row_tiles(product) * tile_rows);
    const bool room =
        parts == 1 || rows * static_cast<std::size_t>(parts * coded_tokens_max) * sizeof(float) <=
                          decode_workspace_bytes;
    return formats.all && parts <= segments_max && room &&
           codes_kernel(formats.first, formats.second, {1, 1, false, false}).kernel != nullptr;
}

bool matmul_codes_reads_plain(std::span<const Product> products, int T) {
    int tiles = 0;
    for (const Product& product : products) tiles += row_tiles(product);
    return T == 1 && tiles * coded_steps(products.front().matrix.columns) <=
                         plain_steps * decode_device().processors;
}

void matmul_codes(std::span<const Product> products, CodesInput x, int T, void* out, int out_stride,
                  Into into, float scale, void* workspace, const Ahead& ahead,
                  cudaStream_t stream) {
    assert(T >= 1 && T <= coded_tokens_max && matmul_codes_takes(products));
    assert(x.coded != nullptr || matmul_codes_reads_plain(products, T));
    const Formats formats(products);
    const void* from = x.coded != nullptr ? static_cast<const void*>(x.coded) : x.plain;
    DecodeWork work = work_of(products, from, T, out, out_stride, into, scale, ahead);
    work.steps = coded_steps(work.columns);
    work.early = true;
    if (T == 1) return run_one(products, formats, work, x.coded == nullptr, stream);
    run_several(products, formats, {.decode = work}, static_cast<float*>(workspace), stream);
}

}  // namespace sluice::cuda
