#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/weight_layout.cuh"
#include "tests/cuda/plain_product.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

class DecodeRig {
public:
    DecodeRig() : workspace_(matmul_workspace_bytes()) {
        check(cudaMemset(workspace_.get(), 0, workspace_.bytes()));
    }
    // The bits of x on the device stay for as long as the rig's next call.
    template <class Out>
    std::vector<Out> run(std::span<const Product> products, const Activations& x, int T,
                         std::vector<Out> out, int out_stride, Into into, float scale = 1.0F) {
        DeviceBuffer<std::uint16_t> device_x(
            std::vector<std::uint16_t>(x.bits.begin(), x.bits.begin() + T * columns(products)));
        DeviceBuffer<Out> device_out(out);
        matmul_decode(products, device_x.get(), T, device_out.get(), out_stride, into, scale,
                      workspace_.get(), {}, nullptr);
        return device_out.host();
    }
    static int columns(std::span<const Product> products) {
        return products.front().matrix.columns;
    }

private:
    DeviceBuffer<std::uint8_t> workspace_;
};

constexpr std::array token_counts = {1, 2, 3, 7, 8, 9, 16, 17, 33, 64};

}  // namespace

TEST_CASE("a product of every format and number of tokens is what plain loops give",
          "[matmul_decode]") {
    std::mt19937 random(11);
    const WeightFormat format = GENERATE(from_range(all_weight_formats()));
    // Scales as they are usual, and below the smallest normal f16.
    const auto [rows, blocks, scale] = GENERATE(table<int, int, float>(
        {{49, 18, 1e-2F}, {49, 18, 5e-4F}, {49, 18, 5e-5F}, {192, 3, 1e-2F}, {5, 1, 1e-2F}}));
    const int columns = blocks * block_columns(format);
    INFO("format " << static_cast<int>(format) << ", " << rows << " x " << columns << ", "
                   << scale);
    Nearness near("matmul_decode " + format_name(format));
    const RandomMatrix source(format, rows, columns, random, scale);
    const DeviceMatrix matrix(source);
    const Activations x(64, columns, reads_bf16(format), random);
    const std::vector<double> want = plain_product(source, x, 64);
    const double size = root_mean_square(want);
    DecodeRig rig;
    const int stride = rows + 6;
    const Product product{matrix.get(), 3};
    for (int T : token_counts) {
        INFO("T " << T);
        const auto count = static_cast<std::size_t>(T * stride);
        const auto stored = rig.run<float>({&product, 1}, x, T, poison(count), stride, Into::store);
        const auto added = rig.run<float>({&product, 1}, x, T, std::vector<float>(count, 0.5F),
                                          stride, Into::add, 2.0F);
        require_products(stored, added, want, T, rows, stride, size, near);
    }
}

TEST_CASE("gate and up become SwiGLU in one launch", "[matmul_decode]") {
    std::mt19937 random(12);
    const WeightFormat format = GENERATE(from_range(all_weight_formats()));
    const int rows = 88;
    const int columns = 4 * block_columns(format);
    const bool brain = reads_bf16(format);
    INFO("format " << static_cast<int>(format));
    Nearness near("matmul_decode SwiGLU " + format_name(format));
    const RandomMatrix gate(format, rows, columns, random), up(format, rows, columns, random);
    const DeviceMatrix device_gate(gate), device_up(up);
    const Activations x(64, columns, brain, random);
    const auto gate_want = plain_product(gate, x, 64), up_want = plain_product(up, x, 64);
    const float scale = 1.0F / static_cast<float>(root_mean_square(gate_want));
    const std::array products = {Product{device_gate.get(), 0}, Product{device_up.get(), 0}};
    DecodeRig rig;
    for (int T : {1, 9, 64}) {
        const auto out = rig.run<std::uint16_t>(
            products, x, T, std::vector<std::uint16_t>(static_cast<std::size_t>(T * rows), 0x7FFF),
            rows, Into::swiglu, scale);
        for (std::size_t i = 0; i < out.size(); ++i) {
            const double g = gate_want[i] * scale;
            const double want = g / (1 + std::exp(-g)) * up_want[i] * scale;
            const double got =
                brain ? float_from_bfloat(out[i]) : float_from_half(out[i]) * swiglu_scale;
            near.require(got, want, 8.0);
        }
    }
}

TEST_CASE("three products of mixed formats read the same activations", "[matmul_decode]") {
    std::mt19937 random(13);
    using enum WeightFormat;
    const auto formats =
        GENERATE(values<std::array<WeightFormat, 3>>({{q4_k, q4_k, q6_k},
                                                      {q5_k, q5_k, q6_k},
                                                      {q6_k, q4_k, q4_k},
                                                      {q4_k, q5_k, q8_0},
                                                      {fp8_e4m3, fp8_e4m3, fp8_e4m3},
                                                      {q4_1, q4_0, f16}}));
    const int columns = 1280;
    const std::array rows = {100, 32, 48};
    Nearness near("matmul_decode of mixed formats");
    std::vector<RandomMatrix> sources;
    for (std::size_t i = 0; i < 3; ++i) sources.emplace_back(formats[i], rows[i], columns, random);
    const DeviceMatrix first(sources[0]), second(sources[1]), third(sources[2]);
    const std::array products = {Product{first.get(), 0}, Product{second.get(), 100},
                                 Product{third.get(), 132}};
    const Activations x(17, columns, false, random);
    DecodeRig rig;
    for (int T : {1, 17}) {
        const auto out = rig.run<float>(products, x, T, poison(static_cast<std::size_t>(T * 180)),
                                        180, Into::store);
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

TEST_CASE("a token's result is the same to the bit beside any others", "[matmul_decode]") {
    std::mt19937 random(14);
    const WeightFormat format = GENERATE(from_range(all_weight_formats()));
    const int rows = 208;
    const int columns = 2560;
    INFO("format " << static_cast<int>(format));
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const Activations x(64, columns, reads_bf16(format), random);
    const Product product{matrix.get(), 0};
    DecodeRig rig;
    const auto all = rig.run<float>({&product, 1}, x, 64, poison(64 * 208), rows, Into::store);
    for (int T : {1, 2, 8, 9, 17, 32, 33, 64}) {
        const auto some = rig.run<float>(
            {&product, 1}, x, T, poison(static_cast<std::size_t>(T * rows)), rows, Into::store);
        REQUIRE(std::equal(some.begin(), some.end(), all.begin()));
    }
}

TEST_CASE("products at the 32B's own widths are right", "[matmul_decode][large]") {
    std::mt19937 random(15);
    const WeightFormat format = GENERATE(WeightFormat::q4_k, WeightFormat::q6_k);
    const auto [rows, columns] = GENERATE(table<int, int>({{5120, 5120}, {320, 27648}}));
    Nearness near("matmul_decode " + format_name(format) + " at the 32B's widths");
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const int T = 3;
    const Activations x(T, columns, false, random);
    const Product product{matrix.get(), 0};
    DecodeRig rig;
    const auto out = rig.run<float>({&product, 1}, x, T, poison(static_cast<std::size_t>(T * rows)),
                                    rows, Into::store);
    const auto want = plain_product(source, x, T);
    const double size = root_mean_square(want);
    double error = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        near.require(out[i], want[i], size);
        error += (out[i] - want[i]) * (out[i] - want[i]) / static_cast<double>(out.size());
    }
    REQUIRE(std::sqrt(error) <= 5e-4 * size);
}
