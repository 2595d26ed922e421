// What the launches of decode products share: the split of the columns, the numbering of row tiles,
// and the launch that adds up what blocks left. Host only.
#pragma once

#include <span>

#include "engine/cuda/decode_product.cuh"
#include "engine/cuda/ways.h"

namespace sluice::cuda {

// The least and the greatest of the products' formats, and whether there are no others.
struct Formats {
    WeightFormat first;
    WeightFormat second;
    bool all = true;
    explicit Formats(std::span<const Product> products);
};

// The kernel of matmul_decode for the least and the greatest format; none where they do not go
// together.
DecodeKernel decode_kernel(WeightFormat first, WeightFormat second, DecodeShape shape);

DecodeWork work_of(std::span<const Product> products, const void* x, int T, void* out,
                   int out_stride, Into into, float scale, const Ahead& ahead);

// Cuts work.steps into equal segments.
void cut_steps(DecodeWork& work, int segments);

// Numbers the groups of row tiles that blocks take.
void place_products(std::span<const Product> products, WeightFormat first, int tiles,
                    DecodeWork& work);

// How many blocks the device holds at once; 0: a block needs more shared memory than there is. Lets
// the kernel have what shared memory there is.
int resident_blocks(const void* kernel, std::size_t shared_bytes, int threads);

// out, as in Into, of the sums in work.partial; in the segments' order. One launch.
void add_segments(const DecodeWork& work, int group_rows, bool brain, cudaStream_t stream);

}  // namespace sluice::cuda
