// matmul_decode of a token or two by integers (coded.h): codes times bytes on the tensor cores,
// exact, then the scales. A column of the tensor cores' eight is a token's upper or lower bytes,
// for q6_k those of half of each 32 columns and zeros for the others.
//
// As in decode_few a block takes a row tile, and each of its warps streams one segment of the
// columns through a ring of its own; for SwiGLU there are twice as many warps, for gate and for up.
#pragma once

#include "engine/cuda/code_reader.cuh"
#include "engine/cuda/coded.h"
#include "engine/cuda/decode_product.cuh"

namespace sluice::cuda {

constexpr int code_slots = 2;
constexpr int code_sums = coded_tokens_max * tile_rows;  // floats of a warp and a tile: [T][row]

template <WeightFormat first, WeightFormat second>
constexpr int code_weight_bytes =
    code_step_bytes<first> > code_step_bytes<second> ? code_step_bytes<first>
                                                     : code_step_bytes<second>;

__device__ inline void multiply_codes(int (&sum)[4], const CodeWords& a, std::uint32_t b0,
                                      std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// What a lane reads of a step's activations, and whose sums it holds: of token / share, where share
// is how many lanes of a row hold a token's.
template <bool halves>
struct CodeLane {
    static constexpr int share = halves ? 2 : 1;
    const std::uint8_t* bytes;  // its column of the tensor cores
    const std::uint8_t* own;    // of the token whose sums it holds
    std::uint32_t keep;
    __device__ CodeLane(const std::uint8_t* x, int T, int lane) {
        const int column = lane / 4;
        const int q = lane % 4;
        const int token = min(column / (2 * share), T - 1);
        bytes = x + token * coded_bytes + column % 2 * coded_lower + q * 16;
        own = x + min(q / share, T - 1) * coded_bytes;
        keep = !halves || column / 2 % 2 == q / 2 ? ~0U : 0U;
    }
    __device__ uint4 pairs(int pp) const {  // of p = 2 pp and 2 pp + 1
        uint4 b = *reinterpret_cast<const uint4*>(bytes + pp * 64);
        if constexpr (halves) {
            b.x &= keep;
            b.y &= keep;
            b.z &= keep;
            b.w &= keep;
        }
        return b;
    }
    // The sums of the columns that the lane's sums are of, for p = 2 pp and 2 pp + 1.
    __device__ int2 columns(int pp, int lane) const {
        const int4 four = *reinterpret_cast<const int4*>(own + coded_sums + pp * 16);
        if constexpr (halves) return lane % 2 == 0 ? int2{four.x, four.z} : int2{four.y, four.w};
        return {four.x + four.y, four.z + four.w};
    }
    __device__ float scale() const { return *reinterpret_cast<const float*>(own + coded_scale); }
};

// {d, dmin} with the sums of a step's scaled integers.
__device__ inline float step_sum(float2 number, int upper, int lower, int minimum) {
    return number.x * (256.0F * static_cast<float>(upper) + static_cast<float>(lower)) -
           number.y * static_cast<float>(minimum);
}

// {d, m} of 32 columns with the sums of their integers.
template <WeightFormat format>
__device__ inline float block_sum(float2 number, int upper, int lower, int columns) {
    const int sum = 256 * upper + lower - CodeReader<format>::zero * columns;
    const float scaled = number.x * static_cast<float>(sum);
    if constexpr (format != WeightFormat::q4_1) return scaled;
    return scaled + number.y * static_cast<float>(columns);
}

// Adds 256 columns of rows g and g + 8 to a lane's sums.
template <WeightFormat format>
__device__ inline void add_codes(const std::uint8_t* weights, const std::uint8_t* x, int T,
                                 int lane, float (&total)[2]) {
    using Reader = CodeReader<format>;
    Reader reader;
    reader.open(weights, lane);
    const CodeLane<Reader::halves> of(x, T, lane);
    int upper[2] = {};
    int lower[2] = {};
    int minimum[2] = {};
    float part[2] = {};
#pragma unroll
    for (int p = 0; p < 8; ++p) {
        const uint4 b = of.pairs(p / 2);
        const int2 both = of.columns(p / 2, lane);
        const int columns = p % 2 == 0 ? both.x : both.y;
        CodeWords a;
        reader.pair(p, a);
        int sum[4] = {};
        multiply_codes(sum, a, p % 2 == 0 ? b.x : b.z, p % 2 == 0 ? b.y : b.w);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            if constexpr (Reader::integers) {
                const int scale = reader.scale(p, r);
                upper[r] += scale * sum[2 * r];
                lower[r] += scale * sum[2 * r + 1];
                minimum[r] += reader.minimum(p, r) * columns;
            } else {
                part[r] +=
                    block_sum<format>(reader.numbers(p, r), sum[2 * r], sum[2 * r + 1], columns);
            }
        }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        if constexpr (Reader::integers)
            part[r] = step_sum(reader.numbers(r), upper[r], lower[r], minimum[r]);
        total[r] += of.scale() * part[r];
    }
}

// One token leaves columns of the tensor cores free: they take turns at the pairs p, so that after
// `classes` products each lane holds the sums of one of those pairs, and scales no other.
template <bool halves>
struct SpreadLane {
    static constexpr int classes = halves ? 2 : 4;
    const std::uint8_t* bytes;  // of its column's pairs
    const std::uint8_t* own;    // the sums of the columns of the pairs that it holds
    std::uint32_t keep[classes];
    __device__ SpreadLane(const std::uint8_t* x, int lane) {
        const int column = lane / 4;
        const int q = lane % 4;
        const int turn = column * classes / 8;
        bytes = x + column % 2 * coded_lower + q * 16 + turn / 2 * 64 + turn % 2 * 8;
        own = x + coded_sums + (halves ? q / 2 * 8 + q % 2 * 4 : q * 8);
        for (int i = 0; i < classes; ++i)
            keep[i] = turn == i && (!halves || column / 2 % 2 == q / 2) ? ~0U : 0U;
    }
    __device__ uint2 pair(int k) const {
        return *reinterpret_cast<const uint2*>(bytes + k * classes * 32);
    }
    __device__ int columns(int k) const {
        const std::uint8_t* at = own + k * classes * 8;
        if constexpr (halves) return *reinterpret_cast<const int*>(at);
        const int2 two = *reinterpret_cast<const int2*>(at);
        return two.x + two.y;
    }
};

// The same for one token; a row's sum is that of its four lanes.
template <WeightFormat format>
__device__ inline void add_codes_of_one(const std::uint8_t* weights, const std::uint8_t* x,
                                        int lane, float (&total)[2]) {
    using Reader = CodeReader<format>;
    using Lane = SpreadLane<Reader::halves>;
    Reader reader;
    reader.open(weights, lane);
    const Lane of(x, lane);
    const int q = lane % 4;
    int upper[2] = {};
    int lower[2] = {};
    int minimum[2] = {};
    float part[2] = {};
#pragma unroll
    for (int k = 0; k < 8 / Lane::classes; ++k) {
        const uint2 b = of.pair(k);
        int sum[4] = {};
#pragma unroll
        for (int i = 0; i < Lane::classes; ++i) {
            CodeWords a;
            reader.pair(k * Lane::classes + i, a);
            multiply_codes(sum, a, b.x & of.keep[i], b.y & of.keep[i]);
        }
        const int columns = of.columns(k);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            if constexpr (Reader::integers) {
                const int2 scale = reader.spread(k, q, r);
                upper[r] += scale.x * sum[2 * r];
                lower[r] += scale.x * sum[2 * r + 1];
                minimum[r] += scale.y * columns;
            } else {
                part[r] += block_sum<format>(reader.numbers(4 * k + q, r), sum[2 * r],
                                             sum[2 * r + 1], columns);
            }
        }
    }
    const float scale = *reinterpret_cast<const float*>(x + coded_scale);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        if constexpr (Reader::integers)
            part[r] = step_sum(reader.numbers(r), upper[r], lower[r], minimum[r]);
        total[r] += scale * part[r];
    }
}

