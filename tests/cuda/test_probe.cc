// The linear head over hidden states against plain loops.
#include "engine/cuda/probe.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/cuda/dims.h"
#include "tests/cuda/device_buffer.h"

using namespace sluice::cuda;

namespace {

template <class T>
void check_probe(int rows, int columns, T (*code)(float), float (*value)(T)) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<T> x;
    std::vector<float> weight;
    for (int i = 0; i < columns; ++i) weight.push_back(normal(random));
    std::vector<double> want, size;
    for (int row = 0; row < rows; ++row) {
        double sum = 0.25, squares = sum * sum;
        for (int i = 0; i < columns; ++i) {
            x.push_back(code(normal(random)));
            const double part =
                double{value(x.back())} * double{weight[static_cast<std::size_t>(i)]};
            sum += part;
            squares += part * part;
        }
        want.push_back(sum);
        size.push_back(std::sqrt(squares));
    }
    DeviceBuffer<T> states(x);
    DeviceBuffer<float> on_device(weight), values(want.size());
    probe(states.get(), std::is_same_v<T, bf16>, on_device.get(), 0.25F, values.get(), rows,
          columns, nullptr);
    const std::vector<float> found = values.host();
    for (std::size_t row = 0; row < want.size(); ++row) {
        CAPTURE(rows, columns, row);
        CHECK(std::abs(double{found[row]} - want[row]) <= 1e-6 * size[row]);
    }
}

}  // namespace

TEST_CASE("the probe's value of each row is its weighted sum", "[probe]") {
    const int rows = GENERATE(1, 7, 256);
    const int columns = GENERATE(1, 255, 576, 5120);
    check_probe<f16>(
        rows, columns, [](float v) { return __float2half(v); },
        [](f16 v) { return __half2float(v); });
    check_probe<bf16>(
        rows, columns, [](float v) { return __float2bfloat16(v); },
        [](bf16 v) { return __bfloat162float(v); });
}
