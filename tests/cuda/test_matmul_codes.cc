#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/cuda/coded.h"
#include "engine/cuda/matmul_decode.h"
#include "tests/cuda/plain_product.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

const std::vector<WeightFormat>& quantised_formats() {
    using enum WeightFormat;
    static const std::vector<WeightFormat> formats = {q8_0, q4_0, q4_1, q4_k, q5_k, q6_k};
    return formats;
}

// out as it was, plus or replaced by the products of x by integers.
template <class Out>
std::vector<Out> run(std::span<const Product> products, const Activations& x, int T,
                     const std::vector<Out>& out, int out_stride, Into into, float scale = 1.0F) {
    const int columns = products.front().matrix.columns;
    DeviceBuffer<std::uint16_t> device_x(
        std::vector<std::uint16_t>(x.bits.begin(), x.bits.begin() + T * columns));
    DeviceBuffer<std::uint8_t> coded(coded_size(T, columns));
    check(cudaMemset(coded.get(), 0xFF, coded.bytes()));
    DeviceBuffer<Out> device_out(out);
    REQUIRE(matmul_codes_takes(products));
    code_activations(reinterpret_cast<const f16*>(device_x.get()), T, columns, coded.get(),
                     nullptr);
    DeviceBuffer<std::uint8_t> workspace(matmul_workspace_bytes());
    matmul_codes(products, {coded.get()}, T, device_out.get(), out_stride, into, scale,
                 workspace.get(), {}, nullptr);
    std::vector<Out> result = device_out.host();
    if (matmul_codes_reads_plain(products, T)) {
        DeviceBuffer<Out> again(out);
        matmul_codes(products, {nullptr, device_x.get()}, T, again.get(), out_stride, into, scale,
                     workspace.get(), {}, nullptr);
        const std::vector<Out> plain = again.host();
        REQUIRE(std::memcmp(plain.data(), result.data(), result.size() * sizeof(Out)) == 0);
    }
    return result;
}

}  // namespace

TEST_CASE("a product by integers of every quantised format is what plain loops give",
          "[matmul_codes]") {
    std::mt19937 random(21);
    const WeightFormat format = GENERATE(from_range(quantised_formats()));
    const auto [rows, blocks] =
        GENERATE(table<int, int>({{49, 18}, {192, 3}, {5, 1}, {9000, 5}, {40, 108}}));
    const int columns = blocks * block_columns(format);
    INFO("format " << static_cast<int>(format) << ", " << rows << " x " << columns);
    Nearness near("matmul_codes " + format_name(format));
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const Activations x(coded_tokens_max, columns, false, random);
    const std::vector<double> want = plain_product(source, x, coded_tokens_max);
    const double size = root_mean_square(want);
    const int stride = rows + 6;
    const Product product{matrix.get(), 3};
    for (int T : {1, 2, 4, 5, 8}) {
        INFO("T " << T);
        const auto count = static_cast<std::size_t>(T * stride);
        const auto stored = run<float>({&product, 1}, x, T, poison(count), stride, Into::store);
        const auto added = run<float>({&product, 1}, x, T, std::vector<float>(count, 0.5F), stride,
                                      Into::add, 2.0F);
        // Better than weights rounded to f16, by the step of the activations alone.
        const double error = require_products(stored, added, want, T, rows, stride, size, near);
        REQUIRE(error <= 1e-4 * size);
    }
}

TEST_CASE("gate and up by integers become SwiGLU", "[matmul_codes]") {
    std::mt19937 random(22);
    const WeightFormat format = GENERATE(from_range(quantised_formats()));
    const auto [rows, blocks] =
        GENERATE(table<int, int>({{88, 4}, {9000, 4}, {88, 40}, {24, 32}, {24, 128}}));
    const int columns = blocks * block_columns(format);
    INFO("format " << static_cast<int>(format) << ", " << rows << " x " << columns);
    Nearness near("matmul_codes SwiGLU " + format_name(format));
    const RandomMatrix gate(format, rows, columns, random), up(format, rows, columns, random);
    const DeviceMatrix device_gate(gate), device_up(up);
    const Activations x(coded_tokens_max, columns, false, random);
    const auto gate_want = plain_product(gate, x, coded_tokens_max),
               up_want = plain_product(up, x, coded_tokens_max);
    const float scale = 1.0F / static_cast<float>(root_mean_square(gate_want));
    const std::array products = {Product{device_gate.get(), 0}, Product{device_up.get(), 0}};
    for (int T : {1, 2, 4, 5, 8}) {
        const auto out = run<std::uint16_t>(
            products, x, T, std::vector<std::uint16_t>(static_cast<std::size_t>(T * rows), 0x7FFF),
            rows, Into::swiglu, scale);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const double g = gate_want[i] * scale;
            const double want = g / (1 + std::exp(-g)) * up_want[i] * scale;
            near.require(float_from_half(out[i]) * swiglu_scale, want, 8.0);
        }
    }
}

