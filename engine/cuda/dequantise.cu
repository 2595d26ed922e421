// Planes back into numbers, in f32 exactly as engine/model/quant.h gives them, rounded once to f16.
// A warp takes a step of a row tile; each lane writes runs of eight columns, 16 bytes.
#include <cassert>

#include "engine/cuda/launch.cuh"
#include "engine/cuda/weight_layout.cuh"
#include "engine/cuda/weight_reader.cuh"

namespace sluice::cuda {
namespace {

constexpr int dequantise_threads = 256;

// A lane's codes of a step, in registers 16 bytes at a time, as exact f16 less the format's zero.
template <WeightFormat format>
struct Codes {
    const std::uint8_t* at;
    uint4 words;  // of pairs p and p + 1; 8 bits: of pair p
    uint4 high;
    __device__ Codes(const std::uint8_t* step, int lane) : at(step + lane * 16) {}
    __device__ void load(int p) {
        if (!has_nibbles(format))
            words = *reinterpret_cast<const uint4*>(at + p * 512);
        else if (p % 2 == 0)
            words = *reinterpret_cast<const uint4*>(at + p / 2 * 512);
        constexpr int high_at = step_layout(format).high;
        if (format == WeightFormat::q5_k && p == 0)
            high = *reinterpret_cast<const uint4*>(at + high_at);
        if (format == WeightFormat::q6_k && p % 4 == 0)
            high = *reinterpret_cast<const uint4*>(at + high_at + p / 4 * 512);
    }
    // Of pair p of one row (r 0: row g, 1: row g + 8), eight columns in order.
    __device__ NibblePairs read(int p, int r) const {
        const std::uint32_t word = word_of(words, p % 2 * 2 + r);
        if constexpr (format == WeightFormat::q6_k) {
            const std::uint32_t bits = word_of(high, p % 4 / 2 * 2 + r);
            return NibblePairs::read<32>(word, [bits, p](int i) {
                const int right = q6_high_place(p, i) - (i % 2 == 0 ? 4 : 8);
                const std::uint32_t moved = right >= 0 ? bits >> right : bits << -right;
                return moved & (i % 2 == 0 ? 0x00300030U : 0x03000300U);
            });
        } else if constexpr (format == WeightFormat::q5_k) {
            const std::uint32_t bits = word_of(high, p / 4 * 2 + r) >> p % 4 * 4;
            return NibblePairs::read<0>(
                word, [bits](int i) { return (bits >> i & 0x00010001U) << (i % 2 == 0 ? 4 : 8); });
        } else if constexpr (has_nibbles(format)) {
            return NibblePairs::read < format == WeightFormat::q4_0 ? 8 : 0 > (word);
        } else {
            NibblePairs out;
            for (int i = 0; i < 4; ++i)
                out.pair[i] =
                    __hadd2(as_half2(__byte_perm(word_of(words, 2 * r + i / 2), 0x64646464U,
                                                 i % 2 == 0 ? 0x4140U : 0x4342U)),
                            both(-1152.0F));
            return out;
        }
    }
};

struct ScaleAndOffset {
    float scale;
    float offset;  // added
};

// The scales of one row of a step, in registers.
template <WeightFormat format>
struct Scales {
    static constexpr StepLayout layout = step_layout(format);
    static constexpr int words_kept = format == WeightFormat::q6_k ? 2 : layout.scale_bytes / 4;
    std::uint32_t words[words_kept];
    std::uint32_t last;  // q4_k, q5_k: groups 6 and 7
    float d;             // q6_k
    __device__ Scales(const std::uint8_t* step, int row, int q) {
        const std::uint8_t* at = step + layout.scales + row * layout.scale_bytes;
        if constexpr (format == WeightFormat::q6_k) {
            at += q / 2 * 8;
            const auto* all_d =
                reinterpret_cast<const f16*>(step + layout.scales + tile_rows * layout.scale_bytes);
            d = __half2float(all_d[row]);
        }
        for (int w = 0; w < words_kept; w += 2) {
            const uint2 two = *reinterpret_cast<const uint2*>(at + w * 4);
            words[w] = two.x;
            words[w + 1] = two.y;
        }
        if constexpr (format == WeightFormat::q4_k || format == WeightFormat::q5_k) {
            last = last_scales(words[1], words[2], words[3]);
        }
    }
    __device__ static float2 halves(std::uint32_t word) { return __half22float2(as_half2(word)); }
    __device__ ScaleAndOffset of(int p) const {
        if constexpr (format == WeightFormat::q4_k || format == WeightFormat::q5_k) {
            const std::uint32_t word = (p < 6 ? words[1 + p / 2] : last) >> (4 + p % 2 * 6);
            const float2 both_d = halves(words[0]);
            return {both_d.x * static_cast<float>(word & 63U),
                    -both_d.y * static_cast<float>(word >> 16 & 63U)};
        } else if constexpr (format == WeightFormat::q6_k) {
            const auto scale = static_cast<std::int8_t>(words[p / 4] >> p % 4 * 8 & 255U);
            return {d * static_cast<float>(scale), 0.0F};
        } else if constexpr (format == WeightFormat::q4_1) {
            const float2 one = halves(words[p]);
            return {one.x, one.y};
        } else {
            const float2 two = halves(words[p / 2]);
            return {p % 2 == 0 ? two.x : two.y, 0.0F};
        }
    }
};

// Eight weights as f16, in columns' order.
__device__ inline uint4 numbers(const NibblePairs& code, ScaleAndOffset of) {
    __half2 pair[4];
    for (int i = 0; i < 4; ++i) {
        const float2 two = __half22float2(code.pair[i]);
        pair[i] = __floats2half2_rn(of.scale * two.x + of.offset, of.scale * two.y + of.offset);
    }
    return {bits_of(pair[0]), bits_of(pair[1]), bits_of(pair[2]), bits_of(pair[3])};
}

// Saturating here would hide a broken file, so what f16 cannot hold becomes infinity, as in
// engine/model/quant.h.
template <WeightFormat format>
__global__ void __launch_bounds__(dequantise_threads)
    dequantise_kernel(Matrix matrix, int row_begin, int row_count, f16* out) {
    wait_for_previous();
    let_next_start();
    constexpr StepLayout layout = step_layout(format);
    const int steps = steps_of(format, matrix.columns);
    const int first_tile = row_begin / tile_rows;
    const int tiles = (row_begin + row_count - 1) / tile_rows - first_tile + 1;
    const std::int64_t warp = (std::int64_t{blockIdx.x} * dequantise_threads + threadIdx.x) / 32;
    if (warp >= std::int64_t{tiles} * steps) return;
    const int tile = first_tile + static_cast<int>(warp / steps);
    const int step_index = static_cast<int>(warp % steps);
    const std::uint8_t* step =
        matrix.planes + (std::int64_t{tile} * steps + step_index) * layout.bytes;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Codes<format> codes(step, lane);
    const Scales<format> scales[2] = {{step, lane / 4, lane % 4}, {step, lane / 4 + 8, lane % 4}};
#pragma unroll
    for (int p = 0; p < layout.columns / 32; ++p) {
        const int column = step_index * layout.columns + 32 * p + lane % 4 * 8;
        if (column >= matrix.columns) break;
        codes.load(p);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            const int row = tile * tile_rows + lane / 4 + 8 * r - row_begin;
            if (row < 0 || row >= row_count) continue;
            *reinterpret_cast<uint4*>(out + std::int64_t{row} * matrix.columns + column) =
                numbers(codes.read(p, r), scales[r].of(p));
        }
    }
}

// Plain rows: four codes a thread.
__global__ void __launch_bounds__(dequantise_threads)
    widen_fp8_kernel(const std::uint32_t* codes, std::int64_t words, uint2* out) {
    wait_for_previous();
    let_next_start();
    const std::int64_t i = std::int64_t{blockIdx.x} * dequantise_threads + threadIdx.x;
    if (i >= words) return;
    out[i] = uint2{bits_of(halves_of_fp8<false>(codes[i])), bits_of(halves_of_fp8<true>(codes[i]))};
}

void dequantise_plain(const Matrix& matrix, int row_begin, int row_count, f16* out,
                      cudaStream_t stream) {
    const std::int64_t first = std::int64_t{row_begin} * matrix.columns;
    const std::int64_t count = std::int64_t{row_count} * matrix.columns;
    if (count == 0) return;
    if (matrix.format == WeightFormat::f16) {
        check(cudaMemcpyAsync(out, matrix.planes + first * 2, static_cast<std::size_t>(count) * 2,
                              cudaMemcpyDeviceToDevice, stream));
        return;
    }
    const auto grid =
        static_cast<unsigned>((count / 4 + dequantise_threads - 1) / dequantise_threads);
    launch(widen_fp8_kernel, dim3(grid), dim3(dequantise_threads), 0, stream,
           reinterpret_cast<const std::uint32_t*>(matrix.planes + first), count / 4,
           reinterpret_cast<uint2*>(out));
}

template <WeightFormat format>
void launch_dequantise(const Matrix& matrix, int row_begin, int row_count, f16* out,
                       cudaStream_t stream) {
    if (row_count == 0) return;
    const int tiles = (row_begin + row_count - 1) / tile_rows - row_begin / tile_rows + 1;
    const std::int64_t threads = std::int64_t{tiles} * steps_of(format, matrix.columns) * 32;
    const auto grid =
        static_cast<unsigned>((threads + dequantise_threads - 1) / dequantise_threads);
    launch(dequantise_kernel<format>, dim3(grid), dim3(dequantise_threads), 0, stream, matrix,
           row_begin, row_count, out);
}

}  // namespace

void dequantise(const Matrix& matrix, int row_begin, int row_count, f16* out, cudaStream_t stream) {
    const auto go = [&]<WeightFormat format>() {
        launch_dequantise<format>(matrix, row_begin, row_count, out, stream);
    };
    switch (matrix.format) {
        case WeightFormat::bf16:
            assert(false);
            return;
        case WeightFormat::f16:
        case WeightFormat::fp8_e4m3:
            return dequantise_plain(matrix, row_begin, row_count, out, stream);
        case WeightFormat::q8_0:
            return go.template operator()<WeightFormat::q8_0>();
        case WeightFormat::q4_0:
            return go.template operator()<WeightFormat::q4_0>();
        case WeightFormat::q4_1:
            return go.template operator()<WeightFormat::q4_1>();
        case WeightFormat::q4_k:
            return go.template operator()<WeightFormat::q4_k>();
        case WeightFormat::q5_k:
            return go.template operator()<WeightFormat::q5_k>();
        case WeightFormat::q6_k:
            return go.template operator()<WeightFormat::q6_k>();
    }
}

}  // namespace sluice::cuda
