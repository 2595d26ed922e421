#include <catch2/catch.hpp>

#include "engine/cuda/arranged.h"
#include "engine/cuda/matmul_warpgroup.h"
#include "tests/cuda/capability.h"
#include "tests/cuda/measured.h"
#include "tests/cuda/weight_planes.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

struct Activations {
    std::vector<f16> values;
    std::vector<float> numbers;
    int columns;

    Activations(int T, int C, std::mt19937& random) : columns(C) {
        std::normal_distribution<float> normal(0.0F, 1.0F);
        for (int i = 0; i < T * C; ++i) {
            values.push_back(__ushort_as_half(half_from_float(normal(random))));
            numbers.push_back(float_from_half(__half_as_ushort(values.back())));
        }
    }
};

class WarpgroupRig {
public:
    WarpgroupRig() : workspace_(warpgroup_workspace_bytes()) {
        check(cudaMemset(workspace_.get(), 0, workspace_.bytes()));
    }
    template <class Out>
    std::vector<Out> run(std::span<const Product> products, const Activations& x, int T,
                         std::vector<Out> out, int out_stride, Into into, float scale = 1.0F,
                         bool out_arranged = false) {
        const auto count = static_cast<std::size_t>(T * x.columns);
        DeviceBuffer<f16> plain(std::vector<f16>(x.values.data(), x.values.data() + count));
        DeviceBuffer<std::uint8_t> arranged(arranged_bytes(warpgroup_rows(T), x.columns));
        arrange(plain.get(), arranged.get(), T, warpgroup_rows(T), x.columns, nullptr);
        DeviceBuffer<Out> device_out(out);
        matmul_warpgroup(products, arranged.get(), T, device_out.get(), out_stride, into,
                         out_arranged, scale, workspace_.get(), {}, nullptr);
        return device_out.host();
    }

private:
    DeviceBuffer<std::uint8_t> workspace_;
};

double plain_product(const RandomMatrix& matrix, const Activations& x, std::size_t t,
                     std::size_t r) {
    const auto columns = static_cast<std::size_t>(matrix.columns);
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c)
        sum += double{x.numbers[t * columns + c]} * matrix.weight(r, c);
    return sum;
}

// Products of every row with some tokens: the first, the last, and each tile's edges.
struct Wanted {
    std::vector<std::size_t> tokens;
    std::vector<double> values;  // [tokens, rows]
    double size = 0;

    Wanted(const RandomMatrix& matrix, const Activations& x, std::vector<std::size_t> of)
        : tokens(std::move(of)) {
        for (std::size_t t : tokens)
            for (int r = 0; r < matrix.rows; ++r) {
                values.push_back(plain_product(matrix, x, t, static_cast<std::size_t>(r)));
                size += values.back() * values.back();
            }
        size = std::sqrt(size / static_cast<double>(values.size()));
    }
};

std::vector<float> poison(int count) {
    return std::vector<float>(static_cast<std::size_t>(count), std::nanf(""));
}

std::vector<WeightFormat> taken_formats() {
    using enum WeightFormat;
    return {q8_0, q4_0, q4_1, q4_k, q5_k, q6_k};
}

// false, and a word, where the device has none of these kernels.
bool has_warpgroups() {
    std::mt19937 random(1);
    const RandomMatrix source(WeightFormat::q4_k, 16, 256, random);
    const DeviceMatrix matrix(source);
    const Product product{matrix.get(), 0};
    const bool takes = warpgroup_takes({&product, 1});
    REQUIRE(takes == has_wgmma());
    if (takes) return true;
    WARN("this device has no warpgroup products");
    return false;
}

}  // namespace

TEST_CASE("activations are arranged as arranged_place says", "[matmul_warpgroup][small]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(20);
    const int T = 19, rows = 32, columns = 288;
    const Activations x(T, columns, random);
    DeviceBuffer<f16> plain(x.values);
    DeviceBuffer<f16> arranged(arranged_bytes(rows, columns) / sizeof(f16));
    arrange(plain.get(), arranged.get(), T, rows, columns, nullptr);
    const auto out = arranged.host();
    for (int t = 0; t < T; ++t)
        for (int c = 0; c < padded_columns(columns); ++c) {
            const auto at =
                static_cast<std::size_t>(arranged_place(t, c - c % 2, rows) / 2 + c % 2);
            const float want =
                c < columns ? x.numbers[static_cast<std::size_t>(t * columns + c)] : 0.0F;
            REQUIRE(__half2float(out[at]) == want);
        }
}

