// What the kernels of matmul_codes share: the stream of a warp's weights, products of bytes, and
// what becomes of their sums.
#pragma once

#include "engine/cuda/code_reader.cuh"
#include "engine/cuda/coded.h"
#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {

constexpr int code_slots = 2;

template <WeightFormat first, WeightFormat second>
constexpr int code_weight_bytes =
    code_step_bytes<first> > code_step_bytes<second> ? code_step_bytes<first>
                                                     : code_step_bytes<second>;

// Sums of codes, as they are, or with a sign.
__device__ inline void multiply_signed_codes(int (&sum)[4], const CodeWords& a, std::uint32_t b0,
                                             std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void multiply_codes(int (&sum)[4], const CodeWords& a, std::uint32_t b0,
                                      std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline const DecodeProduct& product_of(const DecodeWork& work, int group, int part) {
    int index = part;
    if (work.into != Into::swiglu)
        while (index + 1 < work.products && group >= work.product[index + 1].first) ++index;
    return work.product[index];
}

// The weights of a warp's segment, row tile after row tile; `part`: for SwiGLU 0 of gate, 1 of up.
template <WeightFormat first, WeightFormat second>
struct CodeStream {
    const DecodeWork& work;
    int begin;  // of the segment, in steps
    int end;
    int lane;
    int group;
    int stride;  // from a row tile to the warp's next one
    int part;
    int step = 0;
    bool second_format = false;
    bool asked = false;
    bool waited = false;  // what is behind wait_for_previous() may rely on it: see attention.h
    const std::uint8_t* from = nullptr;

    __device__ CodeStream(const DecodeWork& of, int segment, int of_part, int of_lane,
                          int first_group, int groups_apart)
        : work(of),
          begin(of.begin[segment]),
          end(of.begin[segment + 1]),
          lane(of_lane),
          group(first_group),
          stride(groups_apart),
          part(of_part) {
        open();
    }
    __device__ void open() {
        if (group >= work.groups) return;
        step = begin;
        const DecodeProduct& product = product_of(work, group, part);
        second_format = first != second && product.second == 1;
        const std::int64_t tile = group - product.first;
        from =
            product.planes + lane * 16 + (second_format ? place<second>(tile) : place<first>(tile));
    }
    template <WeightFormat format>
    __device__ std::int64_t place(std::int64_t tile) const {
        constexpr int planes = code_step_bytes<format> / step_layout(format).bytes;
        return (tile * steps_of(format, work.columns) + begin * planes) * step_layout(format).bytes;
    }
    // 256 columns to shared memory.
    __device__ void fetch(std::uint32_t to, std::uint64_t policy) {
        if (group >= work.groups) return ask();
        if (second_format)
            fetch_step<second>(to, policy);
        else
            fetch_step<first>(to, policy);
        if (++step < end) return;
        group += stride;
        open();
    }
    // Once, when there is no more to fetch.
    __device__ void ask() {
        if (asked) return;
        asked = true;
        if (work.early && waited) let_next_start();
        const unsigned warps = blockDim.x / 32;
        ask_ahead(work.ahead, (lane * warps + threadIdx.x / 32) * gridDim.x + blockIdx.x,
                  gridDim.x * blockDim.x);
    }
    template <WeightFormat format>
    __device__ void fetch_step(std::uint32_t to, std::uint64_t policy) {
        constexpr int bytes = code_step_bytes<format>;
        constexpr int plane = step_layout(format).bytes;
        to += lane * 16;
        // The last step of q8_0 may be half a one.
        const int there =
            bytes == plane || 2 * step + 2 <= steps_of(format, work.columns) ? bytes : plane;
#pragma unroll
        for (int at = 0; at < bytes; at += 512) {
            if (at + 512 > bytes && at + lane * 16 >= bytes) continue;
            if constexpr (bytes == plane)
                copy_async(to + at, from + at, policy);
            else
                copy_async_or_zero(to + at, from + at, at + lane * 16 < there ? 16 : 0, policy);
        }
        from += bytes;
    }
};

}  // namespace sluice::cuda