// A warp's sums of a tile to shared memory: [T][row].
template <WeightFormat format, int tokens>
__device__ inline void leave_codes(float (&total)[2], int lane, float* to) {
    constexpr int share = tokens == 1 ? 4 : CodeLane<CodeReader<format>::halves>::share;
    for (int step = 1; step < share; step *= 2)
        for (int r = 0; r < 2; ++r) total[r] += __shfl_xor_sync(~0U, total[r], step);
    const int token = lane % 4 / share;
    if (lane % share != 0 || token >= tokens) return;
    for (int r = 0; r < 2; ++r) to[token * tile_rows + lane / 4 + 8 * r] = total[r];
}

template <WeightFormat format, int tokens>
__device__ inline void add_step_of(const std::uint8_t* weights, const std::uint8_t* x, int lane,
                                   float (&total)[2]) {
    if constexpr (tokens == 1)
        add_codes_of_one<format>(weights, x, lane, total);
    else
        add_codes<format>(weights, x, tokens, lane, total);
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
    int group = static_cast<int>(blockIdx.x);
    int part;
    int step = 0;
    bool second_format = false;
    bool asked = false;
    bool waited = false;  // what is behind wait_for_previous() may rely on it: see attention.h
    const std::uint8_t* from = nullptr;

    __device__ CodeStream(const DecodeWork& of, int segment, int of_part, int of_lane)
        : work(of),
          begin(of.begin[segment]),
          end(of.begin[segment + 1]),
          lane(of_lane),
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
        group += static_cast<int>(gridDim.x);
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

// The results of a group, by one warp, of the sums that all have left.
__device__ inline void finish_codes(const DecodeWork& work, int group, const float* sums,
                                    int lane) {
    const bool swiglu = work.into == Into::swiglu;
    const DecodeProduct& product = product_of(work, group, 0);
    for (int i = lane; i < work.T * tile_rows; i += 32) {
        const int row = (group - product.first) * tile_rows + i % tile_rows;
        if (row >= product.rows) continue;
        float total = 0.0F;
        float up = 0.0F;
        for (int s = 0; s < work.segments; ++s) {
            total += sums[s * code_sums + i];
            if (swiglu) up += sums[(work.segments + s) * code_sums + i];
        }
        write_value<false>(work, product, i / tile_rows, row, total, up);
    }
}

template <WeightFormat first, WeightFormat second, int tokens>
__global__ void __maxnreg__(80) decode_codes_kernel(const __grid_constant__ DecodeWork work) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int warps = static_cast<int>(blockDim.x) / 32;
    const int part = warp / work.segments;
    constexpr int x_bytes = tokens * coded_bytes;
    constexpr int slot_size = x_bytes + code_weight_bytes<first, second>;
    const int ring_begin = warp * code_slots * slot_size;
    auto* sums = reinterpret_cast<float*>(shared + warps * code_slots * slot_size);
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
    const std::uint64_t policy = read_once_policy();
    CodeStream<first, second> weights(work, warp - part * work.segments, part, lane);
    const int begin = weights.begin;
    const int end = weights.end;
    const auto* x = static_cast<const std::uint8_t*>(work.x);
    const std::uint8_t* x_from = x + begin * x_bytes + lane * 16;
    int x_step = begin;
    const auto fetch_x = [&](int slot) {
        const std::uint32_t to = address + slot + lane * 16;
#pragma unroll
        for (int at = 0; at < x_bytes; at += 512)
            if (at + 512 <= x_bytes || at + lane * 16 < x_bytes)
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + at),
                             "l"(x_from + at)
                             : "memory");
        commit_copies();
        x_from += x_bytes;
        if (++x_step < end) return;
        x_step = begin;
        x_from = x + begin * x_bytes + lane * 16;
    };
    // Not unrolled: see decode_few.
