#include "engine/cpu/packed_matrix.h"

#include <cassert>
#include <cstring>
#include <vector>

#include "engine/model/network.h"
#include "engine/model/quant.h"

namespace sluice {
namespace {

constexpr std::size_t words = group_rows * sizeof(std::uint32_t);   // one u32 a row
constexpr std::size_t halves = group_rows * sizeof(std::uint16_t);  // one half a row
constexpr std::size_t nibble_bytes = 4 * words;

// What lies where in a packed block. A K type's block has 8 cells of 32 columns, others have one.
struct Layout {
    std::size_t header;  // before the cells
    std::size_t scales;  // at the start of each cell
    std::size_t codes;   // the rest of each cell
    std::size_t cell() const { return scales + codes; }
};

Layout layout_of(TensorType type) {
    switch (type) {
        case TensorType::q4_0:
            return {0, halves, nibble_bytes};
        case TensorType::q4_1:
            return {0, 2 * halves, nibble_bytes};
        case TensorType::q8_0:
            return {0, halves, 2 * nibble_bytes};
        case TensorType::q4_k:
            return {2 * halves, halves, nibble_bytes};
        case TensorType::q5_k:
            return {2 * halves, halves, nibble_bytes + words};
        case TensorType::q6_k:
            return {halves, halves, nibble_bytes + 2 * words};
        case TensorType::f16:
        case TensorType::bf16:
            return {0, 0, halves};
        case TensorType::f32:
            return {0, 0, words};
        case TensorType::fp8_e4m3:
            return {0, 0, 1};
    }
    return {};
}

bool is_quantised(TensorType type) { return block_weights(type) > 1; }

// Unsigned codes as packed: q4_0 and q6_k keep the file's bias.
int packed_bias(TensorType type) {
    if (type == TensorType::q4_0) return 8;
    return type == TensorType::q6_k ? 32 : 0;
}

// Codes of 8 columns, one a byte, to a word: the even ones as nibbles 0..3, the odd ones 4..7.
std::uint32_t pack_nibbles(const std::uint8_t* codes) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, codes, sizeof bytes);
    auto gather = [](std::uint64_t spread) {  // nibbles at bits 0, 16, 32, 48 to 0, 4, 8, 12
        spread &= 0x000F000F000F000F;
        return static_cast<std::uint32_t>((spread | spread >> 12 | spread >> 24 | spread >> 36) &
                                          0xFFFF);
    };
    return gather(bytes) | gather(bytes >> 8) << 16;
}

void store_word(std::uint8_t* codes, int word, int row, std::uint32_t value) {
    std::memcpy(codes + static_cast<std::size_t>(word * group_rows + row) * 4, &value, 4);
}

// The bits of 16 / width pairs' codes above the nibble, `width` bits a column, to one word.
// They start at bit 4 and wrap round in each half, so that the kernels can bring each to bit 4
// by shifting one way (and once back for those that wrapped).
int high_shift(int column, int width) { return (column / 2 * width + 4) % 16 + column % 2 * 16; }

std::uint32_t pack_high(const std::uint8_t* codes, int width) {
    std::uint32_t word = 0;
    for (int k = 0; k < 32 / width; ++k)
        word |= static_cast<std::uint32_t>(codes[k] >> 4) << high_shift(k, width);
    return word;
}

void pack_codes(TensorType type, const WeightGroup& group, int row, std::uint8_t* out) {
    if (type == TensorType::q8_0) {
        for (int pair = 0; pair < 16; ++pair)
            std::memcpy(out + (pair * group_rows + row) * 2, group.code + 2 * pair, 2);
        return;
    }
    std::uint8_t codes[32];
    int bias = packed_bias(type);
    for (int k = 0; k < 32; ++k) codes[k] = static_cast<std::uint8_t>(group.code[k] + bias);
    for (int word = 0; word < 4; ++word) store_word(out, word, row, pack_nibbles(codes + 8 * word));
    if (type == TensorType::q5_k) store_word(out, 4, row, pack_high(codes, 1));
    if (type == TensorType::q6_k) {
        store_word(out, 4, row, pack_high(codes, 2));
        store_word(out, 5, row, pack_high(codes + 16, 2));
    }
}

// Copies the 16 bits at `from` to half number `index` of `to`.
void copy_half(std::uint8_t* to, int index, const std::uint8_t* from) {
    std::memcpy(to + 2 * index, from, 2);
}

void pack_scales(TensorType type, const std::uint8_t* block, int group, int row,
                 std::uint8_t* scales) {
    switch (type) {
        case TensorType::q4_1:
            copy_half(scales + halves, row, block + 2);
            [[fallthrough]];
        case TensorType::q4_0:
        case TensorType::q8_0:
            copy_half(scales, row, block);
            break;
        case TensorType::q4_k:
        case TensorType::q5_k: {
            ScaleAndMinimum packed = read_k_scale(block + 4, group);
            scales[row] = packed.scale;
            scales[group_rows + row] = packed.minimum;
            break;
        }
        case TensorType::q6_k:
            scales[row] = block[192 + group * 2];
            scales[group_rows + row] = block[193 + group * 2];
            break;
        case TensorType::f32:
        case TensorType::f16:
        case TensorType::bf16:
        case TensorType::fp8_e4m3:
            break;
    }
}

void pack_header(TensorType type, const std::uint8_t* block, int row, std::uint8_t* header) {
    if (type == TensorType::q4_k || type == TensorType::q5_k) {
        copy_half(header, row, block);
        copy_half(header + halves, row, block + 2);
    } else if (type == TensorType::q6_k) {
        copy_half(header, row, block + 208);
    }
}

