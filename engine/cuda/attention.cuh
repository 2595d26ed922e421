// What the attention kernels share: where a head's keys lie, tiles of them in shared memory, and
// tensor core fragments of them. A tile's rows are swizzled in chunks of 16 bytes, so that the
// eight rows of one ldmatrix lie in different banks. fp8 codes become f16, exactly, in registers;
// the order of d within 16 that this gives (see Codes) is the query's and the output's business.
#pragma once

#include <cuda_fp8.h>

#include <cstdint>

#include "engine/cuda/attention.h"
#include "engine/cuda/convert.cuh"

namespace sluice::cuda {

using e4m3 = __nv_fp8_e4m3;

// The finite start of a running maximum: exp2f(-infinity - it) is 0 and exp2f(it - it) is 1.
constexpr float lowest_score = -1e30F;

__device__ inline float power_of_2(float exponent) {
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(exponent));
    return out;
}

// One layer of the cache, as kernels take it.
struct KvLayer {
    std::uint8_t* data = nullptr;
    std::int64_t head_bytes = 0;  // the P keys of one head in one page
    int kv_heads = 0;
    const float* scale = nullptr;  // [2, K] or nullptr

    __device__ float key_scale(int head) const { return scale == nullptr ? 1.0F : scale[head]; }
    __device__ float value_scale(int head) const {
        return scale == nullptr ? 1.0F : scale[kv_heads + head];
    }
    __device__ std::uint8_t* keys(int page, int head) const {
        return data + (std::int64_t{2} * page * kv_heads + head) * head_bytes;
    }
    __device__ std::uint8_t* values(int page, int head) const {
        return keys(page, head) + kv_heads * head_bytes;
    }
};

inline KvLayer layer_of(const KvCache& kv, int layer) {
    const std::int64_t page = kv_page_bytes(kv.format, 1, kv.kv_heads, kv.head_dim);
    const float* scale =
        kv.scale == nullptr ? nullptr : kv.scale + std::int64_t{2} * layer * kv.kv_heads;
    return {kv.data + layer * kv.pages * page, page / (2 * kv.kv_heads), kv.kv_heads, scale};
}

__device__ inline std::uint32_t shared_address(const void* pointer) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// Copies 16 bytes to shared memory, or fills it with zeros where there is nothing to read.
__device__ inline void copy_16(std::uint32_t to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
}
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Left>
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

__device__ inline void load_matrices(std::uint32_t (&out)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
}
__device__ inline void load_transposed(std::uint32_t (&out)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
}
__device__ inline std::uint32_t transposed(std::uint32_t in) {
    std::uint32_t out;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(in));
    return out;
}

// Byte offset of a chunk of 16 bytes in a tile whose rows have RowBytes.
template <int RowBytes>
__device__ inline int swizzled(int row, int chunk) {
    if constexpr (RowBytes >= 128) return row * RowBytes + ((chunk ^ (row & 7)) << 4);
    return row * RowBytes + ((chunk ^ ((row >> 1) & 3)) << 4);
}

__device__ inline void multiply(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                std::uint32_t b1, bf16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void multiply(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                std::uint32_t b1, f16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline std::uint32_t packed(float low, float high, bf16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<const std::uint32_t&>(pair);
}
__device__ inline std::uint32_t packed(float low, float high, f16) {
    const __half2 pair = __floats2half2_rn(low, high);
    return reinterpret_cast<const std::uint32_t&>(pair);
}

// Two e4m3 codes, the low or the high half of a word, as f16.
template <int Half>
__device__ inline std::uint32_t widened(std::uint32_t codes) {
    const auto pair = static_cast<__nv_fp8x2_storage_t>(codes >> (16 * Half));
    const __half2_raw wide = __nv_cvt_fp8x2_to_halfraw2(pair, __NV_E4M3);
    return reinterpret_cast<const std::uint32_t&>(wide);
}

// How codes of the cache become tensor core operands. Of a 16-wide run of d, a lane t of its quad
// meets, in the query's fragment halves, d = {2t, 2t + 1} and {2t + 8, 2t + 9} for bf16, and
// {4t, 4t + 1} and {4t + 2, 4t + 3} for fp8.
template <class Code>
struct Codes;
template <>
struct Codes<bf16> {
    using Operand = bf16;
};
template <>
struct Codes<e4m3> {
    using Operand = f16;
};

template <class Out>
__device__ inline std::uint32_t two(float low, float high) {
    struct alignas(4) Pair {
        Out low, high;
    } const pair{rounded<Out>(low), rounded<Out>(high)};
    return reinterpret_cast<const std::uint32_t&>(pair);
}

}  // namespace sluice::cuda
