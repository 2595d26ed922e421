#include "engine/cuda/block_scales.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string>

#include "engine/cpu/compute_threads.h"

namespace sluice::cuda {
namespace {

constexpr int reading_threads = 8;
constexpr std::int64_t share_blocks = 8192;  // that a thread looks at in one go
constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();

// 2^15 d and 64 dmin are f16s in the products (weight_reader.cuh).
bool fits(const std::uint8_t* block) {
    const int d = block[0] | block[1] << 8;
    const int minimum = block[2] | block[3] << 8;
    // 2 and 512 on; infinity and NaN.
    return (d & 0x7FFF) < 0x4000 && (minimum & 0x7FFF) < 0x6000;
}

// The first block that does not fit, or `none`.
std::int64_t first_unfit(const Tensor& tensor, ComputeThreads& threads) {
    const std::int64_t bytes = block_bytes(tensor.type), blocks = tensor.bytes / bytes;
    std::atomic<std::int64_t> first = none;
    threads.run(static_cast<int>((blocks + share_blocks - 1) / share_blocks), [&](int share) {
        const std::int64_t begin = share * share_blocks;
        const std::int64_t end = std::min(begin + share_blocks, blocks);
        for (std::int64_t block = begin; block < end; ++block) {
            if (fits(tensor.data + block * bytes)) continue;
            std::int64_t found = first;
            while (block < found && !first.compare_exchange_weak(found, block)) continue;
            return;
        }
    });
    return first;
}

}  // namespace

Status check_block_scales(const ModelFile& file, std::span<const Tensor* const> matrices) {
    ComputeThreads threads(reading_threads);
    for (const Tensor* tensor : matrices) {
        const bool scaled = tensor->type == TensorType::q4_k || tensor->type == TensorType::q5_k;
        if (!scaled || tensor->data == nullptr) continue;  // no data: random weights of a shape
        const std::int64_t block = first_unfit(*tensor, threads);
        if (block == none) continue;
        const std::uint64_t at =
            tensor->file_offset + static_cast<std::uint64_t>(block * block_bytes(tensor->type));
        return Error(Errc::bad_file,
                     file.path() + ": " + tensor_text(file, *tensor) + " has a block at offset " +
                         std::to_string(at) +
                         " whose scale d is not below 2 or whose dmin is not below 512, more than "
                         "the GPU's products take (networks have about 0.0001 and 0.001); replace "
                         "the file if it is broken, or set device: cpu");
    }
    return Done{};
}

}  // namespace sluice::cuda
