// A whole file mapped read-only and private; unmapped when destroyed. If somebody truncates the
// file while it is mapped, reading the lost part raises SIGBUS, as with any mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "engine/result.h"

namespace sluice {

bool file_exists(const std::string& path);

class MappedFile {
public:
    MappedFile() = default;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    // Errors: bad_file: absent, empty, no plain file, larger than `bytes_max`, unmappable.
    Status open(const std::string& path,
                std::size_t bytes_max = std::numeric_limits<std::size_t>::max());
    std::span<const std::uint8_t> bytes() const { return bytes_; }
    // Lets the pages of `part`, which is some of bytes(), leave memory until they are read again.
    void let_go(std::span<const std::uint8_t> part) const;

private:
    std::span<const std::uint8_t> bytes_;
};

}  // namespace sluice