TEST_CASE("warpgroups multiply every format by any number of tokens", "[matmul_warpgroup]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(21);
    const WeightFormat format = GENERATE(from_range(taken_formats()));
    // Scales as they are usual, and below the smallest normal f16.
    const auto [rows, blocks, scale] = GENERATE(table<int, int, float>(
        {{49, 18, 1e-2F}, {49, 18, 5e-4F}, {49, 18, 5e-5F}, {600, 3, 1e-2F}, {5, 1, 1e-2F}}));
    const int columns = blocks * block_columns(format);
    INFO("format " << static_cast<int>(format) << ", " << rows << " x " << columns << ", "
                   << scale);
    Nearness near("matmul_warpgroup " + format_name(format));
    const RandomMatrix source(format, rows, columns, random, scale);
    const DeviceMatrix matrix(source);
    const int most = 320;
    const Activations x(most, columns, random);
    std::vector<std::size_t> tokens;
    for (std::size_t t = 0; t<most; t += rows> 500 ? 23 : 1) tokens.push_back(t);
    const Wanted want(source, x, tokens);
    WarpgroupRig rig;
    const int stride = rows + 6;
    const Product product{matrix.get(), 3};
    for (int T : {1, 9, 16, 17, 32, 33, 64, 65, 128, 129, 320}) {
        INFO("T " << T);
        const auto stored =
            rig.run<float>({&product, 1}, x, T, poison(T * stride), stride, Into::store);
        const auto added = rig.run<float>(
            {&product, 1}, x, T, std::vector<float>(static_cast<std::size_t>(T * stride), 0.5F),
            stride, Into::add, 2.0F);
        for (int t = 0; t < T; ++t)
            for (int c = 0; c < stride; ++c) {
                const auto at = static_cast<std::size_t>(t * stride + c);
                const bool inside = c >= 3 && c < 3 + rows;
                REQUIRE(std::isnan(stored[at]) != inside);
                REQUIRE(added[at] == (inside ? 0.5F + 2 * stored[at] : 0.5F));
            }
        for (std::size_t i = 0; i < tokens.size() && tokens[i] < static_cast<std::size_t>(T); ++i)
            for (int r = 0; r < rows; ++r) {
                const auto at =
                    tokens[i] * static_cast<std::size_t>(stride) + static_cast<std::size_t>(r + 3);
                const double one =
                    want.values[i * static_cast<std::size_t>(rows) + static_cast<std::size_t>(r)];
                near.require(stored[at], one, want.size);
            }
    }
}

TEST_CASE("warpgroups multiply more tiles than the device takes at once",
          "[matmul_warpgroup][large]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(25);
    const WeightFormat format =
        GENERATE(WeightFormat::q4_k, WeightFormat::q6_k, WeightFormat::q8_0);
    constexpr int rows = 5120, columns = 1280, most = 2400;
    Nearness near("matmul_warpgroup of many tiles " + format_name(format));
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const Activations x(most, columns, random);
    const std::vector<std::size_t> tokens = {0, 127, 128, 500, 1099, 1700, 2399};
    const Wanted want(source, x, tokens);
    const Product product{matrix.get(), 0};
    WarpgroupRig rig;
    for (int T : {1100, most}) {
        INFO("T " << T);
        const auto out = rig.run<float>({&product, 1}, x, T, poison(T * rows), rows, Into::store);
        for (float value : out) REQUIRE(!std::isnan(value));
        for (std::size_t i = 0; i < tokens.size() && tokens[i] < static_cast<std::size_t>(T); ++i)
            for (std::size_t r = 0; r < rows; ++r)
                near.require(out[tokens[i] * rows + r], want.values[i * rows + r], want.size);
        REQUIRE(out == rig.run<float>({&product, 1}, x, T, poison(T * rows), rows, Into::store));
    }
}

TEST_CASE("what is no number reaches every row of its token and no other's by warpgroups",
          "[matmul_warpgroup][small]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(26);
    const std::uint16_t bits = GENERATE(std::uint16_t{0x7C00}, std::uint16_t{0x7E00});
    // Whole steps of 256 columns, and one that the row does not fill.
    const auto [format, columns] =
        GENERATE(table<WeightFormat, int>({{WeightFormat::q4_k, 512}, {WeightFormat::q4_0, 320}}));
    const int T = GENERATE(20, 100);
    constexpr int rows = 80, bad = 7;
    INFO("format " << static_cast<int>(format) << ", " << columns << " columns, T " << T);
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    Activations x(T, columns, random);
    x.values[static_cast<std::size_t>(bad * columns + 300)] = __ushort_as_half(bits);
    const Product product{matrix.get(), 0};
    const auto out =
        WarpgroupRig().run<float>({&product, 1}, x, T, poison(T * rows), rows, Into::store);
    for (std::size_t i = 0; i < out.size(); ++i)
        REQUIRE(std::isfinite(out[i]) == (i / rows != bad));
}

