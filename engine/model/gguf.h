// A GGUF file (version 2 and 3, little endian), memory-mapped read-only. Every size and offset is
// checked against the file before anything is used; metadata strings and tensor data point into
// the mapping, which lives as long as the GgufFile. Immutable: any thread.
// Format: ggml-org/ggml docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

// Numbers are the file format's (enum ggml_type), but for fp8_e4m3, which no GGUF holds.
enum class TensorType : std::uint32_t {
    f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q8_0 = 8, q4_k = 12, q5_k = 13, q6_k = 14, bf16 = 30,
    fp8_e4m3 = 1000,
};

std::string_view type_name(TensorType type);             // "q4_k"
int block_weights(TensorType type);                      // weights a block: 1, 32 or 256
int block_bytes(TensorType type);                        // bytes a block

struct GgufTensor {
    std::string_view name;
    TensorType type = TensorType::f32;
    std::vector<std::int64_t> dims;  // dims[0] is contiguous: a matmul weight is [in, out]
    const std::uint8_t* data = nullptr;
    const float* row_scale = nullptr;  // fp8_e4m3: [rows], weight = scale * code
    std::int64_t bytes = 0;
    std::uint64_t file_offset = 0;   // for messages
    std::int64_t rows() const;       // product of dims[1..]
};

class GgufFile {
public:
    // Errors: bad_file, naming the file, the offset and what was found and expected there.
    static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);
    virtual ~GgufFile() = default;

    // Metadata by key; nothing when absent or of another type. Integers of any width and bools
    // widen to int64, f32 and f64 to double.
    virtual std::optional<std::int64_t> integer(std::string_view key) const = 0;
    virtual std::optional<double> real(std::string_view key) const = 0;
    virtual std::optional<std::string_view> text(std::string_view key) const = 0;
    virtual std::optional<std::vector<std::string_view>> texts(std::string_view key) const = 0;
    virtual std::optional<std::vector<std::int64_t>> integers(std::string_view key) const = 0;
    virtual std::optional<std::vector<float>> reals(std::string_view key) const = 0;

    virtual const GgufTensor* tensor(std::string_view name) const = 0;  // nullptr when absent
    virtual std::span<const GgufTensor> tensors() const = 0;
    virtual const std::string& path() const = 0;
    virtual std::int64_t file_bytes() const = 0;
};

}  // namespace sluice
