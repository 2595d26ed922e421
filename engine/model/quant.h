// What the bits of a quantised tensor mean: plain-loop readers of every weight format, exact, and
// the reference that each device's kernels are tested against. Pure functions: any thread.
// Block layouts: ggml-org/ggml src/ggml-common.h (sizes in bytes: q8_0 34/32 weights, q4_0 18/32,
// q4_1 20/32, q4_k 144/256, q5_k 176/256, q6_k 210/256), little endian.
#pragma once

#include <cstdint>

#include "engine/model/tensor.h"

namespace sluice {

float float_from_half(std::uint16_t bits);
float float_from_bfloat(std::uint16_t bits);
float float_from_e4m3(std::uint8_t bits);
std::uint16_t half_from_float(float value);  // round to nearest even, overflow to infinity

// 32 consecutive weights of a quantised block: weight i = scale[i / 16] * code[i] - minimum[i /
// 16].
struct WeightGroup {
    std::int8_t code[32];  // signed in q8_0, q4_0 and q6_k, whose minimum is 0
    float scale[2];
    float minimum[2];
};

// Group `group` (0 .. block_weights / 32 - 1) of the block at `block`. Not for f32, f16, bf16, fp8.
WeightGroup read_group(TensorType type, const std::uint8_t* block, int group);

// The 6-bit scale and minimum of group 0..7 of a q4_k or q5_k block, from its 12 packed bytes.
struct ScaleAndMinimum {
    std::uint8_t scale;
    std::uint8_t minimum;
};
ScaleAndMinimum read_k_scale(const std::uint8_t* packed, int group);

// `count` weights from `data` as floats; count is a multiple of block_weights(type).
void dequantise(TensorType type, const std::uint8_t* data, std::int64_t count, float* out);

}  // namespace sluice