TEST_CASE("warpgroups turn gate and up into SwiGLU", "[matmul_warpgroup][small]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(22);
    const WeightFormat format = GENERATE(from_range(taken_formats()));
    const int rows = 296;
    const int columns = 4 * block_columns(format);
    INFO("format " << static_cast<int>(format));
    Nearness near("matmul_warpgroup SwiGLU " + format_name(format));
    const RandomMatrix gate(format, rows, columns, random), up(format, rows, columns, random);
    const DeviceMatrix device_gate(gate), device_up(up);
    const Activations x(130, columns, random);
    const std::vector<std::size_t> tokens = {0, 7, 8, 15, 31, 63, 64, 127, 129};
    const Wanted gates(gate, x, tokens), ups(up, x, tokens);
    const float scale = 1.0F / static_cast<float>(gates.size);
    const std::array products = {Product{device_gate.get(), 0}, Product{device_up.get(), 0}};
    WarpgroupRig rig;
    for (int T : {16, 32, 64, 130}) {
        const auto out = rig.run<std::uint16_t>(
            products, x, T, std::vector<std::uint16_t>(static_cast<std::size_t>(T * rows), 0x7FFF),
            rows, Into::swiglu, scale);
        for (std::size_t i = 0; i < tokens.size() && tokens[i] < static_cast<std::size_t>(T); ++i)
            for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
                const double g = gates.values[i * rows + r] * scale;
                const double u = ups.values[i * rows + r] * scale;
                const double got = float_from_half(out[tokens[i] * rows + r]) * swiglu_scale;
                near.require(got, g / (1 + std::exp(-g)) * u, 8.0);
            }
        const int out_rows = warpgroup_rows(T);
        const auto arranged = rig.run<std::uint16_t>(
            products, x, T, std::vector<std::uint16_t>(arranged_bytes(out_rows, rows) / 2, 0), rows,
            Into::swiglu, scale, true);
        for (int t = 0; t < T; ++t)
            for (int r = 0; r < rows; ++r) {
                const std::int64_t at = arranged_place(t, r - r % 2, out_rows) / 2 + r % 2;
                REQUIRE(arranged[static_cast<std::size_t>(at)] ==
                        out[static_cast<std::size_t>(t * rows + r)]);
            }
    }
}

TEST_CASE("warpgroups multiply mixed formats", "[matmul_warpgroup][small]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(23);
    using enum WeightFormat;
    const auto formats = GENERATE(values<std::array<WeightFormat, 3>>(
        {{q4_k, q4_k, q6_k}, {q5_k, q5_k, q6_k}, {q6_k, q4_k, q4_k}}));
    const int columns = 1280;
    const std::array rows = {800, 32, 520};
    Nearness near("matmul_warpgroup of mixed formats");
    std::vector<RandomMatrix> sources;
    for (std::size_t i = 0; i < 3; ++i) sources.emplace_back(formats[i], rows[i], columns, random);
    const DeviceMatrix first(sources[0]), second(sources[1]), third(sources[2]);
    const std::array products = {Product{first.get(), 0}, Product{second.get(), 800},
                                 Product{third.get(), 832}};
    const Activations x(96, columns, random);
    const std::vector<std::size_t> tokens = {0, 9, 16, 20, 95};
    WarpgroupRig rig;
    for (int T : {17, 96}) {
        const auto out = rig.run<float>(products, x, T, poison(T * 1352), 1352, Into::store);
        for (std::size_t i = 0; i < 3; ++i) {
            const Wanted want(sources[i], x, tokens);
            for (std::size_t k = 0; k < tokens.size() && tokens[k] < static_cast<std::size_t>(T);
                 ++k)
                for (std::size_t r = 0; r < static_cast<std::size_t>(rows[i]); ++r)
                    near.require(out[tokens[k] * 1352 +
                                     static_cast<std::size_t>(products[i].out_column) + r],
                                 want.values[k * static_cast<std::size_t>(rows[i]) + r], want.size);
        }
    }
}

TEST_CASE("a token's result is the same to the bit beside any others of a tile, and twice",
          "[matmul_warpgroup][large]") {
    if (!has_warpgroups()) return;
    std::mt19937 random(24);
    const WeightFormat format = GENERATE(WeightFormat::q4_k, WeightFormat::q6_k);
    // Many pieces of each item, and items of two.
    const auto [rows, columns] = GENERATE(table<int, int>({{600, 27648}, {5120, 5120}}));
    const RandomMatrix source(format, rows, columns, random);
    const DeviceMatrix matrix(source);
    const Activations x(64, columns, random);
    const Product product{matrix.get(), 0};
    WarpgroupRig rig;
    const auto all = rig.run<float>({&product, 1}, x, 64, poison(64 * rows), rows, Into::store);
    for (int T : {64, 9, 17, 33, 50}) {
        const auto some = rig.run<float>({&product, 1}, x, T, poison(T * rows), rows, Into::store);
        REQUIRE(std::equal(some.begin(), some.end(), all.begin()));
    }
    const Wanted want(source, x, {0, 57});
    double error = 0;
    for (std::size_t i = 0; i < want.values.size(); ++i) {
        const std::size_t t = want.tokens[i / static_cast<std::size_t>(rows)];
        const std::size_t r = i % static_cast<std::size_t>(rows);
        const double off = all[t * static_cast<std::size_t>(rows) + r] - want.values[i];
        error += off * off / static_cast<double>(want.values.size());
    }
    REQUIRE(std::sqrt(error) <= 5e-4 * want.size);
}
