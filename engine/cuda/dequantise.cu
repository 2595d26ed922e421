// Planes back into numbers, in f32 exactly as engine/model/quant.h gives them, rounded once to f16.
// A warp takes a step of a row tile; each lane writes runs of eight columns, 16 bytes.
#include <cassert>

#include "engine/cuda/launch.cuh"
#include "engine/cuda/weight_layout.cuh"
#include "engine/cuda/weight_reader.cuh"

namespace sluice::cuda {
namespace {

constexpr int dequantise_threads = 256;

// The codes of a lane's eight columns of pair p of one row (r 0: row g, 1: row g + 8), less the
// format's zero.
template <WeightFormat format>
__device__ void read_codes(const std::uint8_t* step, int lane, int p, int r, int (&code)[8]) {
    constexpr StepLayout layout = step_layout(format);
    if constexpr (has_nibbles(format)) {
        const auto word = *reinterpret_cast<const std::uint32_t*>(step + p / 2 * 512 + lane * 16 +
                                                                  p % 2 * 8 + r * 4);
        std::uint32_t high = 0;
        if constexpr (format == WeightFormat::q5_k)
            high = *reinterpret_cast<const std::uint32_t*>(step + layout.high + lane * 16 +
                                                           p / 4 * 8 + r * 4);
        if constexpr (format == WeightFormat::q6_k)
            high = *reinterpret_cast<const std::uint32_t*>(step + layout.high + p / 4 * 512 +
                                                           lane * 16 + p % 4 / 2 * 8 + r * 4);
        constexpr int zero = format == WeightFormat::q4_0   ? 8
                             : format == WeightFormat::q6_k ? 32
                                                            : 0;
        for (int i = 0; i < 8; ++i) {
            std::uint32_t bits = word >> 4 * (i / 2 + i % 2 * 4) & 15U;
            if constexpr (format == WeightFormat::q5_k)
                bits |= (high >> (p % 4 * 4 + i / 2 + i % 2 * 16) & 1U) << 4;
            if constexpr (format == WeightFormat::q6_k)
                bits |= (high >> (q6_high_place(p, i / 2) + i % 2 * 16) & 3U) << 4;
            code[i] = static_cast<int>(bits) - zero;
        }
    } else {
        const auto words = *reinterpret_cast<const uint2*>(step + p * 512 + lane * 16 + r * 8);
        for (int i = 0; i < 8; ++i)
            code[i] = static_cast<int>((i < 4 ? words.x : words.y) >> i % 4 * 8 & 255U) - 128;
    }
}

struct ScaleAndOffset {
    float scale;
    float offset;  // added
};

template <WeightFormat format>
__device__ ScaleAndOffset read_scale(const std::uint8_t* step, int row, int p, int q) {
    constexpr StepLayout layout = step_layout(format);
    const std::uint8_t* at = step + layout.scales + row * layout.scale_bytes;
    const auto* halves = reinterpret_cast<const f16*>(at);
    if constexpr (format == WeightFormat::q4_k || format == WeightFormat::q5_k) {
        const auto* words = reinterpret_cast<const std::uint32_t*>(at);
        std::uint32_t word = 0;
        if (p < 6) {
            word = words[1 + p / 2];
        } else {
            for (int w = 0; w < 3; ++w) word |= (words[1 + w] >> 12 & 0x000F000FU) << 4 * w;
        }
        word >>= p % 2 * 6;
        return {__half2float(halves[0]) * static_cast<float>(word & 63U),
                -__half2float(halves[1]) * static_cast<float>(word >> 16 & 63U)};
    }
    if constexpr (format == WeightFormat::q6_k) {
        const auto* d =
            reinterpret_cast<const f16*>(step + layout.scales + tile_rows * layout.scale_bytes);
        const auto scale = static_cast<std::int8_t>(at[q / 2 * 8 + p]);
        return {__half2float(d[row]) * static_cast<float>(scale), 0.0F};
    }
    if constexpr (format == WeightFormat::q4_1)
        return {__half2float(halves[2 * p]), __half2float(halves[2 * p + 1])};
    return {__half2float(halves[p]), 0.0F};
}

// Eight weights as f16, in columns' order.
template <WeightFormat format>
__device__ uint4 read_eight(const std::uint8_t* step, int lane, int p, int r) {
    __half2 pair[4];
    int code[8];
    read_codes<format>(step, lane, p, r, code);
    const auto [scale, offset] = read_scale<format>(step, lane / 4 + 8 * r, p, lane % 4);
    for (int i = 0; i < 4; ++i)
        pair[i] = __floats2half2_rn(scale * static_cast<float>(code[2 * i]) + offset,
                                    scale * static_cast<float>(code[2 * i + 1]) + offset);
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
#pragma unroll
    for (int p = 0; p < layout.columns / 32; ++p) {
        const int column = step_index * layout.columns + 32 * p + lane % 4 * 8;
        if (column >= matrix.columns) break;
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            const int row = tile * tile_rows + lane / 4 + 8 * r - row_begin;
            if (row < 0 || row >= row_count) continue;
            *reinterpret_cast<uint4*>(out + std::int64_t{row} * matrix.columns + column) =
                read_eight<format>(step, lane, p, r);
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
    const auto two = [&](int selector) {
        const __half2 value = as_half2(half_bits_of_fp8(__byte_perm(codes[i], 0, selector)));
        return bits_of(__hmul2(value, both(256.0F)));
    };
    out[i] = uint2{two(0x1404), two(0x3424)};
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
