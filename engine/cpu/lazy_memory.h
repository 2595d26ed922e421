// A range of zeroed memory that the system provides page by page as it is touched, so that a large
// pool costs only what is used of it. Owned; moved, not copied. Aligned to a memory page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/result.h"

namespace sluice {

class LazyMemory {
public:
    LazyMemory() = default;
    LazyMemory(LazyMemory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    LazyMemory& operator=(LazyMemory&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~LazyMemory();

    // `large_pages` asks for them: for memory that will all be touched.
    // Errors: bad_config, naming `purpose` and the size.
    static Result<LazyMemory> take(std::size_t bytes, bool large_pages, const char* purpose);

    // The system has the memory back until it is touched again; it is then zeroed again.
    void give_back();

    std::uint8_t* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

private:
    std::uint8_t* data_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace sluice
