#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/cpu/kernels.h"
#include "engine/model/network.h"
#include "tests/engine/random_weights.h"

using namespace sluice;

namespace {

// Every set of kernels that this processor runs; portable always does.
std::vector<const Kernels*> all_kernels() {
    std::vector<const Kernels*> out;
    for (const char* name : {"portable", "avx2", "avx512"})
        if (auto kernels = choose_kernels(name)) out.push_back(*kernels);
    return out;
}

struct Matrix {
    Tensor tensor;
    std::string bytes;
    std::vector<float> weights;  // [rows, columns]
    std::vector<std::uint8_t> memory;
    PackedMatrix packed;

    Matrix(TensorType type, int rows, int columns, std::mt19937& random, RowOrder order = {}) {
        bytes = random_weights(type, std::int64_t{rows} * columns, random);
        weights = floats_of(type, bytes, std::int64_t{rows} * columns);
        tensor.type = type;
        tensor.dims = {columns, rows};
        tensor.data = reinterpret_cast<const std::uint8_t*>(bytes.data());
        tensor.bytes = static_cast<std::int64_t>(bytes.size());
        packed.type = type;
        packed.rows = rows;
        packed.columns = columns;
        memory.resize(packed.bytes() + 64);
        std::uint8_t* out =
            memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
        packed.data = out;
        // In two pieces, as threads would.
        pack_groups(packed, tensor, order, 0, packed.groups() / 2, out);
        pack_groups(packed, tensor, order, packed.groups() / 2, packed.groups(), out);
    }
};

std::vector<float> random_floats(std::size_t count, std::mt19937& random, float spread = 1.0F) {
    std::normal_distribution<float> normal(0.0F, spread);
    std::vector<float> out(count);
    for (float& x : out) x = normal(random);
    // As in real hidden states, a few are far larger than the rest.
    for (std::size_t i = 5; i < count; i += 97) out[i] *= 30.0F;
    return out;
}

struct Rows {
    std::vector<float> floats;
    std::vector<std::int16_t> codes;
    std::vector<float> scale;
    std::vector<float> sum;
    Activations x;

    Rows(const Kernels& kernels, std::vector<float> values, int tokens, int columns)
        : floats(std::move(values)),
          codes(floats.size()),
          scale(floats.size() / block_columns + 1),
          sum(scale.size()) {
        for (int t = 0; t < tokens && columns % block_columns == 0; ++t) {
            auto at = static_cast<std::size_t>(t) * static_cast<std::size_t>(columns);
            auto block = at / block_columns;
            kernels.quantise(&floats[at], columns, &codes[at], &scale[block], &sum[block]);
        }
        x = {floats.data(), codes.data(), scale.data(), sum.data(), columns};
    }
};

std::vector<float> product(const Kernels& kernels, const Matrix& matrix, const Rows& rows,
                           int tokens, Into into = Into::replace, float start = 0.0F) {
    MatmulArguments m;
    m.matrix = &matrix.packed;
    m.group_end = matrix.packed.groups();
    m.x = rows.x;
    m.tokens = tokens;
    m.stride = static_cast<std::size_t>(matrix.packed.rows) + 3;
    std::vector<float> out(m.stride * static_cast<std::size_t>(tokens), start);
    m.out = out.data();
    m.into = into;
    kernels.matmul(matrix.packed.type)(m);
    return out;
}

// How far a product may be off: half a 16-bit step of each activation, and the rounding of sums.
double tolerance(const Matrix& matrix, const float* x, std::size_t row) {
    auto columns = static_cast<std::size_t>(matrix.packed.columns);
    bool quantised = matrix.packed.quantised();
    double out = 0.0;
    for (std::size_t begin = 0; begin < columns; begin += block_columns) {
        std::size_t end = std::min<std::size_t>(begin + block_columns, columns);
        double largest = 0.0;
        for (std::size_t c = begin; c < end; ++c)
            largest = std::max(largest, std::fabs(static_cast<double>(x[c])));
        // Minimum and code are multiplied apart and cancel in the sum: each is below 0.2 more than
        // the weight in these random blocks.
        for (std::size_t c = begin; c < end; ++c) {
            double weight = std::fabs(static_cast<double>(matrix.weights[row * columns + c]));
            out += weight * (quantised ? largest / 65534 : 0.0);
            out += 4e-7 * (weight + 0.2) * std::fabs(static_cast<double>(x[c]));
        }
    }
    return out;
}

void check_product(const Kernels& kernels, const Matrix& matrix, const Rows& rows, int tokens) {
    auto columns = static_cast<std::size_t>(matrix.packed.columns);
    std::vector<float> out = product(kernels, matrix, rows, tokens);
    std::vector<float> added = product(kernels, matrix, rows, tokens, Into::add, 1.5F);
    std::size_t stride = out.size() / static_cast<std::size_t>(tokens);
    for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
        const float* x = &rows.floats[t * columns];
        for (std::size_t r = 0; r < static_cast<std::size_t>(matrix.packed.rows); ++r) {
            double expected = 0.0;
            for (std::size_t c = 0; c < columns; ++c)
                expected += static_cast<double>(x[c]) *
                            static_cast<double>(matrix.weights[r * columns + c]);
            double off = std::fabs(static_cast<double>(out[t * stride + r]) - expected);
            if (off > tolerance(matrix, x, r))
                FAIL("row " << r << " token " << t << ": " << out[t * stride + r] << ", expected "
                            << expected << " within " << tolerance(matrix, x, r));
            REQUIRE(added[t * stride + r] == out[t * stride + r] + 1.5F);
        }
        REQUIRE(out[t * stride + static_cast<std::size_t>(matrix.packed.rows)] == 0.0F);
    }
}

}  // namespace

