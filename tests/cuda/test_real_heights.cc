// Products as high as the 32B's own: gate and up of 27,648 rows each, an output of 152,064. A
// thousand rows of numbers stand many times behind one another, so that plain loops stay short.
#include <array>
#include <catch2/catch.hpp>
#include <span>

#include "engine/cuda/arranged.h"
#include "engine/cuda/coded.h"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/matmul_warpgroup.h"
#include "engine/cuda/weight_layout.cuh"
#include "tests/cuda/capability.h"
#include "tests/cuda/plain_product.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

constexpr int columns = 5120, tokens_most = 130;
constexpr std::array<std::size_t, 4> tokens = {0, 2, 63, 129};  // that plain loops compute

enum class By { decode, codes, warpgroups };

std::string name_of(By way, WeightFormat format, int T) {
    const char* names[] = {"matmul_decode ", "matmul_codes ", "matmul_warpgroup "};
    return names[static_cast<int>(way)] + format_name(format) + ", " + std::to_string(T) +
           " tokens, ";
}

template <class Out>
std::vector<Out> run(By way, std::span<const Product> products, const Activations& x, int T,
                     int out_rows, Into into, float scale) {
    DeviceBuffer<std::uint16_t> plain(
        std::vector<std::uint16_t>(x.bits.begin(), x.bits.begin() + T * columns));
    DeviceBuffer<Out> out(std::vector<Out>(
        static_cast<std::size_t>(T) * static_cast<std::size_t>(out_rows), Out{0x7FFF}));
    const auto zeroed = [](std::size_t bytes) {
        return DeviceBuffer<std::uint8_t>(std::vector<std::uint8_t>(bytes, 0));
    };
    const auto* halves = reinterpret_cast<const f16*>(plain.get());
    if (way == By::warpgroups) {
        auto workspace = zeroed(warpgroup_workspace_bytes());
        DeviceBuffer<std::uint8_t> arranged(arranged_bytes(warpgroup_rows(T), columns));
        arrange(halves, arranged.get(), T, warpgroup_rows(T), columns, nullptr);
        matmul_warpgroup(products, arranged.get(), T, out.get(), out_rows, into, false, scale,
                         workspace.get(), {}, nullptr);
        return out.host();
    }
    auto workspace = zeroed(matmul_workspace_bytes());
    if (way == By::decode) {
        matmul_decode(products, plain.get(), T, out.get(), out_rows, into, scale, workspace.get(),
                      {}, nullptr);
        return out.host();
    }
    DeviceBuffer<std::uint8_t> coded(coded_size(T, columns));
    REQUIRE(matmul_codes_takes(products));
    code_activations(halves, T, columns, coded.get(), nullptr);
    matmul_codes(products, {coded.get()}, T, out.get(), out_rows, into, scale, workspace.get(), {},
                 nullptr);
    return out.host();
}

// [tokens, source.rows]
std::vector<double> wanted(const RandomMatrix& source, const Activations& x) {
    std::vector<double> out;
    for (std::size_t t : tokens)
        for (std::size_t r = 0; r < static_cast<std::size_t>(source.rows); ++r) {
            double sum = 0;
            for (std::size_t c = 0; c < columns; ++c)
                sum += double{x.numbers[t * columns + c]} * source.numbers[r * columns + c];
            out.push_back(sum);
        }
    return out;
}

// The ways that this device has for so many tokens of quantised weights.
std::vector<std::pair<By, int>> ways(const Product& product) {
    std::vector<std::pair<By, int>> out = {{By::codes, 1}, {By::codes, 3}, {By::decode, 3}};
    REQUIRE(warpgroup_takes({&product, 1}) == has_wgmma());
    if (has_wgmma()) {
        out.emplace_back(By::warpgroups, 64);
        out.emplace_back(By::warpgroups, tokens_most);
    }
    return out;
}

}  // namespace

TEST_CASE("an output of 152,064 rows is right in each", "[real_heights][large]") {
    std::mt19937 random(31);
    const WeightFormat format = GENERATE(WeightFormat::q6_k, WeightFormat::bf16);
    const bool brain = reads_bf16(format);
    constexpr int part = 1188;
    const RandomMatrix source(format, part, columns, random);
    const DeviceMatrix matrix(source, 128);
    const Activations x(tokens_most, columns, brain, random);
    const std::vector<double> want = wanted(source, x);
    const double size = root_mean_square(want);
    const auto rows = static_cast<std::size_t>(matrix.get().rows);
    const Product product{matrix.get(), 0};
    for (const auto& [way, T] : brain ? std::vector{std::pair{By::decode, 3}} : ways(product)) {
        Nearness near(name_of(way, format, T) + "152,064 rows");
        const auto out = run<float>(way, {&product, 1}, x, T, matrix.get().rows, Into::store, 1.0F);
        for (std::size_t i = 0; i < tokens.size() && tokens[i] < static_cast<std::size_t>(T); ++i)
            for (std::size_t r = 0; r < rows; ++r)
                near.require(out[tokens[i] * rows + r], want[i * part + r % part], size);
    }
}

TEST_CASE("gate and up of 55,296 rows become SwiGLU", "[real_heights][large]") {
    std::mt19937 random(32);
    constexpr int part = 1152;
    const RandomMatrix gate(WeightFormat::q4_k, part, columns, random),
        up(WeightFormat::q4_k, part, columns, random);
    const DeviceMatrix device_gate(gate, 24), device_up(up, 24);
    const Activations x(tokens_most, columns, false, random);
    const std::vector<double> gates = wanted(gate, x), ups = wanted(up, x);
    const auto scale = static_cast<float>(1 / root_mean_square(gates));
    const std::array products = {Product{device_gate.get(), 0}, Product{device_up.get(), 0}};
    const auto rows = static_cast<std::size_t>(device_gate.get().rows);
    for (const auto& [way, T] : ways(products[0])) {
        Nearness near(name_of(way, WeightFormat::q4_k, T) + "55,296 rows");
        const auto out =
            run<std::uint16_t>(way, products, x, T, device_gate.get().rows, Into::swiglu, scale);
        for (std::size_t i = 0; i < tokens.size() && tokens[i] < static_cast<std::size_t>(T); ++i)
            for (std::size_t r = 0; r < rows; ++r) {
                const double g = gates[i * part + r % part] * scale;
                const double u = ups[i * part + r % part] * scale;
                near.require(float_from_half(out[tokens[i] * rows + r]) * swiglu_scale,
                             g / (1 + std::exp(-g)) * u, 8.0);
            }
    }
}
