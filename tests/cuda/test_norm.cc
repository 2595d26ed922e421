#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "engine/cuda/arranged.h"
#include "engine/cuda/coded.h"
#include "engine/cuda/norm.h"
#include "tests/cuda/device_buffer.h"

using namespace sluice::cuda;

TEST_CASE("the norm of each row is what plain loops give, of large values too", "[norm]") {
    const int H = GENERATE(64, 5120);
    const int T = GENERATE(1, 3);
    const float size = GENERATE(1.0F, 3e4F);
    std::mt19937 random(static_cast<unsigned>(H + T));
    std::normal_distribution<float> normal(0.0F, size);
    std::vector<float> x(static_cast<std::size_t>(T * H)), weight(static_cast<std::size_t>(H));
    for (float& value : x) value = normal(random);
    for (float& value : weight) value = normal(random) / size;
    DeviceBuffer<float> device_x(x), device_weight(weight);
    DeviceBuffer<f16> half_out(x.size());
    DeviceBuffer<bf16> brain(x.size());
    rmsnorm(device_x.get(), nullptr, device_weight.get(), half_out.get(), false, T, H, 1e-5F,
            nullptr);
    rmsnorm(device_x.get(), nullptr, device_weight.get(), brain.get(), true, T, H, 1e-5F, nullptr);
    const auto as_half = half_out.host();
    const auto as_brain = brain.host();
    for (std::size_t t = 0; t < static_cast<std::size_t>(T); ++t) {
        const std::size_t row = t * static_cast<std::size_t>(H);
        double sum = 0;
        for (std::size_t h = 0; h < weight.size(); ++h) sum += double{x[row + h]} * x[row + h];
        const double factor = 1 / std::sqrt(sum / H + 1e-5);
        for (std::size_t h = 0; h < weight.size(); ++h) {
            const double want = x[row + h] * factor * weight[h];
            REQUIRE(std::abs(__half2float(as_half[row + h]) - want) <=
                    std::abs(want) / 1024 + 1e-6);
            REQUIRE(std::abs(__bfloat162float(as_brain[row + h]) - want) <=
                    std::abs(want) / 128 + 1e-6);
        }
    }
}

TEST_CASE("a norm's output may be arranged for warpgroups", "[norm]") {
    const int T = 5, H = 320, rows = 32;
    std::mt19937 random(9);
    std::normal_distribution<float> normal(0.0F, 1.0F);
    std::vector<float> x(std::size_t{T} * H), weight(H);
    for (float& value : x) value = normal(random);
    for (float& value : weight) value = normal(random);
    DeviceBuffer<float> device_x(x), device_weight(weight);
    DeviceBuffer<f16> plain(x.size());
    DeviceBuffer<f16> arranged(arranged_bytes(rows, H) / sizeof(f16));
    rmsnorm(device_x.get(), nullptr, device_weight.get(), plain.get(), false, T, H, 1e-5F, nullptr);
    rmsnorm(device_x.get(), nullptr, device_weight.get(), arranged.get(), false, T, H, 1e-5F,
            nullptr, rows);
    const auto want = plain.host(), got = arranged.host();
    for (int t = 0; t < T; ++t)
        for (int c = 0; c < H; ++c) {
            const auto at =
                static_cast<std::size_t>(arranged_place(t, c - c % 2, rows) / 2 + c % 2);
            REQUIRE(__half_as_ushort(got[at]) ==
                    __half_as_ushort(want[static_cast<std::size_t>(t * H + c)]));
        }
}

TEST_CASE("a norm's output as integers is the norm to half of their step", "[norm]") {
    const int H = GENERATE(64, 896, 5120, 8192);
    const int T = GENERATE(1, 2);
    INFO("H " << H << ", T " << T);
    std::mt19937 random(10);
    std::normal_distribution<float> normal(0.0F, 3.0F);
    std::vector<float> x(static_cast<std::size_t>(T * H)), weight(static_cast<std::size_t>(H));
    for (float& value : x) value = normal(random);
    for (float& value : weight) value = normal(random);
    DeviceBuffer<float> device_x(x), device_weight(weight);
    DeviceBuffer<std::uint8_t> coded(coded_size(T, H));
    check(cudaMemset(coded.get(), 0xFF, coded.bytes()));
    rmsnorm_coded(device_x.get(), device_weight.get(), coded.get(), T, H, 1e-5F, nullptr);
    const auto bytes = coded.host();
    constexpr int order[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    for (int t = 0; t < T; ++t) {
        const float* row = x.data() + t * H;
        double square = 0;
        for (int h = 0; h < H; ++h) square += double{row[h]} * row[h];
        const double factor = 1 / std::sqrt(square / H + 1e-5);
        for (int step = 0; step < coded_steps(H); ++step) {
            const std::uint8_t* at = bytes.data() + (step * T + t) * coded_bytes;
            float scale = 0;
            std::memcpy(&scale, at + coded_scale, sizeof scale);
            std::array<int, 16> sums{};
            for (int c = 0; c < coded_columns; ++c) {
                const int p = c / 32, q = c % 32 / 8, i = c % 8;
                const auto* placed = std::find(std::begin(order), std::end(order), i);
                const auto place = p / 2 * 64 + q * 16 + p % 2 * 8 + (placed - std::begin(order));
                const int upper = static_cast<std::int8_t>(at[place]);
                const int lower = static_cast<std::int8_t>(at[coded_lower + place]);
                const int integer = 256 * upper + lower;
                sums[static_cast<std::size_t>(c / 16)] += integer;
                const int h = step * coded_columns + c;
                const double want =
                    h < H ? row[h] * factor * weight[static_cast<std::size_t>(h)] : 0.0;
                REQUIRE(std::abs(integer * double{scale} - want) <=
                        0.51 * scale + std::abs(want) * 1e-6);
            }
            REQUIRE(std::memcmp(sums.data(), at + coded_sums, sizeof sums) == 0);
        }
    }
}
