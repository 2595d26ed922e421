// What the launches of decode products share: the device's sizes, the split of the columns, the
// numbering of row tiles, and the launch that adds up what blocks left. Host only.
#pragma once

#include <span>

#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {

struct DecodeDevice {
    int processors = 0;
    int block_shared_bytes = 0;  // the most that a block may ask for
    int processor_shared_bytes = 0;
    DecodeDevice();
};
const DecodeDevice& decode_device();

constexpr std::size_t decode_workspace_bytes = 16U << 20;  // 64 tokens of 7168 rows, 8 segments

// The least and the greatest of the products' formats, and whether there are no others.
struct Formats {
    WeightFormat first;
    WeightFormat second;
    bool all = true;
    explicit Formats(std::span<const Product> products);
};

int row_tiles(const Product& product);

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
