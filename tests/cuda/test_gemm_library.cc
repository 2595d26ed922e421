#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/cuda/fp8.h"
#include "engine/cuda/gemm_library.h"
#include "engine/model/quant.h"
#include "tests/cuda/device_buffer.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

constexpr int rows = 320, columns = 256, T = 64;

std::vector<float> normals(std::size_t count, unsigned seed, float size = 1.0F) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, size);
    std::vector<float> out(count);
    for (float& value : out) value = normal(random);
    return out;
}

std::vector<double> product(const std::vector<float>& w, const std::vector<float>& x) {
    std::vector<double> out;
    for (int t = 0; t < T; ++t)
        for (int r = 0; r < rows; ++r) {
            double sum = 0;
            for (int c = 0; c < columns; ++c)
                sum += static_cast<double>(w[static_cast<std::size_t>(r * columns + c)]) *
                       static_cast<double>(x[static_cast<std::size_t>(t * columns + c)]);
            out.push_back(sum);
        }
    return out;
}

double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    return std::sqrt(error / norm);
}

}  // namespace

TEST_CASE("the library multiplies f16 and bf16, and adds to what is there", "[gemm]") {
    auto library = GemmLibrary::open();
    if (!library) FAIL(library.error().message);
    const bool brain = GENERATE(false, true);
    const bool add = GENERATE(false, true);
    auto w = normals(std::size_t{rows} * columns, 1);
    auto x = normals(std::size_t{T} * columns, 2);
    std::vector<std::uint16_t> w_bits, x_bits;
    auto round = [&](std::vector<float>& values, std::vector<std::uint16_t>& bits) {
        for (float& value : values) {
            if (brain) {
                const bf16 one = __float2bfloat16_rn(value);
                value = __bfloat162float(one);
                bits.push_back(__bfloat16_as_ushort(one));
            } else {
                bits.push_back(half_from_float(value));
                value = float_from_half(bits.back());
            }
        }
    };
    round(w, w_bits);
    round(x, x_bits);
    auto want = product(w, x);
    const auto before = normals(want.size(), 3, 10.0F);
    DeviceBuffer<std::uint16_t> device_w(w_bits), device_x(x_bits);
    DeviceBuffer<float> out(before);
    Gemm gemm;
    gemm.type = brain ? GemmType::bf16 : GemmType::f16;
    gemm.rows = rows;
    gemm.columns = columns;
    gemm.T = T;
    gemm.w = device_w.get();
    gemm.x = device_x.get();
    gemm.out = out.get();
    gemm.out_stride = rows;
    gemm.alpha = 0.5F;
    gemm.add = add;
    (*library)->run(gemm, nullptr);
    for (std::size_t i = 0; i < want.size(); ++i)
        want[i] = 0.5 * want[i] + (add ? static_cast<double>(before[i]) : 0.0);
    CHECK(relative_error(out.host(), want) < 1e-5);
}

TEST_CASE("fp8 weights and activations multiply with a scale for each row and token", "[gemm]") {
    auto library = GemmLibrary::open();
    if (!library) FAIL(library.error().message);
    const bool add = GENERATE(false, true);
    auto x = normals(std::size_t{T} * columns, 4);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] *= std::exp2(static_cast<float>(i / columns % 7));  // tokens of many sizes
        x[i] = float_from_half(half_from_float(x[i]));
    }
    std::vector<f16> halves;
    for (float value : x) halves.push_back(__float2half_rn(value));
    std::mt19937 random(5);
    std::vector<std::uint8_t> codes(std::size_t{rows} * columns);
    std::vector<float> w(codes.size()), scale(rows);
    for (float& s : scale) s = 0.01F * static_cast<float>(1 + random() % 100);
    for (std::size_t i = 0; i < codes.size(); ++i) {
        codes[i] = static_cast<std::uint8_t>(random());
        if ((codes[i] & 0x7F) == 0x7F) codes[i] = 0;
        w[i] = scale[i / columns] * float_from_e4m3(codes[i]);
    }
    DeviceBuffer<f16> device_x(halves);
    DeviceBuffer<std::uint8_t> device_w(codes), device_codes(x.size());
    DeviceBuffer<float> row_scale(scale), token_scale(T);
    quantise_fp8(device_x.get(), device_codes.get(), token_scale.get(), 1.0F, T, columns, nullptr);
    const auto x_codes = device_codes.host();
    const auto x_scale = token_scale.host();
    auto rounded = x;
    for (std::size_t i = 0; i < x.size(); ++i)
        rounded[i] = x_scale[i / columns] * float_from_e4m3(x_codes[i]);
    std::vector<double> exact(x.begin(), x.end());
    CHECK(relative_error(rounded, exact) < 0.04);  // three bits of fraction
    auto want = product(w, rounded);
    std::vector<float> before(want.size(), 0.0F);
    if (add) before = normals(want.size(), 6, 100.0F);
    DeviceBuffer<float> out(before);
    DeviceBuffer<float> raw(want.size());
    Gemm gemm;
    gemm.type = GemmType::fp8_e4m3;
    gemm.rows = rows;
    gemm.columns = columns;
    gemm.T = T;
    gemm.w = device_w.get();
    gemm.x = device_codes.get();
    gemm.out = raw.get();
    gemm.out_stride = rows;
    (*library)->run(gemm, nullptr);
    scale_rows(raw.get(), rows, out.get(), rows, add, row_scale.get(), token_scale.get(), T, rows,
               nullptr);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(before[i]);
    CHECK(relative_error(out.host(), want) < 2e-3);
}

TEST_CASE("SwiGLU of fp8 products gives codes and their scale", "[gemm]") {
    const int F = GENERATE(512, 27648);
    constexpr int tokens = 3;
    const auto width = static_cast<std::size_t>(F);
    const auto raw = normals(2 * width * tokens, 8, 3.0F);
    std::vector<f16> halves;
    for (float value : raw) halves.push_back(__float2half_rn(value));
    auto rows_scale = normals(2 * width, 9, 1e-4F);
    const std::vector<float> tokens_scale = {1.0F, 0.25F, 3.0F};
    DeviceBuffer<f16> gate_up(halves);
    DeviceBuffer<float> row_scale(rows_scale), token_scale(tokens_scale);
    DeviceBuffer<std::uint8_t> code(width * tokens);
    swiglu_fp8(gate_up.get(), row_scale.get(), token_scale.get(), code.get(), token_scale.get(),
               tokens, F, nullptr);
    const auto codes = code.host();
    const auto scales = token_scale.host();
    for (std::size_t t = 0; t < tokens; ++t) {
        double error = 0, norm = 0;
        for (std::size_t f = 0; f < width; ++f) {
            auto value = [&](std::size_t at) {
                return static_cast<double>(__half2float(halves[2 * width * t + at])) *
                       static_cast<double>(rows_scale[at]) * static_cast<double>(tokens_scale[t]) /
                       static_cast<double>(gate_up_scale);
            };
            const double g = value(f);
            const double want = g / (1 + std::exp(-g)) * value(width + f);
            const double got = static_cast<double>(float_from_e4m3(codes[width * t + f])) *
                               static_cast<double>(scales[t]);
            error += (got - want) * (got - want);
            norm += want * want;
        }
        CHECK(std::sqrt(error / norm) < 0.04);
    }
}