TEST_CASE("packing loses nothing, in any format", "[cpu]") {
    std::mt19937 random(1);
    for (TensorType type : all_tensor_types()) {
        INFO(type_name(type));
        int columns = block_weights(type) == 1 ? 19 : 512;
        Matrix matrix(type, 43, columns, random);
        std::vector<float> row(static_cast<std::size_t>(columns));
        for (std::size_t r = 0; r < 43; ++r) {
            unpack_row(matrix.packed, static_cast<int>(r), row.data());
            for (std::size_t c = 0; c < row.size(); ++c)
                REQUIRE(row[c] == matrix.weights[r * row.size() + c]);
        }
    }
}

TEST_CASE("packing moves a permuted head's rows to their pairs", "[cpu]") {
    std::mt19937 random(2);
    // Heads of 20 rows, the first 12 of which rotate: file rows 0, 1 are the pair (0, 6).
    Matrix matrix(TensorType::q4_0, 60, 64, random, {20, 12});
    const int expected[] = {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    std::vector<float> row(64);
    for (int r = 0; r < 60; ++r) {
        unpack_row(matrix.packed, r, row.data());
        auto from = static_cast<std::size_t>(r - r % 20 + expected[r % 20]);
        for (std::size_t c = 0; c < 64; ++c) REQUIRE(row[c] == matrix.weights[from * 64 + c]);
    }
}

TEST_CASE("products agree with plain loops in every format on every path", "[cpu]") {
    std::mt19937 random(3);
    struct Shape {
        int rows, columns, tokens;
    };
    for (const Kernels* kernels : all_kernels()) {
        for (TensorType type : all_tensor_types()) {
            bool plain = block_weights(type) == 1;
            bool wide = block_weights(type) == 256;
            // The starter model's widths, and ragged ones.
            const Shape shapes[] = {{192, wide ? 768 : 576, 5},
                                    {37, 1536, 13},
                                    {16, plain ? 1 : 256, 1},
                                    {1, plain ? 45 : 256, 9},
                                    {50, plain ? 77 : 512, 16}};
            for (const Shape& shape : shapes) {
                INFO(kernels->name << " " << type_name(type) << " [" << shape.rows << ", "
                                   << shape.columns << "] x " << shape.tokens);
                Matrix matrix(type, shape.rows, shape.columns, random);
                auto count = static_cast<std::size_t>(shape.tokens * shape.columns);
                Rows rows(*kernels, random_floats(count, random), shape.tokens, shape.columns);
                check_product(*kernels, matrix, rows, shape.tokens);
            }
        }
    }
}

TEST_CASE("a token's product has the same bits whatever tokens are beside it", "[cpu]") {
    std::mt19937 random(4);
    for (const Kernels* kernels : all_kernels()) {
        for (TensorType type : all_tensor_types()) {
            INFO(kernels->name << " " << type_name(type));
            Matrix matrix(type, 40, 256, random);
            std::vector<float> values = random_floats(15 * 256, random);
            Rows all(*kernels, values, 15, 256);
            std::vector<float> together = product(*kernels, matrix, all, 15);
            for (std::size_t t = 0; t < 15; ++t) {
                auto at = values.begin() + static_cast<std::ptrdiff_t>(t * 256);
                Rows one(*kernels, {at, at + 256}, 1, 256);
                std::vector<float> alone = product(*kernels, matrix, one, 1);
                for (std::size_t r = 0; r < 40; ++r) REQUIRE(alone[r] == together[t * 43 + r]);
            }
        }
    }
}

TEST_CASE("activations are rounded to 16 bits of their block's largest", "[cpu]") {
    std::mt19937 random(5);
    std::vector<float> x = random_floats(128, random);
    for (std::size_t i = 64; i < 96; ++i) x[i] = 0.0F;
    for (std::size_t i = 96; i < 128; ++i) x[i] = 1e-40F;  // too small to scale: zero
    for (const Kernels* kernels : all_kernels()) {
        INFO(kernels->name);
        Rows rows(*kernels, x, 1, 128);
        for (std::size_t i = 0; i < 128; ++i) {
            float step = rows.scale[i / 32];
            float back = static_cast<float>(rows.codes[i]) * step;
            REQUIRE(std::fabs(back - x[i]) <= 0.5001F * step + 1e-39F);
        }
        for (std::size_t block = 0; block < 4; ++block) {
            int sum = std::accumulate(&rows.codes[block * 32], &rows.codes[block * 32] + 32, 0);
            CHECK(rows.sum[block] == rows.scale[block] * static_cast<float>(sum));
        }
    }
}

TEST_CASE("a NaN or an infinity survives quantisation", "[cpu]") {
    for (float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        for (const Kernels* kernels : all_kernels()) {
            for (std::size_t at : {0, 7, 31}) {
                std::vector<float> x(64, 1.0F);
                x[32 + at] = bad;
                Rows rows(*kernels, x, 1, 64);
                CHECK(rows.scale[0] == 1.0F / 32767.0F);
                CHECK(std::isnan(rows.scale[1]));
            }
        }
    }
}

TEST_CASE("norm, gate and rotation agree with plain loops", "[cpu]") {
    std::mt19937 random(6);
    for (const Kernels* kernels : all_kernels()) {
        for (std::size_t count : {576, 40, 3}) {
            INFO(kernels->name << " " << count);
            auto size = static_cast<int>(count);
            std::vector<float> x = random_floats(count, random);
            std::vector<float> weight = random_floats(count, random);
            std::vector<float> out(count);
            kernels->rmsnorm(out.data(), x.data(), weight.data(), size, 1e-5F);
            double squares = 0.0;
            for (float value : x)
                squares += static_cast<double>(value) * static_cast<double>(value);
            double factor = 1.0 / std::sqrt(squares / static_cast<double>(count) + 1e-5);
            for (std::size_t i = 0; i < count; ++i)
                REQUIRE(out[i] ==
                        Approx(static_cast<double>(x[i]) * factor * static_cast<double>(weight[i]))
                            .epsilon(1e-6));
            std::vector<float> gate = random_floats(count, random, 8.0F);
            gate[0] = -200.0F;
            gate[1] = 200.0F;
            std::vector<float> gated = gate;
            kernels->silu_multiply(gated.data(), weight.data(), size);
            for (std::size_t i = 0; i < count; ++i) {
                auto g = static_cast<double>(gate[i]);
                double expected = g / (1.0 + std::exp(-g)) * static_cast<double>(weight[i]);
                REQUIRE(gated[i] == Approx(expected).epsilon(1e-6).margin(1e-30));
            }
        }
        for (std::size_t pairs : {32, 5}) {
            std::vector<float> head = random_floats(2 * pairs + 4, random);
            std::vector<float> cosine;
            std::vector<float> sine;
            for (std::size_t i = 0; i < pairs; ++i) {
                cosine.push_back(static_cast<float>(std::cos(0.3 * static_cast<double>(i))));
                sine.push_back(static_cast<float>(std::sin(0.3 * static_cast<double>(i))));
            }
            std::vector<float> turned = head;
            kernels->rotate(turned.data(), cosine.data(), sine.data(), static_cast<int>(pairs));
            for (std::size_t i = 0; i < pairs; ++i) {
                float a = head[i];
                float b = head[pairs + i];
                CHECK(turned[i] == Approx(a * cosine[i] - b * sine[i]).margin(1e-5));
                CHECK(turned[pairs + i] == Approx(a * sine[i] + b * cosine[i]).margin(1e-5));
            }
            CHECK(turned.back() == head.back());  // what lies past the pairs stays
        }
    }
}

TEST_CASE("an unknown set of kernels is refused by name", "[cpu]") {
    auto kernels = choose_kernels("mmx");
    REQUIRE(!kernels);
    CHECK(kernels.error().message ==
          "unknown CPU kernels 'mmx', there are portable, avx2 and avx512");
}