TEST_CASE("products of two formats read the same integers", "[matmul_codes]") {
    std::mt19937 random(23);
    using enum WeightFormat;
    const auto formats = GENERATE(values<std::array<WeightFormat, 3>>(
        {{q4_k, q4_k, q6_k}, {q5_k, q5_k, q6_k}, {q6_k, q4_k, q4_k}}));
    const int columns = 1280;
    const std::array rows = {100, 32, 48};
    Nearness near("matmul_codes of two formats");
    std::vector<RandomMatrix> sources;
    for (std::size_t i = 0; i < 3; ++i) sources.emplace_back(formats[i], rows[i], columns, random);
    const DeviceMatrix first(sources[0]), second(sources[1]), third(sources[2]);
    const std::array products = {Product{first.get(), 0}, Product{second.get(), 100},
                                 Product{third.get(), 132}};
    const Activations x(coded_tokens_max, columns, false, random);
    for (int T : {1, 2, 4, 5, 8}) {
        const auto out =
            run<float>(products, x, T, poison(static_cast<std::size_t>(T * 180)), 180, Into::store);
        for (std::size_t i = 0; i < 3; ++i) {
            const auto want = plain_product(sources[i], x, T);
            const double size = root_mean_square(want);
            for (int t = 0; t < T; ++t)
                for (int r = 0; r < rows[i]; ++r)
                    near.require(
                        out[static_cast<std::size_t>(t * 180 + products[i].out_column + r)],
                        want[static_cast<std::size_t>(t * rows[i] + r)], size);
        }
    }
}

TEST_CASE("a token's result by integers is the same to the bit beside any others",
          "[matmul_codes]") {
    std::mt19937 random(24);
    const WeightFormat format = GENERATE(from_range(quantised_formats()));
    constexpr int rows = 208, columns = 9728;
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const Activations x(coded_tokens_max, columns, false, random);
    Activations other = x;  // the first token again, beside others of four times the size
    for (std::size_t i = columns; i < other.bits.size(); ++i) other.bits[i] += 2 << 10;
    const Product product{matrix.get(), 0};
    const auto of = [&](const Activations& from, int T) {
        return run<float>({&product, 1}, from, T,
                          poison(static_cast<std::size_t>(coded_tokens_max * rows)), rows,
                          Into::store);
    };
    const auto all = of(x, coded_tokens_max);
    const auto same = of(other, coded_tokens_max);
    REQUIRE(std::equal(all.begin(), all.begin() + rows, same.begin()));
    REQUIRE(!std::equal(all.begin() + rows, all.end(), same.begin() + rows));
    for (int T : {1, 2, 3, 4, 5, 8}) {
        INFO("T " << T);
        const auto first = of(x, T);
        const auto again = of(x, T);
        REQUIRE(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)) == 0);
        // One token goes its own way.
        if (T > 1) REQUIRE(std::equal(first.begin(), first.begin() + T * rows, all.begin()));
    }
}

TEST_CASE("a column that is no number reaches every row of its token and no other's",
          "[matmul_codes]") {
    std::mt19937 random(25);
    const std::uint16_t bits = GENERATE(std::uint16_t{0x7C00}, std::uint16_t{0x7E00});
    // Whole steps of 256 columns, and one that the row does not fill.
    const auto [format, columns] =
        GENERATE(table<WeightFormat, int>({{WeightFormat::q4_k, 512}, {WeightFormat::q4_0, 320}}));
    INFO("format " << static_cast<int>(format) << ", " << columns << " columns");
    const RandomMatrix source(format, 64, columns, random);
    const DeviceMatrix matrix(source);
    Activations x(2, columns, false, random);
    x.bits[static_cast<std::size_t>(columns + 300)] = bits;
    const Product product{matrix.get(), 0};
    const auto out = run<float>({&product, 1}, x, 2, poison(128), 64, Into::store);
    for (std::size_t i = 0; i < 128; ++i) REQUIRE(std::isfinite(out[i]) == (i < 64));
}
