// A whole file mapped read-only and private; unmapped when destroyed. If somebody truncates the
// file while it is mapped, reading the lost part raises SIGBUS, as with any mapped file.
#pragma once

#include <cstdint>
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

    Status open(const std::string& path);  // bad_file: absent, empty, no plain file, unmappable
    std::span<const std::uint8_t> bytes() const { return bytes_; }
    // Lets the pages of `part`, which is some of bytes(), leave memory until they are read again.
    void let_go(std::span<const std::uint8_t> part) const;

private:
    std::span<const std::uint8_t> bytes_;
};

}  // namespace sluice
