#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cuda/embed.h"
#include "engine/cuda/step_sizes.h"
#include "tests/cuda/device_buffer.h"
#include "tests/engine/random_weights.h"

using namespace sluice;
using namespace sluice::cuda;

TEST_CASE("rows of an embedding in any format come out as the file means them", "[embed]") {
    const TensorType type = GENERATE(from_range(all_tensor_types()));
    CAPTURE(type_name(type));
    constexpr int V = 9, H = 512;
    std::mt19937 random(3);
    const std::string bytes = random_weights(type, V * H, random);
    const std::vector<float> want = floats_of(type, bytes, V * H);
    DeviceBuffer<std::uint8_t> blocks(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
    DeviceBuffer<std::int32_t> token(std::vector<std::int32_t>{8, -1, 0, 5});
    DeviceBuffer<std::int32_t> slot(std::vector<std::int32_t>{0, 1, 2, -1});
    DeviceBuffer<std::int32_t> last(std::vector<std::int32_t>{1, 4, 1});
    DeviceBuffer<float> x(std::size_t{4} * H);
    embed(type, blocks.get(), token.get(), slot.get(), last.get(), x.get(), 4, H, nullptr);
    const auto got = x.host();
    const int rows[] = {8, 4, 0, 0};  // the last is padding
    for (std::size_t t = 0; t < 4; ++t)
        for (std::size_t h = 0; h < H; ++h) {
            const float exact = want[static_cast<std::size_t>(rows[t]) * H + h];
            REQUIRE(std::abs(got[t * H + h] - exact) <= std::abs(exact) * 1e-6F);
        }
}

TEST_CASE("picked rows come in order, and what is behind them is zero", "[embed]") {
    constexpr int rows = 200, width = 24;  // numbers
    std::vector<float> numbers;
    for (int i = 0; i < rows * width; ++i) numbers.push_back(static_cast<float>(i + 1));
    const std::vector<std::int32_t> which = {199, 0, 7, 7, 130};
    const int S = static_cast<int>(which.size());
    const auto padded = static_cast<std::size_t>(buffer_rows(S));
    DeviceBuffer<float> from(numbers);
    DeviceBuffer<std::int32_t> row(which);
    DeviceBuffer<float> wide(std::vector<float>(padded * width, -1.0F));
    DeviceBuffer<float> narrow(std::vector<float>(padded * width, -1.0F));
    // The second as rows of four numbers.
    pick_rows(row.get(), S, {from.get(), wide.get(), width * 4}, {from.get(), narrow.get(), 16},
              nullptr);
    const auto got = wide.host();
    const auto four = narrow.host();
    for (std::size_t i = 0; i < padded; ++i)
        for (std::size_t c = 0; c < width; ++c) {
            const bool picked = i < which.size();
            const auto r = picked ? static_cast<std::size_t>(which[i]) : 0;
            REQUIRE(got[i * width + c] == (picked ? numbers[r * width + c] : 0.0F));
            if (c < 4) REQUIRE(four[i * 4 + c] == (picked ? numbers[r * 4 + c] : 0.0F));
        }
    REQUIRE(four[padded * 4] == -1.0F);
}

TEST_CASE("random blocks are numbers of the size that a network needs", "[embed]") {
    const TensorType type = GENERATE(from_range(all_tensor_types()));
    CAPTURE(type_name(type));
    constexpr int columns = 1024, rows = 64;
    const std::int64_t bytes =
        std::int64_t{columns} * rows / block_weights(type) * block_bytes(type);
    DeviceBuffer<std::uint8_t> blocks(static_cast<std::size_t>(bytes));
    random_blocks(type, blocks.get(), bytes, 7, columns, nullptr);
    const auto host = blocks.host();
    const auto values = floats_of(type, {host.begin(), host.end()}, columns * rows);
    double sum = 0, squares = 0;
    for (float value : values) {
        REQUIRE(std::isfinite(value));
        sum += static_cast<double>(value);
        squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double count = columns * rows;
    const double size = std::sqrt(squares / count) * std::sqrt(columns);
    CHECK(size > 0.8);
    CHECK(size < 1.25);
    CHECK(std::abs(sum / count) * std::sqrt(columns) < 0.2);  // q4_0 is off by half a code
}

TEST_CASE("SwiGLU bounds what f16 cannot hold", "[embed]") {
    constexpr int F = 8;
    std::vector<f16> rows;
    const float values[] = {1.0F, -2.0F, 3.0F,     INFINITY, -1.0F,     2.0F, 0.125F, -0.0F,
                            0.5F, 0.25F, 60000.0F, 2.0F,     -65504.0F, 1.0F, 8.0F,   3.0F};
    for (float value : values) rows.push_back(__float2half_rn(value));
    DeviceBuffer<f16> gate_up(rows);
    DeviceBuffer<f16> out(F);
    swiglu_f16(gate_up.get(), out.get(), 1, F, nullptr);
    const auto got = out.host();
    for (int i = 0; i < F; ++i) {
        const double g = 16.0 * std::min(static_cast<double>(values[i]), 65504.0);
        const double exact = g / (1 + std::exp(-g)) * static_cast<double>(values[F + i]);
        const double want = std::min(exact, 65504.0);
        CHECK(std::abs(static_cast<double>(__half2float(got[static_cast<std::size_t>(i)])) -
                       want) <= std::abs(want) * 2e-3 + 1e-6);
    }
}
