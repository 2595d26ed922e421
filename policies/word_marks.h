// The distinct buckets of a text's words.
#pragma once

#include <cstdint>
#include <span>

namespace sluice {

// One at a time in a thread: what was met is marked in a table of the thread's.
class WordMarks {
public:
    // Where the distinct buckets are written.
    explicit WordMarks(std::uint16_t* buckets);

    // Hashes of words, in any order. Gives how many are of buckets not met before.
    std::uint32_t mark(std::span<const std::uint32_t> hashes);
    std::uint32_t buckets_used() const { return used_; }

private:
    std::uint8_t* met_;  // of each bucket, the number of the last text that had it
    std::uint16_t* buckets_;
    std::uint32_t used_ = 0;  // how many are written
    std::uint8_t text_;       // this text's number, greater than all others in `met_`
};

}  // namespace sluice