#pragma unroll 1
    for (int i = 0; i < code_slots; ++i)
        weights.fetch(address + ring_begin + i * slot_size + x_bytes, policy);
    wait_for_previous();
    weights.waited = true;
#pragma unroll 1
    for (int i = 0; i < code_slots; ++i) fetch_x(ring_begin + i * slot_size);

    int slot = ring_begin;
    int round = 0;
    for (int group = static_cast<int>(blockIdx.x); group < work.groups;
         group += static_cast<int>(gridDim.x), ++round) {
        // Two sets, so that a warp may go on while another still adds up.
        float* left = sums + round % 2 * warps * code_sums;
        const bool second_format = first != second && product_of(work, group, part).second == 1;
        float total[2] = {};
#pragma unroll 1
        for (int step = begin; step < end; ++step) {
            wait_for_copies<code_slots - 1>();
            __syncwarp();
            const std::uint8_t* here = shared + slot;
            if (!second_format)
                add_step_of<first, tokens>(here + x_bytes, here, lane, total);
            else
                add_step_of<second, tokens>(here + x_bytes, here, lane, total);
            __syncwarp();
            weights.fetch(address + slot + x_bytes, policy);
            fetch_x(slot);
            slot = slot == ring_begin ? ring_begin + slot_size : ring_begin;
        }
        if (!second_format)
            leave_codes<first, tokens>(total, lane, left + warp * code_sums);
        else
            leave_codes<second, tokens>(total, lane, left + warp * code_sums);
        __syncthreads();
        if (warp == round % warps) finish_codes(work, group, left, lane);
    }
}

template <WeightFormat first, WeightFormat second = first>
DecodeKernel decode_codes(DecodeShape shape) {
    const int ring = code_slots * (shape.T * coded_bytes + code_weight_bytes<first, second>);
    const int sums = 2 * code_sums * static_cast<int>(sizeof(float));
    const int warps = shape.segments * (shape.swiglu ? 2 : 1);
    return {shape.T == 1 ? decode_codes_kernel<first, second, 1>
                         : decode_codes_kernel<first, second, 2>,
            static_cast<std::size_t>(warps * (ring + sums)), warps * 32, 1};
}

}  // namespace sluice::cuda
