#include "tests/cuda/plans/kernels.h"

#include "engine/cuda/decode_launch.h"
#include "engine/cuda/matmul_codes_several.h"
#include "engine/cuda/matmul_warpgroup_work.cuh"

namespace sluice::cuda {
namespace {

KernelNeeds needs_of(const DecodeKernel& kernel) {
    return {kernel.kernel != nullptr, kernel.threads, kernel.tiles, kernel.shared_bytes};
}

}  // namespace

KernelNeeds decode_needs(WeightFormat first, WeightFormat second, int T, int segments, bool swiglu,
                         bool few_rows) {
    return needs_of(decode_kernel(first, second, {T, segments, swiglu, few_rows}));
}

KernelNeeds one_code_needs(WeightFormat first, WeightFormat second, int segments, bool swiglu,
                           bool plain) {
    return needs_of(codes_kernel(first, second, {1, segments, swiglu, false, plain}));
}

CodesWarps several_code_warps(WeightFormat first, WeightFormat second, int T) {
    const SeveralKernel most = several_kernel(first, second, coded_tokens_max);
    const SeveralKernel kernel = several_kernel(first, second, T);
    if (kernel.kernel == nullptr) return {};
    return {most.warp_bytes, kernel.warp_bytes, kernel.tokens, kernel.warps};
}

KernelNeeds warpgroup_needs(WeightFormat first, WeightFormat second, int tile_tokens) {
    const WarpgroupKernel kernel = warpgroup_for(first, second, tile_tokens);
    return {kernel.kernel != nullptr, kernel.threads, kernel.tokens,
            static_cast<std::size_t>(kernel.shared_bytes)};
}

}  // namespace sluice::cuda
