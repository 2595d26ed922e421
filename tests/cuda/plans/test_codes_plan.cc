// Whether products by integers fit a block, for the shapes of real models and all cards that the
// engine is built for. Held by the compiler: this needs no GPU, and fails by not compiling.
#include "engine/cuda/codes_plan.h"
#include "engine/cuda/weight_layout.cuh"

namespace sluice::cuda {
namespace {

// As codes_several() of matmul_codes_several.cuh gives them.
constexpr CodesWarps warps_of(WeightFormat format, int T) {
    const StepLayout layout = step_layout(format);
    const int ring = 2 * layout.bytes * (coded_columns / layout.columns);
    const int sums = 2 * 4 * tile_rows * static_cast<int>(sizeof(float));
    return {ring + 2 * sums, ring + (T <= 4 ? sums : 2 * sums), T <= 4 ? 4 : 8,
            format == WeightFormat::q6_k ? 16 : 20};
}

constexpr WeightFormat formats[] = {WeightFormat::q8_0, WeightFormat::q4_0, WeightFormat::q4_1,
                                    WeightFormat::q4_k, WeightFormat::q5_k, WeightFormat::q6_k};
// Hidden and feed-forward sizes of Qwen2, Llama and SmolLM2, 135M to 70B.
constexpr int widths[] = {576,  896,  1536, 2048, 3072,  3584,  4096,  4864,  5120,
                          6144, 8192, 8960, 9728, 13824, 14336, 18944, 27648, 28672};
constexpr int block_bytes[] = {232448, 166912, 101376};  // compute capability 9.0, 8.0, 8.6 and 8.9

constexpr bool all_fit() {
    for (int room : block_bytes)
        for (int width : widths)
            for (WeightFormat format : formats)
                for (int sides : {1, 2})
                    for (int T = 2; T <= coded_tokens_max; ++T) {
                        const CodesWarps warps = warps_of(format, T);
                        const CodesPlan plan =
                            plan_codes(coded_steps(width), T, sides, room, warps);
                        const int used =
                            plan.x_room + plan.teams * plan.splits * sides * warps.bytes;
                        if (plan.teams < 1 || used > room) return false;
                        if (plan.parts * plan.splits > segments_max) return false;
                        // The order of the sums is no business of T.
                        if (plan.splits !=
                            plan_codes(coded_steps(width), 8, sides, room, warps_of(format, 8))
                                .splits)
                            return false;
                    }
    return true;
}
static_assert(all_fit());

// The 32B as it was measured.
constexpr CodesPlan measured(int width, int sides) {
    return plan_codes(coded_steps(width), 8, sides, block_bytes[0],
                      warps_of(WeightFormat::q4_k, 8));
}
static_assert(measured(5120, 2).parts == 1 && measured(5120, 2).splits == 5);
static_assert(measured(5120, 1).splits == 5 && measured(5120, 1).teams == 4);
static_assert(measured(27648, 1).parts == 4 && measured(27648, 1).splits == 1);

}  // namespace
}  // namespace sluice::cuda
