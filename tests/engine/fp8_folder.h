// A HashedModel in fp8 as compressed-tensors keeps it, and its twin in bf16 of the very same
// numbers: four significant bits times a power of two.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/model/quant.h"
#include "tests/engine/hf_folder.h"

namespace sluice {

struct Fp8Model {
    HashedModel base;
    bool by_row;        // a scale for each row, in bf16; else one for the tensor, in f32
    std::string which;  // part of the names of the matrices that are fp8

    bool is_fp8(const std::string& name) const {
        const bool matrix = name.ends_with("_proj.weight") || name == "lm_head.weight";
        return matrix && name.find(which) != std::string::npos;
    }
    // The nearest towards zero with four significant bits, of -128..127.
    static std::uint8_t e4m3(int integer) {
        if (integer == 0) return 0;
        const auto magnitude = static_cast<unsigned>(std::abs(integer));
        const int exponent = std::bit_width(magnitude) - 1;
        const unsigned fraction = (magnitude << 3 >> exponent) & 7U;
        return static_cast<std::uint8_t>((integer < 0 ? 0x80U : 0U) |
                                         static_cast<unsigned>(exponent + 7) << 3 | fraction);
    }
    static std::vector<std::uint8_t> codes(const std::string& name, std::int64_t count) {
        const std::uint32_t seed = HashedModel::seed_of(name);
        std::vector<std::uint8_t> out;
        for (std::int64_t i = 0; i < count; ++i)
            out.push_back(e4m3(HashedModel::code(seed, static_cast<std::uint32_t>(i))));
        return out;
    }
    // Half, once or twice what the name says, nothing like a neighbour's.
    float scale(const std::string& name, std::int64_t row) const {
        const int code = HashedModel::code(HashedModel::seed_of(name + "_scale"),
                                           static_cast<std::uint32_t>(by_row ? row : 0));
        return std::ldexp(1.0F, (code + 128) % 3 - 1 - HashedModel::shift_of(name));
    }

    void write_to(const HfFolder& folder) const { write(folder, true); }
    void write_twin_to(const HfFolder& folder) const { write(folder, false); }

private:
    void write(const HfFolder& folder, bool fp8) const {
        base.write_to(folder);
        SafetensorsWriter file;
        for (const auto& [name, shape] : base.tensors()) {
            std::int64_t count = 1;
            for (std::int64_t dim : shape) count *= dim;
            if (!is_fp8(name))
                file.tensor(name, "BF16", shape, HashedModel::values(name, count));
            else if (fp8)
                write_fp8(file, name, shape);
            else
                write_twin(file, name, shape);
        }
        folder.write("model.safetensors", file.bytes());
    }
    void write_fp8(SafetensorsWriter& file, const std::string& name,
                   const std::vector<std::int64_t>& shape) const {
        const auto bytes = codes(name, shape[0] * shape[1]);
        file.tensor(name, "F8_E4M3", shape,
                    {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        std::string scales;
        const auto put = [&](const void* from, std::size_t size) {
            scales.append(static_cast<const char*>(from), size);
        };
        for (std::int64_t row = 0; row < (by_row ? shape[0] : 1); ++row) {
            const float one = scale(name, row);
            const std::uint16_t brain = HashedModel::bfloat(one);
            by_row ? put(&brain, sizeof brain) : put(&one, sizeof one);
        }
        file.tensor(name + "_scale", by_row ? "BF16" : "F32",
                    by_row ? std::vector<std::int64_t>{shape[0], 1} : std::vector<std::int64_t>{1},
                    scales);
    }
    void write_twin(SafetensorsWriter& file, const std::string& name,
                    const std::vector<std::int64_t>& shape) const {
        const auto bytes = codes(name, shape[0] * shape[1]);
        std::string out;
        for (std::int64_t row = 0; row < shape[0]; ++row) {
            const float unit = scale(name, row);
            for (std::int64_t i = row * shape[1]; i < (row + 1) * shape[1]; ++i) {
                const std::uint16_t brain =
                    HashedModel::bfloat(float_from_e4m3(bytes[static_cast<std::size_t>(i)]) * unit);
                out.append(reinterpret_cast<const char*>(&brain), sizeof brain);
            }
        }
        file.tensor(name, "BF16", shape, out);
    }
};

// Scales of tensors and of rows; the output fp8 too, or the feed-forward alone.
inline const std::vector<Fp8Model>& fp8_models() {
    static const std::vector<Fp8Model> all = {
        {hashed_models()[0], false, "proj"},
        {hashed_models()[0], true, ""},
        {hashed_models()[1], true, "mlp"},
        {hashed_models()[2], true, "proj"},
    };
    return all;
}

}  // namespace sluice
