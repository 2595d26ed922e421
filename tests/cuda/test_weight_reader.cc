// Each weight as the tensor cores get it: activations that are 1 for one column of a token and 0
// for the others give it alone.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/cuda/arranged.h"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/matmul_warpgroup.h"
#include "tests/cuda/weight_planes.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

constexpr int rows = 48, columns = 512;

std::vector<WeightFormat> rounded_formats() {
    using enum WeightFormat;
    return {q8_0, q4_0, q4_1, q4_k, q5_k, q6_k};
}
bool has_minimums(WeightFormat format) {
    return format == WeightFormat::q4_k || format == WeightFormat::q5_k;
}

// x[t, c] = 1 where c = first + t.
DeviceBuffer<f16> one_each(int T, int first) {
    const std::size_t size = static_cast<std::size_t>(T) * columns;
    std::vector<f16> x(size, __ushort_as_half(0));
    for (int t = 0; t < T; ++t)
        x[static_cast<std::size_t>(t * columns + first + t)] = __ushort_as_half(0x3C00);
    return DeviceBuffer<f16>(x);
}

constexpr std::array decode_tokens = {2, 64};           // its kernels of few and of many
constexpr std::array warpgroup_tokens = {16, 64, 128};  // narrow tiles and wide ones

// By products of T tokens at a time: [columns, rows].
template <class Multiply>
std::vector<float> weights_by(int T, Multiply multiply) {
    DeviceBuffer<float> out(std::size_t{columns} * rows);  // poison
    for (int first = 0; first < columns; first += T) {
        const DeviceBuffer<f16> x = one_each(T, first);
        multiply(x.get(), out.get() + first * rows);
        check(cudaDeviceSynchronize());
    }
    return out.host();
}

std::vector<float> weights_of_decode(const Product& product, int T) {
    DeviceBuffer<std::uint8_t> workspace(matmul_workspace_bytes());
    check(cudaMemset(workspace.get(), 0, workspace.bytes()));
    return weights_by(T, [&](const f16* x, float* out) {
        matmul_decode({&product, 1}, x, T, out, rows, Into::store, 1.0F, workspace.get(), {},
                      nullptr);
    });
}

std::vector<float> weights_of_warpgroups(const Product& product, int T) {
    DeviceBuffer<std::uint8_t> workspace(warpgroup_workspace_bytes());
    check(cudaMemset(workspace.get(), 0, workspace.bytes()));
    DeviceBuffer<std::uint8_t> arranged(arranged_bytes(warpgroup_rows(T), columns));
    return weights_by(T, [&](const f16* x, float* out) {
        arrange(x, arranged.get(), T, warpgroup_rows(T), columns, nullptr);
        matmul_warpgroup({&product, 1}, arranged.get(), T, out, rows, Into::store, false, 1.0F,
                         workspace.get(), {}, nullptr);
    });
}

float half_at(const std::string& blocks, std::size_t at) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, blocks.data() + at, sizeof bits);
    return float_from_half(bits);
}

// How far a weight may be off beside its own rounding: where it is a difference, for the rounding
// of what is taken from it (weight_reader.cuh).
double of_difference(const RandomMatrix& matrix, std::size_t weight) {
    if (!has_minimums(matrix.format)) return 0;
    const auto block = static_cast<std::size_t>(block_bytes(tensor_type(matrix.format)));
    const double d = half_at(matrix.blocks, weight / 256 * block);
    const double dmin = half_at(matrix.blocks, weight / 256 * block + 2);
    const bool apart = dmin * d < 0 || std::abs(dmin) > 32 * std::abs(d);
    const double before = apart ? std::abs(dmin) : std::abs(d) / 2 + std::abs(dmin) / 16;
    return std::ldexp(63 * before, -10);
}

void require_weights(const RandomMatrix& matrix, const std::vector<float>& got) {
    for (std::size_t c = 0; c < columns; ++c)
        for (std::size_t r = 0; r < rows; ++r) {
            const double want = matrix.weight(r, c);
            const double off = std::abs(double{got[c * rows + r]} - want);
            const double most = std::ldexp(std::abs(want), -11) + std::ldexp(1.0, -25) +
                                of_difference(matrix, r * columns + c);
            if (!(off <= most))
                FAIL("row " << r << ", column " << c << ": " << got[c * rows + r] << ", not "
                            << want << " within " << most);
        }
}

void require_weights_of_products(const RandomMatrix& matrix) {
    const DeviceMatrix device(matrix);
    const Product product{device.get(), 0};
    for (int T : decode_tokens) {
        INFO("few tokens: " << T);
        require_weights(matrix, weights_of_decode(product, T));
    }
    if (!warpgroup_takes({&product, 1})) {
        WARN("this device has no warpgroup products");
        return;
    }
    for (int T : warpgroup_tokens) {
        INFO("by warpgroups: " << T);
        require_weights(matrix, weights_of_warpgroups(product, T));
    }
}

}  // namespace

TEST_CASE("products round a weight once, of whatever scale", "[weight_reader]") {
    std::mt19937 random(31);
    const WeightFormat format = GENERATE(from_range(rounded_formats()));
    // The last ones' d are f16s below the normal ones, of k-quants both.
    const float scale = GENERATE(1.0F, 1e-2F, 5e-4F, 5e-5F);
    INFO("format " << format_name(format) << ", scale " << scale);
    require_weights_of_products(RandomMatrix(format, rows, columns, random, scale));
}

TEST_CASE("products take every scale and minimum that a file may have", "[weight_reader]") {
    std::mt19937 random(32);
    const WeightFormat format = GENERATE(WeightFormat::q4_k, WeightFormat::q5_k);
    INFO("format " << format_name(format));
    RandomMatrix matrix(format, rows, columns, random);
    struct Header {
        float d, dmin;
    };
    constexpr std::array headers = {
        Header{0.0F, 0.01F},    Header{0.01F, 0.0F},    Header{0.0F, 0.0F},
        Header{-1e-3F, 0.01F},  Header{1e-3F, -0.01F},  Header{-1e-3F, -0.01F},
        Header{1e-4F, 0.02F},   Header{6e-8F, 1e-3F},   Header{6e-8F, 6e-8F},
        Header{1e-5F, 2e-6F},   Header{1.9F, 3.0F},     Header{1.99F, 500.0F},
        Header{1e-3F, 0.0315F}, Header{1e-3F, 0.0325F}, Header{6e-5F, 6.2e-5F},
        Header{6.2e-5F, 6e-5F}, Header{-6e-8F, -1e-6F}, Header{1.5F, 63.0F},
        Header{0.03F, 0.03F},   Header{3e-7F, 9.5e-6F},
    };
    const auto block = static_cast<std::size_t>(block_bytes(tensor_type(format)));
    for (std::size_t b = 0; b < matrix.blocks.size() / block; ++b) {
        const Header& one = headers[b % headers.size()];
        const std::uint16_t bits[2] = {half_from_float(one.d), half_from_float(one.dmin)};
        std::memcpy(matrix.blocks.data() + b * block, bits, sizeof bits);
    }
    matrix.numbers = floats_of(tensor_type(format), matrix.blocks, std::int64_t{rows} * columns);
    require_weights_of_products(matrix);
}
