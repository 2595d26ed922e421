// One .safetensors file, mapped read-only: a header of names, types, shapes and places, then the
// tensors' bytes. All of the header is checked against the file before anything is used: offsets
// inside the file, sizes that the shapes ask for, no overlap and no gap.
// Immutable once open: any thread. Format: the safetensors project's README.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model/mapped_file.h"
#include "engine/model/tensor.h"
#include "engine/result.h"

namespace sluice {

struct StoredTensor {
    std::string name;
    std::string dtype;                // as the file spells it: "BF16"
    std::optional<TensorType> type;   // nothing: a type that no weight may have
    std::vector<std::int64_t> shape;  // row-major: the last one is contiguous; [] is one number
    std::uint64_t begin = 0;          // in the file
    std::uint64_t end = 0;
};

class SafetensorsFile {
public:
    // Errors: bad_file, naming the file, the tensor and the offset.
    Status open(const std::string& path);

    const std::string& path() const { return path_; }
    std::span<const StoredTensor> tensors() const { return tensors_; }
    const MappedFile& mapping() const { return mapping_; }
    const std::uint8_t* data_of(const StoredTensor& tensor) const {
        return mapping_.bytes().data() + tensor.begin;
    }

private:
    Status read_header(std::uint64_t header_bytes);
    Status check_places(std::uint64_t data_begin) const;

    std::string path_;
    MappedFile mapping_;
    std::vector<StoredTensor> tensors_;  // by place in the file
};

}  // namespace sluice
