#include "policies/word_marks.h"

#include "policies/met.h"

namespace sluice {
namespace {

thread_local Met met;

}  // namespace

WordMarks::WordMarks(std::uint16_t* buckets)
    : met_(met.text.data()), buckets_(buckets), text_(met.next_text()) {}

std::uint32_t WordMarks::mark(std::span<const std::uint32_t> hashes) {
    std::uint8_t* const met_here = met_;  // what the loop needs is kept in locals
    std::uint16_t* const buckets = buckets_;
    const std::uint8_t text = text_;
    std::size_t used = used_;
    for (const std::uint32_t hash : hashes) {
        const std::size_t bucket = bucket_of(hash);
        // Written always, kept when fresh: a branch here would be guessed wrong too often.
        buckets[used] = static_cast<std::uint16_t>(bucket);
        used += met_here[bucket] < text ? 1U : 0U;
        met_here[bucket] = text;
    }
    const auto before = used_;
    used_ = static_cast<std::uint32_t>(used);
    return used_ - before;
}

}  // namespace sluice
