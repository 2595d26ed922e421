// A weight matrix rearranged so that one vector register holds the same column of 16 rows: a
// product then needs no sums across a register, and one broadcast activation serves 16 rows.
// It takes the place of the file's copy, at the same size (q4_k 2.8 % and q5_k 2.3 % larger).
//
// Layout: groups of 16 rows; a group is its columns' blocks in order. Rows past the last are zero.
// A block of 32 columns (of 256 in the K types) of a group:
//   q4_0, q8_0       half scale[16], codes
//   q4_1             half scale[16], half minimum[16], codes (minimum is added, as in the file)
//   q4_k, q5_k       half d[16], half dmin[16], then 8 x { u8 scale[16], u8 minimum[16], codes }
//   q6_k             half d[16], then 8 x { i8 scale[2][16], codes }
//   f32, f16, bf16   (blocks of 1 column) value[16]
// Codes of 32 columns, each part ordered so that a register yields pairs of columns (2p, 2p + 1)
// as the low and high 16 bits of each row's 32:
//   q8_0             16 pairs x i8[16][2]
//   others           4 x u32[16]: word j holds pair 4j + s as nibbles s and s + 4
//   q5_k then        u32[16]: pair p's fifth bits at (p + 4) % 16 of each half
//   q6_k then        2 x u32[16]: word j holds pair 8j + s's top two bits at (2s + 4) % 16
// Immutable once packed: any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/model/tensor.h"

namespace sluice {

inline constexpr int group_rows = 16;

struct PackedMatrix {
    TensorType type = TensorType::f32;
    int rows = 0;
    int columns = 0;
    const std::uint8_t* data = nullptr;  // 64-byte aligned, groups() * group_bytes()

    int groups() const { return (rows + group_rows - 1) / group_rows; }
    std::size_t group_bytes() const;
    std::size_t bytes() const { return static_cast<std::size_t>(groups()) * group_bytes(); }
    bool quantised() const;
};

std::size_t packed_block_bytes(TensorType type);

// How a Q or K matrix's rows move; head_dim 0 keeps the file's order.
struct RowOrder {
    int head_dim = 0;
    int rope_dims = 0;
};

// Packs groups [begin, end) of `tensor` into `matrix.data`, whose memory is given as `out`.
void pack_groups(const PackedMatrix& matrix, const Tensor& tensor, RowOrder order, int begin,
                 int end, std::uint8_t* out);

// One row back as floats, exactly what dequantise gives.
void unpack_row(const PackedMatrix& matrix, int row, float* out);

}  // namespace sluice
