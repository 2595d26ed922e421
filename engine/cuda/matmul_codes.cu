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
    const int fitting = this_card().block_shared_bytes / static_cast<int>(narrow.shared_bytes);
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
        const int processors = this_card().processors;
        const int each = (work.groups + processors - 1) / processors;
        const int least = this_card().processor_shared_bytes / (each + 1) - 1024 + 128;
        kernel.shared_bytes = std::max(kernel.shared_bytes, static_cast<std::size_t>(least));
    }
    launch(kernel.kernel, dim3(static_cast<unsigned>(std::min(work.groups, resident))),
           dim3(static_cast<unsigned>(kernel.threads)), kernel.shared_bytes, stream, work);
}

void run_several(std::span<const Product> products, const Formats& formats, SeveralWork work,
                 float* partial, cudaStream_t stream) {
    DecodeWork& decode = work.decode;
    const SeveralKernel kernel = several_kernel(formats.first, formats.second, decode.T);
    const bool swiglu = decode.into == Into::swiglu;
    const CodesWarps warps{
        several_kernel(formats.first, formats.second, coded_tokens_max).warp_bytes,
        kernel.warp_bytes, kernel.tokens, kernel.warps};
    const CodesPlan plan =
        plan_codes(decode.steps, decode.T, swiglu ? 2 : 1, this_card().block_shared_bytes, warps);
    assert(plan.teams > 0);
    work.parts = plan.parts;
    work.splits = plan.splits;
    work.x_room = plan.x_room;
    work.teams = plan.teams;
    cut_steps(decode, work.parts * work.splits);
    place_products(products, formats.first, 1, decode);
    const int team_warps = work.splits * (swiglu ? 2 : 1);
    const int threads = work.teams * team_warps * 32;
    const auto shared_bytes =
        static_cast<std::size_t>(work.x_room + work.teams * team_warps * kernel.warp_bytes);
    (void)resident_blocks(reinterpret_cast<const void*>(kernel.kernel), shared_bytes, threads);
    const int each = std::max(this_card().processors / work.parts, 1);
    decode.partial = work.parts > 1 ? partial : nullptr;
    launch(kernel.kernel, dim3(static_cast<unsigned>(std::min(each, decode.groups) * work.parts)),
           dim3(static_cast<unsigned>(threads)), shared_bytes, stream, work);
    if (work.parts == 1) return;
    decode.segments = work.parts;
    add_segments(decode, (swiglu ? 2 : 1) * tile_rows, false, stream);
}

}  // namespace

bool matmul_codes_takes(std::span<const Product> products) {
    return codes_take(this_card(), products);
}

bool matmul_codes_reads_plain(std::span<const Product> products, int T) {
    int tiles = 0;
    for (const Product& product : products) tiles += row_tiles(product);
    return T == 1 && tiles * coded_steps(products.front().matrix.columns) <=
                         plain_steps * this_card().processors;
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
