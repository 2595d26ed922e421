// matmul_codes of two to eight tokens.
//
// An even column of the tensor cores' eight has a token's upper bytes and an odd one its lower, so
// that four tokens are one product (for q6_k two: a column has half of each 32 columns and zeros
// for the others, because its scales are of 16).
//
// A block keeps the activations of its part of the columns in shared memory. Its warps are teams;
// a team takes row tile after row tile, its warps share the part's columns, for SwiGLU half of
// them of gate and half of up, and each streams its weights through a ring of its own. What a warp
// reads of tokens beyond T only reaches sums that nobody reads.
#pragma once

#include "engine/cuda/code_stream.cuh"
#include "engine/cuda/matmul_codes_several.h"

namespace sluice::cuda {

// Codes less this are what is multiplied.
template <WeightFormat format>
constexpr int code_zero = format == WeightFormat::q8_0   ? 128
                          : format == WeightFormat::q6_k ? 32
                          : format == WeightFormat::q4_0 ? 8
                                                         : 0;
template <WeightFormat format>
constexpr bool has_minimum =
    format == WeightFormat::q4_k || format == WeightFormat::q5_k || format == WeightFormat::q4_1;

// Products of the tensor cores that a pair of columns takes, and the tokens of each.
template <WeightFormat format>
constexpr int lanes_of_token = CodeReader<format>::halves ? 2 : 1;
template <WeightFormat format>
constexpr int tokens_each = 4 / lanes_of_token<format>;
template <WeightFormat format, int quads>
constexpr int products_of = quads* lanes_of_token<format>;

// Of rows g and g + 8, of one token of each product.
template <WeightFormat format, int quads>
using SeveralTotals = float[products_of<format, quads>][2];

template <WeightFormat format>
__device__ inline void multiply_centred(int (&sum)[4], const CodeWords& a, std::uint32_t b0,
                                        std::uint32_t b1) {
    if constexpr (code_zero<format> == 0)
        multiply_codes(sum, a, b0, b1);
    else
        multiply_signed_codes(sum, a, b0, b1);
}

// Unsigned bytes below 2 zero to signed ones, zero less: no byte's addition reaches the next one.
template <WeightFormat format>
__device__ inline void centre(CodeWords& a) {
    constexpr std::uint32_t more = (128 - code_zero<format>)*0x01010101U;
    if constexpr (code_zero < format >> 0)
        for (std::uint32_t& word : a) word = (word + more) ^ 0x80808080U;
}

// Minimums of rows g (0, 1) and g + 8 (2, 3) times the sums of columns over coded_halves_unit; of
// the lane's token of the first product and of the second.
template <WeightFormat format, int quads>
__device__ inline void add_minimums(const CodeReader<format>& reader, const std::uint8_t* x,
                                    int lane, float (&sum)[4]) {
    const int column = lane / 4;
    const int token = column / 2 + (quads == 2 ? column % 2 * 4 : 0);
    const uint2 b =
        *reinterpret_cast<const uint2*>(x + token * coded_bytes + coded_halves + lane % 4 * 8);
    const uint2 upper = reader.minimums(lane % 4, 0), lower = reader.minimums(lane % 4, 1);
    const std::uint32_t a[4] = {upper.x, lower.x, upper.y, lower.y};
    multiply<false>(sum, a, b.x, b.y);
}

// Adds 256 columns.
template <WeightFormat format, int quads>
__device__ inline void add_several(const std::uint8_t* weights, const std::uint8_t* x, int lane,
                                   SeveralTotals<format, quads>& total) {
    using Reader = CodeReader<format>;
    constexpr int share = lanes_of_token<format>;
    constexpr int apart = tokens_each<format> * coded_bytes;  // from a product's tokens to the next
    constexpr int products = products_of<format, quads>;
    Reader reader;
    reader.open(weights, lane);
    const int column = lane / 4;
    const int q = lane % 4;
    const std::uint8_t* bytes =
        x + column / (2 * share) * coded_bytes + column % 2 * coded_lower + q * 16;
    const std::uint32_t keep = share == 1 || column / 2 % 2 == q / 2 ? ~0U : 0U;
    int upper[products][2] = {};
    int lower[products][2] = {};
    float part[products][2] = {};
    uint4 b[products];
#pragma unroll
    for (int p = 0; p < 8; ++p) {
        CodeWords a;
        reader.pair(p, a);
        centre<format>(a);
#pragma unroll
        for (int i = 0; i < products; ++i) {
            if (p % 2 == 0) b[i] = *reinterpret_cast<const uint4*>(bytes + i * apart + p / 2 * 64);
            const std::uint32_t b0 = p % 2 == 0 ? b[i].x : b[i].z;
            const std::uint32_t b1 = p % 2 == 0 ? b[i].y : b[i].w;
            int sum[4] = {};
            multiply_centred<format>(sum, a, share == 1 ? b0 : b0 & keep,
                                     share == 1 ? b1 : b1 & keep);
#pragma unroll
            for (int r = 0; r < 2; ++r) {
                if constexpr (Reader::integers) {
                    const int scale = reader.scale(p, r);
                    upper[i][r] += scale * sum[2 * r];
                    lower[i][r] += scale * sum[2 * r + 1];
                } else {
                    part[i][r] += reader.numbers(p, r).x *
                                  static_cast<float>(256 * sum[2 * r] + sum[2 * r + 1]);
                }
            }
        }
    }
    float minimum[4] = {};
    if constexpr (has_minimum<format>) add_minimums<format, quads>(reader, x, lane, minimum);
#pragma unroll
    for (int i = 0; i < products; ++i) {
        const std::uint8_t* own = x + q / share * coded_bytes + i * apart;
        const float scale = *reinterpret_cast<const float*>(own + coded_scale);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            float lift = coded_halves_unit;
            if constexpr (Reader::integers) {
                const float2 number = reader.numbers(r);
                part[i][r] = number.x * (256.0F * static_cast<float>(upper[i][r]) +
                                         static_cast<float>(lower[i][r]));
                lift *= -number.y;
            }
            if constexpr (has_minimum<format>) part[i][r] += lift * minimum[2 * r + i];
            total[i][r] += scale * part[i][r];
        }
    }
}

