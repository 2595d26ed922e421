#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/cuda/embed.h"
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
    Gemm gemm;
    gemm.type = GemmType::fp8_e4m3;
    gemm.rows = rows;
    gemm.columns = columns;
    gemm.T = T;
    gemm.w = device_w.get();
    gemm.x = device_codes.get();
    gemm.out = out.get();
    gemm.out_stride = rows;
    gemm.add = add;
    gemm.row_scale = row_scale.get();
    gemm.token_scale = token_scale.get();
    (*library)->run(gemm, nullptr);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(before[i]);
    CHECK(relative_error(out.host(), want) < 2e-3);
}
