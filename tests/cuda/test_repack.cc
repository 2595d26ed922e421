#include <catch2/catch.hpp>

#include "engine/model/network.h"
#include "tests/cuda/undone_planes.h"
#include "tests/cuda/weight_planes.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

// What dequantise() promises for one weight.
std::uint16_t half_bits(float value) { return half_from_float(value); }

std::vector<std::uint16_t> device_halves(const Matrix& matrix, int row_begin, int row_count) {
    DeviceBuffer<f16> out(static_cast<std::size_t>(row_count) *
                          static_cast<std::size_t>(matrix.columns));
    dequantise(matrix, row_begin, row_count, out.get(), nullptr);
    std::vector<std::uint16_t> bits;
    for (f16 value : out.host()) bits.push_back(__half_as_ushort(value));
    return bits;
}

}  // namespace

TEST_CASE("planes are read as the file's weights, whatever rows a call brings", "[repack]") {
    std::mt19937 random(7);
    const WeightFormat format = GENERATE(from_range(all_weight_formats()));
    if (format == WeightFormat::bf16) return;  // not for dequantise()
    const int rows = GENERATE(1, 49, 192);
    const int columns = block_columns(format) * GENERATE(1, 3, 18);
    INFO("format " << static_cast<int>(format) << ", " << rows << " x " << columns);
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const int row_begin = rows / 3;
    const auto bits = device_halves(matrix.get(), row_begin, rows - row_begin);
    const std::size_t first =
        static_cast<std::size_t>(row_begin) * static_cast<std::size_t>(columns);
    REQUIRE(bits.size() == source.numbers.size() - first);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < bits.size(); ++i) {
        const float want = source.numbers[first + i];
        const bool same = bits[i] == half_bits(want) || (want == 0.0F && (bits[i] & 0x7FFF) == 0);
        wrong += same ? 0 : 1;
    }
    REQUIRE(wrong == 0);
}

TEST_CASE("planes undone are the file's blocks, byte for byte", "[repack]") {
    std::mt19937 random(8);
    const WeightFormat format = GENERATE(from_range(all_weight_formats()));
    const int columns = block_columns(format) * GENERATE(1, 3, 18);
    INFO("format " << format_name(format) << ", " << columns << " columns");
    const RandomMatrix source(format, 49, columns, random);
    const std::vector<std::uint8_t> planes = DeviceMatrix(source).planes();
    if (is_plain(format))  // the file's rows in order
        REQUIRE((std::string(planes.begin(), planes.end()) == source.blocks));
    else
        REQUIRE((UndonePlanes(format, 49, columns, planes).blocks() == source.blocks));
}

TEST_CASE("rows of permuted heads land where they rotate", "[repack]") {
    std::mt19937 random(9);
    const WeightFormat format = GENERATE(WeightFormat::q4_1, WeightFormat::q6_k, WeightFormat::f16);
    const int head_dim = 64;
    const int rope_dims = GENERATE(64, 32);
    const RandomMatrix source(format, 3 * head_dim, 256, random);
    const DeviceMatrix matrix(source, {head_dim, rope_dims});
    const auto bits = device_halves(matrix.get(), 0, source.rows);
    for (int row = 0; row < source.rows; ++row) {
        const int placed = unpermuted_row(row, head_dim, rope_dims);
        for (int column = 0; column < 256; ++column) {
            const float want = source.numbers[static_cast<std::size_t>(row * 256 + column)];
            const auto got = bits[static_cast<std::size_t>(placed * 256 + column)];
            if (got != half_bits(want) && want != 0.0F) FAIL("row " << row << " is elsewhere");
        }
    }
}

TEST_CASE("planes take no more bytes than the file's blocks", "[repack]") {
    for (WeightFormat format : all_weight_formats()) {
        const std::int64_t bytes = matrix_bytes(format, 7168, 5120);
        const double file_bytes = format == WeightFormat::fp8_e4m3
                                      ? 1.0
                                      : block_bytes(tensor_type(format)) /
                                            static_cast<double>(block_weights(tensor_type(format)));
        REQUIRE(static_cast<double>(bytes) == 7168.0 * 5120.0 * file_bytes);
    }
}
