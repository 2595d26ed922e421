#include "policies/features.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "policies/byte_kinds.h"
#include "policies/word_groups.h"
#include "policies/word_hash.h"

namespace sluice {
namespace {

// Counts, before the groups of words; the names that classify and explain show.
constexpr std::string_view plain_names[] = {
    "log_bytes",     "log_words",      "word_bytes",    "log_lines",        "sentence_words",
    "digit_share",   "symbol_share",   "math_share",    "log_latex",        "log_dollars",
    "log_questions", "ends_asking",    "log_options",   "log_items",        "blanks",
    "log_fences",    "brace_share",    "indent_share",  "unique_share",     "wide_share",
    "log_numbers",   "longest_number", "log_sentences", "distinct_numbers", "log_decimals",
    "log_percents",  "log_fractions"};
constexpr std::size_t plain_count = std::size(plain_names);
static_assert(plain_count + greeting_group == structural_count);

constexpr std::array<std::string_view, structural_count> make_names() {
    std::array<std::string_view, structural_count> names{};
    for (std::size_t i = 0; i < plain_count; ++i) names[i] = plain_names[i];
    for (std::size_t i = 0; i < greeting_group; ++i) names[plain_count + i] = word_groups[i].name;
    return names;
}

constexpr std::array<std::string_view, structural_count> names = make_names();

// Beyond these a text is long, and no harder for being longer still.
constexpr std::size_t bytes_long = 3'000;
constexpr std::uint32_t words_long = 500, lines_long = 40, sentences_long = 25, numbers_long = 40;
constexpr float words_usual = 50;  // in longer texts words of a group count per so many

// Most counts are small, and a logarithm costs as much as ten words.
const std::array<float, 128> small_logs = [] {
    std::array<float, 128> logs{};
    for (std::size_t i = 0; i < logs.size(); ++i) logs[i] = std::log1p(static_cast<float>(i));
    return logs;
}();

float log_of(std::uint64_t count) {
    return count < small_logs.size() ? small_logs[count] : std::log1p(static_cast<float>(count));
}

float share(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0F : static_cast<float>(part) / static_cast<float>(whole);
}

}  // namespace

std::span<const std::string_view, structural_count> structural_names() { return names; }

bool tells_length(std::size_t structural) {
    constexpr std::string_view of_length[] = {"log_bytes",      "log_words",     "log_lines",
                                              "sentence_words", "log_sentences", "unique_share"};
    return std::find(std::begin(of_length), std::end(of_length), names[structural]) !=
           std::end(of_length);
}

void FeatureReader::mark_symbols() {
    constexpr auto hashes = [] {
        std::array<std::uint32_t, telling_symbols.size()> out{};
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = word_hash(telling_symbols.substr(i, 1));
        return out;
    }();
    for (std::uint32_t left = symbols_; left != 0; left &= left - 1)
        marks_.mark({&hashes[static_cast<std::size_t>(std::countr_zero(left))], 1});
}

// Sets those groups' features to 0. A bit for each group that words came of: which ones come is
// hard to guess.
std::uint32_t FeatureReader::clear_groups() {
    using Four = std::uint32_t __attribute__((vector_size(16)));
    Four bits{}, bit = {1, 2, 4, 8};
    for (std::size_t group = 0; group < group_counts_.size(); group += 4, bit <<= 4) {
        Four counts;
        std::memcpy(&counts, &group_counts_[group], sizeof counts);
        bits |= (counts != 0) & bit;
    }
    // Four at a time, and the last four once more: a loop would become a slow instruction.
    const std::array<float, 4> none{};
    for (std::size_t group = 0; group < greeting_group; group += 4)
        std::memcpy(&out_.structural[plain_count + std::min(group, greeting_group - 4)],
                    none.data(), sizeof none);
    return (bits[0] | bits[1] | bits[2] | bits[3]) & ((1U << greeting_group) - 1);
}

void FeatureReader::finish() {
    mark_symbols();
    const std::uint32_t words = words_, sentences = std::max(sentences_, 1U);
    const std::uint32_t symbols =
        std::accumulate(signs_.begin(), signs_.begin() + static_cast<int>(Sign::none), 0U);
    // All but white space and greetings.
    std::size_t bytes = std::size_t{word_bytes_} + digits_ + symbols;
    auto count_of = [&](Sign sign) { return signs_[static_cast<std::size_t>(sign)]; };
    const float plain[plain_count] = {
        log_of(std::min(bytes + skipped_, bytes_long)),
        log_of(std::min(words, words_long)),
        share(word_bytes_, words),
        log_of(std::min(lines_, lines_long)),
        std::log1p(share(words, sentences)),
        share(digits_, bytes),
        share(symbols - latex_, bytes),  // its backslashes are parts of words
        share(count_of(Sign::math), bytes),
        log_of(latex_),
        log_of(count_of(Sign::dollar)),
        log_of(count_of(Sign::question)),
        last_ == '?' ? 1.0F : 0.0F,
        log_of(options_),
        log_of(items_),
        blanks_ != 0 ? 1.0F : 0.0F,
        log_of(fences_),
        share(count_of(Sign::brace), bytes),
        share(indented_, lines_),
        share(unique_, std::min(words, words_early)),
        share(wide_, bytes),
        log_of(std::min(numbers_, numbers_long)),
        static_cast<float>(std::min(longest_number_, 12U)),
        log_of(std::min(sentences_, sentences_long)),
        log_of(static_cast<std::uint64_t>(std::popcount(numbers_seen_))),
        log_of(decimals_),
        log_of(count_of(Sign::percent)),
        log_of(fractions_),
    };
    std::copy(std::begin(plain), std::end(plain), out_.structural.begin());
    // Of a long text what counts is how often such words come, not how long it goes on.
    float dilution = std::min(1.0F, words_usual / static_cast<float>(std::max(words, 1U)));
    std::uint32_t met = clear_groups();
    for (; met != 0; met &= met - 1) {
        auto group = static_cast<std::size_t>(std::countr_zero(met));
        std::uint32_t count = group_counts_[group];
        out_.structural[plain_count + group] =
            dilution == 1 ? log_of(count) : std::log1p(static_cast<float>(count) * dilution);
    }
    out_.buckets_used = marks_.buckets_used();
    out_.words = words;
    out_.options = options_;
}

}  // namespace sluice
