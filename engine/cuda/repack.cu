// Blocks of the file into planes. All that belongs to one row stands in words of its own, and a
// thread writes whole words of one row, so that row ranges may be any. Runs once, at load.
#include <algorithm>

#include "engine/cuda/launch.cuh"
#include "engine/cuda/weight_layout.cuh"

namespace sluice::cuda {
namespace {

constexpr int repack_threads = 128;

struct BlockShape {
    int weights;
    int bytes;
};

constexpr BlockShape block_shape(WeightFormat format) {
    switch (format) {
        case WeightFormat::bf16:
        case WeightFormat::f16:
            return {1, 2};
        case WeightFormat::fp8_e4m3:
            return {1, 1};
        case WeightFormat::q8_0:
            return {32, 34};
        case WeightFormat::q4_0:
            return {32, 18};
        case WeightFormat::q4_1:
            return {32, 20};
        case WeightFormat::q4_k:
            return {256, 144};
        case WeightFormat::q5_k:
            return {256, 176};
        case WeightFormat::q6_k:
            return {256, 210};
    }
    return {};
}

// One row's share of a step, as the file has it. Block layouts: engine/model/quant.cc.
template <WeightFormat format>
struct Source {
    const std::uint8_t* row;
    int columns;

    __device__ const std::uint8_t* block_of(int column) const {
        return row + static_cast<std::size_t>(column / block_shape(format).weights) *
                         block_shape(format).bytes;
    }
    __device__ std::uint32_t u16(const std::uint8_t* at) const { return at[0] | at[1] << 8; }