// Floats of a warp: [token][row].
template <int quads>
constexpr int several_sums = quads * 4 * tile_rows;

// A warp's sums of its columns of a row tile to shared memory.
template <WeightFormat format, int quads, class Stream>
__device__ inline void add_tile(const Stream& weights, const std::uint8_t* x, int lane, float* to) {
    constexpr int share = lanes_of_token<format>;
    SeveralTotals<format, quads> total = {};
    weights([&](const std::uint8_t* step_weights, int step) {
        add_several<format, quads>(step_weights, x + step * coded_bytes, lane, total);
    });
#pragma unroll
    for (int i = 0; i < products_of<format, quads>; ++i)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            float value = total[i][r];
            if constexpr (share == 2) value += __shfl_xor_sync(~0U, value, 1);
            const int token = i * tokens_each<format> + lane % 4 / share;
            if (lane % share == 0) to[token * tile_rows + lane / 4 + 8 * r] = value;
        }
}

// What becomes of the sums that a team has left, by one of its warps.
template <int quads>
__device__ inline void finish_team(const SeveralWork& work, int group, int part, const float* sums,
                                   int lane) {
    const DecodeWork& decode = work.decode;
    const bool swiglu = decode.into == Into::swiglu;
    const DecodeProduct& product = product_of(decode, group, 0);
    const int left_rows = swiglu ? 2 * tile_rows : tile_rows;
    float* left = decode.partial +
                  (static_cast<std::int64_t>(group) * work.parts + part) * decode.T * left_rows;
    for (int i = lane; i < decode.T * tile_rows; i += 32) {
        const int token = i / tile_rows;
        const int row = (group - product.first) * tile_rows + i % tile_rows;
        float total = 0.0F;
        float up = 0.0F;
        for (int s = 0; s < work.splits; ++s) {
            total += sums[s * several_sums<quads> + i];
            if (swiglu) up += sums[(work.splits + s) * several_sums<quads> + i];
        }
        if (decode.partial != nullptr) {
            left[token * left_rows + i % tile_rows] = total;
            if (swiglu) left[token * left_rows + tile_rows + i % tile_rows] = up;
        } else if (row < product.rows) {
            write_value<false>(decode, product, token, row, total, up);
        }
    }
}

__device__ inline void meet_team(int team, int warps) {
    if (warps == 1)
        __syncwarp();
    else
        asm volatile("bar.sync %0, %1;" ::"r"(1 + team), "r"(warps * 32) : "memory");
}

