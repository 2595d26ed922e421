// What the tables of kernels say of those for two formats: threads and shared memory. The kernels
// themselves are not run.
#pragma once

#include <cstddef>

#include "engine/cuda/codes_plan.h"
#include "engine/cuda/matrix.h"

namespace sluice::cuda {

struct KernelNeeds {
    bool there = false;
    int threads = 0;
    int tiles = 0;
    std::size_t shared_bytes = 0;
};

// `first` is the lesser of the two formats.
KernelNeeds decode_needs(WeightFormat first, WeightFormat second, int T, int segments, bool swiglu,
                         bool few_rows);
KernelNeeds one_code_needs(WeightFormat first, WeightFormat second, int segments, bool swiglu,
                           bool plain);
CodesWarps several_code_warps(WeightFormat first, WeightFormat second, int T);  // 0: no kernel
KernelNeeds warpgroup_needs(WeightFormat first, WeightFormat second, int tile_tokens);

}  // namespace sluice::cuda
