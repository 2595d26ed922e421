// Text -> numbers, in one pass over its bytes and without allocating: structural features (counts,
// shares, groups of telling words) and the set of hashed words and word pairs. Pure; any thread.
// Letters are folded to lower case, white space and long numbers collapse, greetings do not count,
// so that dressing a prompt up changes little. Words of lettered options are hashed twice, plain
// and as an option's: "none" in a question says less than "none" among its answers.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "policies/text_block.h"
#include "policies/word_trail.h"

namespace sluice {

constexpr std::size_t structural_count = 56;
constexpr std::uint32_t bucket_count = 1U << 14;

// A hash's: the upper bits are those that all of a product's factors reach.
constexpr std::uint32_t bucket_of(std::uint32_t hash) { return hash >> 18; }
static_assert(bucket_of(~0U) == bucket_count - 1);

constexpr std::size_t log_bytes_at = 0;  // among the structural ones

constexpr std::size_t sample_max = 64;

// In the order of TextFeatures::structural.
std::span<const std::string_view, structural_count> structural_names();

// Whether it mainly says how long a text is. What kind of text it is has nothing to do with that.
bool tells_length(std::size_t structural);

// About 33 KiB: meant for the stack.
struct TextFeatures {
    std::array<float, structural_count> structural;
    std::array<std::uint16_t, bucket_count + 1> buckets;  // the first `buckets_used`, distinct
    std::uint32_t buckets_used = 0;
    std::uint32_t words = 0;
    std::uint32_t options = 0;  // lines such as "B. ..." or "b) ..."
    // Hashes of the first words, numbers left out; behind them room for a block's.
    std::array<std::uint32_t, sample_max + TextBlock::size> sample;
    std::uint32_t sampled = 0;

    std::span<const std::uint16_t> hashed() const { return {buckets.data(), buckets_used}; }
};

// Feed the pieces of a text in order, then finish() once. One at a time in a thread: what was met
// is marked in a table of the thread's.
class FeatureReader {
public:
    explicit FeatureReader(TextFeatures& out);
    FeatureReader(const FeatureReader&) = delete;
    FeatureReader& operator=(const FeatureReader&) = delete;
    void read(std::string_view piece);
    void finish();

private:
    void line_start(const char* at, const char* end);
    const char* block(const char* from, const char* end);
    const char* special(const char* at, const char* end);
    const char* number(const char* at, const char* end);
    const char* symbol(const char* at, const char* end);
    const char* wide(const char* at, const char* end);
    const char* greeting(const char* at, const char* end);
    BlockBits count_others(const TextBlock& block, BlockBits bits, std::uint32_t each);
    char last_before(const char* at) const;
    void sample(std::uint32_t hash);
    void note_word(std::uint32_t hash);
    std::uint32_t clear_groups();

    TextFeatures& out_;
    std::array<std::uint32_t, 32> group_counts_{};  // the last: of words in no group
    std::array<std::uint32_t, 16> signs_{};         // bytes by what they count as
    std::uint32_t word_bytes_ = 0, numbers_ = 0;
    std::uint32_t lines_ = 0, sentences_ = 0, digits_ = 0, wide_ = 0;
    std::uint32_t latex_ = 0, blanks_ = 0, decimals_ = 0, fractions_ = 0;
    std::uint64_t numbers_seen_ = 0;  // a bit for each of 64 hashes of numbers
    std::uint32_t options_ = 0, items_ = 0, indented_ = 0, fences_ = 0, longest_number_ = 0;
    std::size_t latex_bytes_ = 0;
    const char* last_from_ = nullptr;  // of the piece; what lies before has been looked at
    char last_ = 0;                    // last byte before it that is no white space
    WordTrail trail_;
};

}  // namespace sluice