    // The code's bits as they are stored in the planes.
    __device__ std::uint32_t code(int column) const {
        if (column >= columns) return 0;
        const std::uint8_t* block = block_of(column);
        const int i = column % block_shape(format).weights;
        if constexpr (format == WeightFormat::q8_0) return block[2 + i] ^ 0x80U;
        if constexpr (format == WeightFormat::q4_0 || format == WeightFormat::q4_1) {
            const int header = format == WeightFormat::q4_0 ? 2 : 4;
            return block[header + i % 16] >> i / 16 * 4 & 15U;
        }
        if constexpr (format == WeightFormat::q4_k)
            return block[16 + i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15U;
        if constexpr (format == WeightFormat::q5_k) {
            const std::uint32_t nibble = block[48 + i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15U;
            return nibble | (block[16 + i % 32] >> i / 32 & 1U) << 4;
        }
        if constexpr (format == WeightFormat::q6_k) {
            const int half = i / 128;
            const int part = i / 32 % 4;
            const std::uint32_t nibble =
                block[half * 64 + part % 2 * 32 + i % 32] >> part / 2 * 4 & 15U;
            return nibble | (block[128 + half * 32 + i % 32] >> part * 2 & 3U) << 4;
        }
        return 0;
    }
    // The 16-bit header `index` of the block.
    __device__ std::uint32_t header(int column, int index) const {
        return column < columns ? u16(block_of(column) + 2 * index) : 0;
    }
};

__device__ void store(std::uint8_t* at, std::uint32_t word) {
    *reinterpret_cast<std::uint32_t*>(at) = word;
}

// The 6-bit scale (low half) and minimum (high half) of group p of a q4_k or q5_k block.
__device__ std::uint32_t k_scale(const std::uint8_t* packed, int p) {
    if (p < 4) return (packed[p] & 63U) | (packed[p + 4] & 63U) << 16;
    const std::uint32_t scale = (packed[p + 4] & 15U) | packed[p - 4] >> 6 << 4;
    const std::uint32_t minimum = packed[p + 4] >> 4 | packed[p] >> 6 << 4;
    return scale | minimum << 16;
}

template <WeightFormat format>
__device__ void store_scales(const Source<format>& from, int first, std::uint8_t* step, int row) {
    constexpr StepLayout layout = step_layout(format);
    std::uint8_t* to = step + layout.scales + row * layout.scale_bytes;
    if constexpr (format == WeightFormat::q4_0 || format == WeightFormat::q8_0) {
        for (int p = 0; p < layout.columns / 32; p += 2)
            store(to + 2 * p, from.header(first + 32 * p, 0) | from.header(first + 32 * (p + 1), 0)
                                                                   << 16);
    } else if constexpr (format == WeightFormat::q4_1) {
        for (int p = 0; p < layout.columns / 32; ++p)
            store(to + 4 * p, from.header(first + 32 * p, 0) | from.header(first + 32 * p, 1)
                                                                   << 16);
    } else if constexpr (format == WeightFormat::q4_k || format == WeightFormat::q5_k) {
        const std::uint8_t* block = from.block_of(first);
        store(to, from.header(first, 0) | from.header(first, 1) << 16);
        const auto two = [block](int p) {
            return k_scale(block + 4, p) << 4 | k_scale(block + 4, p + 1) << 10;
        };
        const std::uint32_t last = two(6);
        for (int w = 0; w < 3; ++w)
            store(to + 4 + 4 * w, two(2 * w) | (last >> (4 * w + 4) & 0x000F000FU));
    } else if constexpr (format == WeightFormat::q6_k) {
        const std::uint8_t* block = from.block_of(first);
        for (int i = 0; i < 16; ++i) to[i % 2 * 8 + i / 2] = block[192 + i];
        auto* d =
            reinterpret_cast<std::uint16_t*>(step + layout.scales + tile_rows * layout.scale_bytes);
        d[row] = static_cast<std::uint16_t>(from.header(first, 104));
    }
}

// The codes of the eight columns from `column` of pair p, for lane quarter q.
template <WeightFormat format>
__device__ void store_codes(const Source<format>& from, int column, std::uint8_t* step, int row,
                            int p, int q) {
    const int lane = row % 8 * 4 + q;
    const int upper = row / 8;
    if constexpr (has_nibbles(format)) {
        std::uint32_t word = 0;
        for (int i = 0; i < 8; ++i)
            word |= (from.code(column + i) & 15U) << 4 * (i / 2 + i % 2 * 4);
        store(step + p / 2 * 512 + lane * 16 + p % 2 * 8 + upper * 4, word);
    } else {
        std::uint32_t words[2] = {0, 0};
        for (int i = 0; i < 8; ++i) words[i / 4] |= from.code(column + i) << 8 * (i % 4);
        for (int w = 0; w < 2; ++w) store(step + p * 512 + lane * 16 + upper * 8 + w * 4, words[w]);
    }
}

// The bits above the nibbles, of all pairs of the step, for lane quarter q.
template <WeightFormat format>
__device__ void store_high(const Source<format>& from, int first, std::uint8_t* step, int row,
                           int q) {
    std::uint8_t* to = step + step_layout(format).high + (row % 8 * 4 + q) * 16 + row / 8 * 4;
    std::uint32_t word = 0;
    for (int p = 0; p < 8; ++p) {
        for (int i = 0; i < 8; ++i) {
            const std::uint32_t bits = from.code(first + 32 * p + 8 * q + i) >> 4;
            if constexpr (format == WeightFormat::q5_k)
                word |= bits << (4 * (p % 4) + i / 2 + i % 2 * 16);
            else
                word |= bits << (q6_high_place(p, i / 2) + i % 2 * 16);
        }
        if (format == WeightFormat::q5_k && p % 4 == 3) {
            store(to + p / 4 * 8, word);
            word = 0;
        }
        if (format == WeightFormat::q6_k && p % 2 == 1) {
            store(to + p / 4 * 512 + p % 4 / 2 * 8, word);
            word = 0;
        }
    }
}

// unpermuted_row of engine/model/network.h.
__device__ int placed_row(int row, RowOrder order) {
    if (order.head_dim == 0) return row;
    const int within = row % order.head_dim;
    if (within >= order.rope_dims) return row;
    return row - within + within % 2 * (order.rope_dims / 2) + within / 2;
}

// The row of the file that placed_row() puts at `row`.
__device__ int row_placed_at(int row, RowOrder order) {
    if (order.head_dim == 0) return row;
    const int within = row % order.head_dim;
    if (within >= order.rope_dims) return row;
    const int half = order.rope_dims / 2;
    return row - within + within % half * 2 + within / half;
}

constexpr int steps_staged = 4;  // whose share of 16 rows a block holds in shared memory

constexpr int staged_bytes(WeightFormat format) {  // of one row's share of a step, in the file
    return step_layout(format).columns / block_shape(format).weights * block_shape(format).bytes;
}

// What the threads of a block fill of one step, in the order of its bytes, so that a warp's stores
// lie side by side. rows[r]: row r of the tile as the file has it, nullptr for one not here.
template <WeightFormat format>
__device__ void fill_step(const std::uint8_t* const* rows, int columns, int first,
                          std::uint8_t* step) {
    constexpr StepLayout layout = step_layout(format);
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < tile_rows * 4 * (layout.columns / 32); i += repack_threads) {
        int row, p, q;
        if constexpr (has_nibbles(format)) {
            row = (i >> 4 & 7) + (i & 1) * 8;
            p = (i >> 7) * 2 + (i >> 1 & 1);
            q = i >> 2 & 3;
        } else {
            row = (i >> 3 & 7) + (i & 1) * 8;
            p = i >> 6;
            q = i >> 1 & 3;
        }
        if (rows[row] == nullptr) continue;
        const Source<format> from{rows[row], columns};
        store_codes(from, first + 32 * p + 8 * q, step, row, p, q);
    }
    if constexpr (layout.high != 0)
        for (int i = thread; i < tile_rows * 4; i += repack_threads) {
            const int row = (i >> 3) + (i & 1) * 8;
            if (rows[row] == nullptr) continue;
            store_high(Source<format>{rows[row], columns}, first, step, row, i >> 1 & 3);
        }
    for (int row = thread; row < tile_rows; row += repack_threads)
        if (rows[row] != nullptr)
            store_scales(Source<format>{rows[row], columns}, first, step, row);
}

// One block a tile and steps_staged of its steps: the file's bytes come into shared memory as they
// lie, two at a time, as all blocks have even sizes, and leave in the order of the planes.
template <WeightFormat format>
__global__ void __launch_bounds__(repack_threads)
    repack_kernel(Matrix matrix, const std::uint8_t* blocks, int row_begin, int row_count,
                  RowOrder order, int tile_begin) {
    constexpr StepLayout layout = step_layout(format);
    constexpr int pitch = staged_bytes(format) * steps_staged;
    __shared__ alignas(16) std::uint8_t staged[tile_rows * pitch];
    __shared__ const std::uint8_t* rows[tile_rows];
    const int steps = steps_of(format, matrix.columns);
    const int tile = tile_begin + static_cast<int>(blockIdx.x);
    const int step_begin = static_cast<int>(blockIdx.y) * steps_staged;
    const std::int64_t row_bytes =
        std::int64_t{matrix.columns} / block_shape(format).weights * block_shape(format).bytes;
    const std::int64_t offset = std::int64_t{step_begin} * staged_bytes(format);
    const int words = static_cast<int>(min(std::int64_t{pitch}, row_bytes - offset)) / 2;

    for (int i = static_cast<int>(threadIdx.x); i < tile_rows * (pitch / 2); i += repack_threads) {
        const int r = i / (pitch / 2);
        const int word = i % (pitch / 2);
        const int row = tile * tile_rows + r;
        const int from_row = row_placed_at(row, order) - row_begin;
        const bool here = row < matrix.rows && from_row >= 0 && from_row < row_count;
        if (word == 0) rows[r] = here ? staged + r * pitch : nullptr;
        if (here && word < words)
            reinterpret_cast<std::uint16_t*>(staged + r * pitch)[word] =
                reinterpret_cast<const std::uint16_t*>(blocks + from_row * row_bytes +
                                                       offset)[word];
    }
    __syncthreads();
    const int columns = matrix.columns - step_begin * layout.columns;
    for (int s = 0; s < steps_staged && step_begin + s < steps; ++s)
        fill_step<format>(
            rows, columns, s * layout.columns,
            matrix.planes + (std::int64_t{tile} * steps + step_begin + s) * layout.bytes);
}

// Rows of plain numbers, two bytes a thread: nothing is known of where the file's rows are aligned.
__global__ void __launch_bounds__(repack_threads)
    copy_rows_kernel(Matrix matrix, const std::uint16_t* rows, int row_begin, int row_words,
                     RowOrder order) {
    const int from_row = static_cast<int>(blockIdx.x);
    const int row = placed_row(row_begin + from_row, order);
    auto* to = reinterpret_cast<std::uint16_t*>(matrix.planes) + std::int64_t{row} * row_words;
    const std::uint16_t* from = rows + std::int64_t{from_row} * row_words;
    for (int i = static_cast<int>(threadIdx.x); i < row_words; i += repack_threads) to[i] = from[i];
}

template <WeightFormat format>
void launch_repack(const Matrix& matrix, const std::uint8_t* blocks, int row_begin, int row_count,
                   RowOrder order, cudaStream_t stream) {
    if (row_count == 0) return;
    // Rows go anywhere within their head.
    const int unit = order.head_dim == 0 ? 1 : order.head_dim;
    const int first = row_begin / unit * unit;
    const int last = std::min((row_begin + row_count + unit - 1) / unit * unit, matrix.rows);
    const int tile_begin = first / tile_rows;
    const int tiles = (last + tile_rows - 1) / tile_rows - tile_begin;
    const int groups = (steps_of(format, matrix.columns) + steps_staged - 1) / steps_staged;
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(groups));
    repack_kernel<format><<<grid, repack_threads, 0, stream>>>(matrix, blocks, row_begin, row_count,
                                                               order, tile_begin);
    check(cudaGetLastError());
}

}  // namespace

std::int64_t matrix_bytes(WeightFormat format, int rows, int columns) {
    if (is_plain(format)) return std::int64_t{rows} * columns * block_shape(format).bytes;
    return std::int64_t{padded_tiles(rows)} * steps_of(format, columns) * step_layout(format).bytes;
}

void repack(const Matrix& matrix, const std::uint8_t* blocks, int row_begin, int row_count,
            RowOrder order, cudaStream_t stream) {
    const auto go = [&]<WeightFormat format>() {
        launch_repack<format>(matrix, blocks, row_begin, row_count, order, stream);
    };
    switch (matrix.format) {
        case WeightFormat::bf16:
        case WeightFormat::f16:
        case WeightFormat::fp8_e4m3:
            if (row_count == 0) return;
            copy_rows_kernel<<<static_cast<unsigned>(row_count), repack_threads, 0, stream>>>(
                matrix, reinterpret_cast<const std::uint16_t*>(blocks), row_begin,
                matrix.columns * block_shape(matrix.format).bytes / 2, order);
            return check(cudaGetLastError());
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
