// Weights that the next product of a step reads, asked for at the end of this one, when some
// processors have run out of work and before small kernels that read little. L2 then has them when
// they are read. A hint: nothing depends on it, and before compute capability 9.0 it is nothing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/cuda/matrix.h"

namespace sluice::cuda {

// The beginning of every `ahead_stride` bytes of a matrix, so that all who read it gain alike.
constexpr std::uint32_t ahead_stride = 16384;

struct Ahead {
    const std::uint8_t* from = nullptr;  // 128-byte aligned
    std::uint32_t pieces = 0;
    std::uint32_t bytes = 0;  // of a piece, a multiple of 128
};

// `bytes` of the matrix, less where there is less.
inline Ahead first_of(const Matrix& matrix, std::int64_t bytes) {
    const std::int64_t whole = matrix_bytes(matrix.format, matrix.rows, matrix.columns);
    const auto each = static_cast<std::uint32_t>(
        std::min<std::int64_t>(ahead_stride, ahead_stride * bytes / whole) / 128 * 128);
    if (each == 0) return {};
    return {matrix.planes, static_cast<std::uint32_t>(whole / ahead_stride), each};
}

#ifdef __CUDACC__
// By `threads` threads of which this is number `thread`; neighbours in number should be of
// different processors, which each take one request at a time.
__device__ inline void ask_ahead(const Ahead& ahead, unsigned thread, unsigned threads) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    for (unsigned i = thread; i < ahead.pieces; i += threads)
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(
                         ahead.from + std::size_t{i} * ahead_stride),
                     "r"(ahead.bytes)
                     : "memory");
#endif
}
#endif

}  // namespace sluice::cuda