// One row of the file into its place in a group.
void pack_row(TensorType type, int columns, const std::uint8_t* from, int row,
              std::uint8_t* group) {
    Layout layout = layout_of(type);
    auto size = static_cast<std::size_t>(block_bytes(type));
    if (!is_quantised(type)) {
        auto at = static_cast<std::size_t>(row) * size;
        for (int k = 0; k < columns; ++k, from += size)
            std::memcpy(group + static_cast<std::size_t>(k) * layout.codes + at, from, size);
        return;
    }
    const int cells = block_weights(type) / 32;
    const int blocks = columns / block_weights(type);
    for (int block = 0; block < blocks; ++block, from += size) {
        pack_header(type, from, row, group);
        group += layout.header;
        for (int cell = 0; cell < cells; ++cell, group += layout.cell()) {
            pack_scales(type, from, cell, row, group);
            pack_codes(type, read_group(type, from, cell), row, group + layout.scales);
        }
    }
}

int read_code(TensorType type, const std::uint8_t* codes, int row, int column) {
    if (type == TensorType::q8_0)
        return static_cast<std::int8_t>(codes[(column / 2 * group_rows + row) * 2 + column % 2]);
    int pair = column / 2;
    int odd = column % 2 * 16;
    auto word = [&](int index) {
        std::uint32_t value = 0;
        std::memcpy(&value, codes + static_cast<std::size_t>(index * group_rows + row) * 4, 4);
        return value;
    };
    std::uint32_t code = word(pair / 4) >> (pair % 4 * 4 + odd) & 15;
    if (type == TensorType::q5_k) code |= (word(4) >> high_shift(column, 1) & 1) << 4;
    if (type == TensorType::q6_k)
        code |= (word(4 + column / 16) >> high_shift(column % 16, 2) & 3) << 4;
    return static_cast<int>(code) - packed_bias(type);
}

float half_at(const std::uint8_t* halves_in, int index) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, halves_in + 2 * index, 2);
    return float_from_half(bits);
}

void unpack_cell(TensorType type, const std::uint8_t* header, const std::uint8_t* cell,
                 const std::uint8_t* codes, int row, float* out) {
    float scale[2] = {};
    float minimum = 0.0F;
    if (type == TensorType::q4_k || type == TensorType::q5_k) {
        scale[0] = scale[1] = half_at(header, row) * cell[row];
        minimum = half_at(header + halves, row) * cell[group_rows + row];
    } else if (type == TensorType::q6_k) {
        for (int i = 0; i < 2; ++i)
            scale[i] = half_at(header, row) * static_cast<std::int8_t>(cell[i * group_rows + row]);
    } else {
        scale[0] = scale[1] = half_at(cell, row);
        if (type == TensorType::q4_1) minimum = -half_at(cell + halves, row);
    }
    for (int k = 0; k < 32; ++k)
        out[k] = scale[k / 16] * static_cast<float>(read_code(type, codes, row, k)) - minimum;
}

}  // namespace

std::size_t packed_block_bytes(TensorType type) {
    Layout layout = layout_of(type);
    std::size_t cells = is_quantised(type) ? static_cast<std::size_t>(block_weights(type)) / 32 : 1;
    return layout.header + cells * layout.cell();
}

std::size_t PackedMatrix::group_bytes() const {
    return packed_block_bytes(type) * static_cast<std::size_t>(columns / block_weights(type));
}

bool PackedMatrix::quantised() const { return is_quantised(type); }

void pack_groups(const PackedMatrix& matrix, const Tensor& tensor, RowOrder order, int begin,
                 int end, std::uint8_t* out) {
    std::size_t row_bytes = static_cast<std::size_t>(tensor.bytes / matrix.rows);
    std::size_t group_bytes = matrix.group_bytes();
    assert(matrix.rows == tensor.rows() && matrix.columns == tensor.dims[0]);
    // A head's rows can come from anywhere in the head: walk the file's rows that may land here.
    std::memset(out + static_cast<std::size_t>(begin) * group_bytes, 0,
                static_cast<std::size_t>(end - begin) * group_bytes);
    int first = begin * group_rows;
    int last = end * group_rows < matrix.rows ? end * group_rows : matrix.rows;
    if (order.head_dim > 0) {
        first -= first % order.head_dim;
        last += (order.head_dim - last % order.head_dim) % order.head_dim;
    }
    for (int from = first; from < last; ++from) {
        int row = from;
        if (order.head_dim > 0) row = unpermuted_row(from, order.head_dim, order.rope_dims);
        int group = row / group_rows;
        if (group < begin || group >= end) continue;
        pack_row(matrix.type, matrix.columns,
                 tensor.data + static_cast<std::size_t>(from) * row_bytes, row % group_rows,
                 out + static_cast<std::size_t>(group) * group_bytes);
    }
}

void unpack_row(const PackedMatrix& matrix, int row, float* out) {
    Layout layout = layout_of(matrix.type);
    const std::uint8_t* at =
        matrix.data + static_cast<std::size_t>(row / group_rows) * matrix.group_bytes();
    row %= group_rows;
    if (!matrix.quantised()) {
        at += row * block_bytes(matrix.type);
        for (int k = 0; k < matrix.columns; ++k, at += layout.codes)
            dequantise(matrix.type, at, 1, out + k);
        return;
    }
    int cells = block_weights(matrix.type) / 32;
    for (int column = 0; column < matrix.columns;) {
        const std::uint8_t* header = at;
        at += layout.header;
        for (int cell = 0; cell < cells; ++cell, at += layout.cell(), column += 32)
            unpack_cell(matrix.type, header, at, at + layout.scales, row, out + column);
    }
}

}  // namespace sluice
