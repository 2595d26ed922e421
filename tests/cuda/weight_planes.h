// A random matrix of any format: its file blocks, its numbers, and its planes on the device.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "engine/cuda/matrix.h"
#include "tests/cuda/device_buffer.h"
#include "tests/engine/random_weights.h"

namespace sluice::cuda {

inline const std::vector<WeightFormat>& all_weight_formats() {
    using enum WeightFormat;
    static const std::vector<WeightFormat> formats = {bf16, f16,  fp8_e4m3, q8_0, q4_0,
                                                      q4_1, q4_k, q5_k,     q6_k};
    return formats;
}

inline TensorType tensor_type(WeightFormat format) {
    switch (format) {
        case WeightFormat::bf16:
            return TensorType::bf16;
        case WeightFormat::f16:
        case WeightFormat::fp8_e4m3:  // not a GGUF type: see blocks_of
            return TensorType::f16;
        case WeightFormat::q8_0:
            return TensorType::q8_0;
        case WeightFormat::q4_0:
            return TensorType::q4_0;
        case WeightFormat::q4_1:
            return TensorType::q4_1;
        case WeightFormat::q4_k:
            return TensorType::q4_k;
        case WeightFormat::q5_k:
            return TensorType::q5_k;
        case WeightFormat::q6_k:
            return TensorType::q6_k;
    }
    return TensorType::f32;
}

inline std::string format_name(WeightFormat format) {
    return format == WeightFormat::fp8_e4m3 ? "fp8" : std::string(type_name(tensor_type(format)));
}

inline int block_columns(WeightFormat format) {
    return std::max(16, block_weights(tensor_type(format)));
}

inline float float_from_fp8(std::uint8_t bits) {
    const int exponent = bits >> 3 & 15;
    const int fraction = bits & 7;
    const float magnitude = exponent == 0
                                ? std::ldexp(static_cast<float>(fraction), -9)
                                : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    return bits >> 7 != 0 ? -magnitude : magnitude;
}

struct RandomMatrix {
    WeightFormat format;
    int rows;
    int columns;
    std::string blocks;
    std::vector<float> numbers;    // without row_scale
    std::vector<float> row_scale;  // fp8

    // `scale` of random_weights(); fp8 has none.
    RandomMatrix(WeightFormat of, int R, int C, std::mt19937& random, float scale = 0.01F)
        : format(of), rows(R), columns(C) {
        const std::int64_t count = std::int64_t{R} * C;
        if (of != WeightFormat::fp8_e4m3) {
            blocks = random_weights(tensor_type(of), count, random, scale);
            numbers = floats_of(tensor_type(of), blocks, count);
            return;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            auto byte = static_cast<std::uint8_t>(random());
            if ((byte & 127) == 127) byte = 0;  // NaN
            blocks += static_cast<char>(byte);
            numbers.push_back(float_from_fp8(byte));
        }
        std::uniform_real_distribution<float> uniform(0.5F, 1.5F);
        for (int r = 0; r < R; ++r) row_scale.push_back(uniform(random) * 1e-3F);
    }
    // The weight that a product uses.
    float weight(std::size_t row, std::size_t column) const {
        const float value = numbers[row * static_cast<std::size_t>(columns) + column];
        return row_scale.empty() ? value : value * row_scale[row];
    }
};

// Planes on the device, repacked in two calls that cut a row tile.
class DeviceMatrix {
public:
    explicit DeviceMatrix(const RandomMatrix& from, RowOrder order = {})
        : planes_(static_cast<std::size_t>(matrix_bytes(from.format, from.rows, from.columns))),
          row_scale_(from.row_scale) {
        DeviceBuffer<char> blocks(std::vector<char>(from.blocks.begin(), from.blocks.end()));
        matrix_ = {from.format, from.rows, from.columns, planes_.get(),
                   from.row_scale.empty() ? nullptr : row_scale_.get()};
        const int cut = order.head_dim == 0 ? from.rows * 2 / 3 : order.head_dim;
        const std::size_t row_bytes = from.blocks.size() / static_cast<std::size_t>(from.rows);
        const auto* data = reinterpret_cast<const std::uint8_t*>(blocks.get());
        repack(matrix_, data, 0, cut, order, nullptr);
        repack(matrix_, data + static_cast<std::size_t>(cut) * row_bytes, cut, from.rows - cut,
               order, nullptr);
        check(cudaDeviceSynchronize());
    }
    // The same rows `times` behind one another. Not for fp8.
    DeviceMatrix(const RandomMatrix& from, int times)
        : planes_(
              static_cast<std::size_t>(matrix_bytes(from.format, times * from.rows, from.columns))),
          row_scale_(from.row_scale) {
        DeviceBuffer<char> blocks(std::vector<char>(from.blocks.begin(), from.blocks.end()));
        matrix_ = {from.format, times * from.rows, from.columns, planes_.get(), nullptr};
        for (int i = 0; i < times; ++i)
            repack(matrix_, reinterpret_cast<const std::uint8_t*>(blocks.get()), i * from.rows,
                   from.rows, {}, nullptr);
        check(cudaDeviceSynchronize());
    }
    const Matrix& get() const { return matrix_; }
    std::vector<std::uint8_t> planes() const { return planes_.host(); }

private:
    DeviceBuffer<std::uint8_t> planes_;
    DeviceBuffer<float> row_scale_;
    Matrix matrix_;
};

}  // namespace sluice::cuda