// A block's part of the activations, once.
__device__ inline void fetch_part(const DecodeWork& work, int first_step, int end_step,
                                  std::uint32_t to) {
    const int step_bytes = work.T * coded_bytes;
    const auto* from = static_cast<const std::uint8_t*>(work.x) +
                       static_cast<std::int64_t>(first_step) * step_bytes;
    const int bytes = (end_step - first_step) * step_bytes;
#pragma unroll 1
    for (int at = static_cast<int>(threadIdx.x) * 16; at < bytes;
         at += static_cast<int>(blockDim.x) * 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + at), "l"(from + at)
                     : "memory");
    commit_copies();
}

// Where registers, and beside its wider steps shared memory, are enough for no more.
template <WeightFormat first, WeightFormat second>
constexpr int several_warps = first == WeightFormat::q6_k || second == WeightFormat::q6_k ? 16 : 20;

template <WeightFormat first, WeightFormat second, int quads>
__global__ void __launch_bounds__(several_warps<first, second> * 32, 1)
    codes_several_kernel(const __grid_constant__ SeveralWork work) {
    extern __shared__ __align__(128) std::uint8_t shared[];
    const DecodeWork& decode = work.decode;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int warps = static_cast<int>(blockDim.x) / 32;
    const int team_warps = work.splits * (decode.into == Into::swiglu ? 2 : 1);
    const int team = warp / team_warps;
    const int member = warp % team_warps;
    const int side = member / work.splits;
    const int part = static_cast<int>(blockIdx.x) % work.parts;
    const int blocks = static_cast<int>(gridDim.x) / work.parts;  // that have the same part
    const int first_step = decode.begin[part * work.splits];
    constexpr int slot_size = code_weight_bytes<first, second>;
    const int ring_begin = work.x_room + warp * code_slots * slot_size;
    auto* sums = reinterpret_cast<float*>(shared + work.x_room + warps * code_slots * slot_size);
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
    const std::uint64_t policy = read_once_policy();
    const int stride = blocks * work.teams;
    int group = static_cast<int>(blockIdx.x) / work.parts + blocks * team;
    CodeStream<first, second> weights(decode, part * work.splits + member % work.splits, side, lane,
                                      group, stride);
    const int begin = weights.begin;
    const int end = weights.end;
    // Not unrolled: see decode_few.
#pragma unroll 1
    for (int i = 0; i < code_slots; ++i) {
        weights.fetch(address + ring_begin + i * slot_size, policy);
        commit_copies();
    }
    wait_for_previous();
    weights.waited = true;
    fetch_part(decode, first_step, decode.begin[(part + 1) * work.splits], address);
    wait_for_copies<0>();
    __syncthreads();

    int slot = ring_begin;
    const auto each_step = [&](auto add) {
#pragma unroll 1
        for (int step = begin; step < end; ++step) {
            wait_for_copies<code_slots - 1>();
            __syncwarp();
            add(shared + slot, (step - first_step) * decode.T);
            __syncwarp();
            weights.fetch(address + slot, policy);
            commit_copies();
            slot = slot == ring_begin ? ring_begin + slot_size : ring_begin;
        }
    };
    for (int round = 0; group < decode.groups; group += stride, ++round) {
        // Two sets, so that a warp may go on while another still adds up.
        float* left = sums + (round % 2 * warps + team * team_warps) * several_sums<quads>;
        float* mine = left + member * several_sums<quads>;
        if (first == second || product_of(decode, group, side).second == 0)
            add_tile<first, quads>(each_step, shared, lane, mine);
        else
            add_tile<second, quads>(each_step, shared, lane, mine);
        meet_team(team, team_warps);
        if (member == round % team_warps) finish_team<quads>(work, group, part, left, lane);
        if (team_warps == 1) __syncwarp();
    }
}

template <WeightFormat first, WeightFormat second = first>
SeveralKernel codes_several(int T) {
    constexpr int warps = several_warps<first, second>;
    constexpr int ring = code_slots * code_weight_bytes<first, second>;
    constexpr int sums = 2 * static_cast<int>(sizeof(float)) * several_sums<1>;
    if (T <= 4) return {codes_several_kernel<first, second, 1>, 4, warps, ring + sums};
    return {codes_several_kernel<first, second, 2>, 8, warps, ring + 2 * sums};
}

}  // namespace sluice::cuda
