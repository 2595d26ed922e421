// A GGUF file (version 2 and 3, little endian), memory-mapped read-only. Every size and offset is
// checked against the file before anything is used; metadata strings and tensor data point into
// the mapping, which lives as long as the GgufFile. Immutable: any thread.
// Format: ggml-org/ggml docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/model_file.h"

namespace sluice {

class GgufFile : public ModelFile {
public:
    // Errors: bad_file, naming the file, the offset and what was found and expected there.
    static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);

    // Metadata by key; nothing when absent or of another type. Integers of any width and bools
    // widen to int64, f32 and f64 to double.
    virtual bool has(std::string_view key) const = 0;  // whatever its type
    virtual std::optional<std::int64_t> integer(std::string_view key) const = 0;
    virtual std::optional<double> real(std::string_view key) const = 0;
    virtual std::optional<std::string_view> text(std::string_view key) const = 0;
    virtual std::optional<std::vector<std::string_view>> texts(std::string_view key) const = 0;
    virtual std::optional<std::vector<std::int64_t>> integers(std::string_view key) const = 0;
    virtual std::optional<std::vector<float>> reals(std::string_view key) const = 0;

    ModelFacts facts() const final;
    Result<NetworkDescription> read_network() const final;  // gguf_network.cc
    Result<Vocabulary> read_vocabulary() const final;       // engine/text/gguf_vocabulary.cc
};

}  // namespace sluice
