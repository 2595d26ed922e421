// Text -> numbers, without allocating: structural features (counts, shares, groups of telling
// words) and the set of hashed words. Pure; any thread. Letters are folded to lower case, white
// space collapses, numbers count by their length, greetings do not count, so that dressing a prompt
// up changes little. In what order words stand is not looked at.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "policies/word_marks.h"

namespace sluice {

constexpr std::size_t structural_count = 56;
constexpr std::uint32_t bucket_count = 1U << 14;

// A hash's: the upper bits are those that all of a product's factors reach.
constexpr std::uint32_t bucket_of(std::uint32_t hash) { return hash >> 18; }
static_assert(bucket_of(~0U) == bucket_count - 1);

constexpr std::size_t log_bytes_at = 0;  // among the structural ones

constexpr std::size_t sample_max = 32;
constexpr std::uint32_t words_early = 100;  // repetition is told by the first so many

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
    std::uint32_t options = 0;                     // lines such as "B. ..." or "b) ..."
    std::array<std::uint32_t, sample_max> sample;  // hashes of the first words, without numbers
    std::uint32_t sampled = 0;

    std::span<const std::uint16_t> hashed() const { return {buckets.data(), buckets_used}; }
};

// Feed texts in order, whole or parts of them from place to place, then finish() once. Each text
// begins a line. One at a time in a thread (WordMarks).
class FeatureReader {
public:
    static constexpr std::size_t part_max = 1024;

    explicit FeatureReader(TextFeatures& out);
    FeatureReader(const FeatureReader&) = delete;
    FeatureReader& operator=(const FeatureReader&) = delete;
    // At most `part_max` bytes: no more is looked at.
    void read(std::string_view text, std::size_t from, std::size_t to);
    // Of text that is left out how long it is counts, and of what is skimmed how its lines begin.
    void skip(std::size_t bytes) { skipped_ += bytes; }
    void skim(std::string_view text, std::size_t from, std::size_t to);
    void finish();

private:
    struct Chunk;

    void line_start(std::string_view text, std::size_t at);
    void count_others(const Chunk& chunk, std::string_view text, std::size_t from);
    void count_words(Chunk& chunk);
    template <bool rich>
    std::size_t read_words(Chunk& chunk);
    std::uint32_t* rich_word(std::string_view run, std::uint32_t* hash);
    std::uint32_t* part_of_word(std::string_view part, std::uint32_t* hash);
    void greeting(const Chunk& chunk, std::size_t from, std::size_t to);
    void read_numbers(Chunk& chunk);
    void note_words(std::span<const std::uint32_t> hashes);
    void note_last(std::string_view part);
    void mark_symbols();
    std::uint32_t clear_groups();

    TextFeatures& out_;
    std::array<std::uint32_t, 32> group_counts_{};  // the last: of words in no group
    std::array<std::uint32_t, 16> signs_{};         // bytes by what they count as
    std::size_t skipped_ = 0;
    std::uint32_t word_bytes_ = 0, numbers_ = 0, words_ = 0, unique_ = 0;
    std::uint32_t lines_ = 0, sentences_ = 0, digits_ = 0, wide_ = 0;
    std::uint32_t latex_ = 0, blanks_ = 0, decimals_ = 0, fractions_ = 0;
    std::uint32_t symbols_ = 0;       // those that were met: byte_symbols
    std::uint64_t numbers_seen_ = 0;  // a bit for each of 64 hashes of numbers
    std::uint32_t options_ = 0, items_ = 0, indented_ = 0, fences_ = 0, longest_number_ = 0;
    // Of the part: the last greetings in a row, and what is passed over with them.
    const char *greeting_from_ = nullptr, *greeting_to_ = nullptr;
    char last_ = 0;  // the last byte that is neither white space nor of a greeting
    WordMarks marks_;
};

}  // namespace sluice
