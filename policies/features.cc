#include "policies/features.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "policies/byte_kinds.h"
#include "policies/letter_run.h"
#include "policies/word_groups.h"

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

FeatureReader::FeatureReader(TextFeatures& out) : out_(out), trail_(out.buckets.data()) {
    out_.buckets_used = 0;
    out_.words = 0;
    out_.sampled = 0;
}

void FeatureReader::read(std::string_view piece) {
    if (piece.empty()) return;
    const char* at = piece.data();
    const char* end = at + piece.size();
    last_from_ = at;
    line_start(at, end);
    while (at != end) {
        at = block(at, end);
        last_ = last_before(at);
        last_from_ = at;
        trail_.follow_some();
    }
}

// What a line's first bytes tell: an option "B. ", an item "- " or "3. ", code.
void FeatureReader::line_start(const char* at, const char* end) {
    const char* from = at;
    while (at != end && (*at == ' ' || *at == '\t')) ++at;
    if (at == end || *at == '\n') return;
    ++lines_;
    indented_ += (at - from >= 2 || *from == '\t') ? 1U : 0U;
    if (end - at < 2) return;
    if (*at == '(') ++at;
    // Without branches: how the next line begins is hard to guess.
    const unsigned first = byte_openings[static_cast<unsigned char>(*at)];
    const unsigned second = end - at < 2 ? 0U : byte_openings[static_cast<unsigned char>(at[1])];
    const unsigned closes = second / closes_bit & 1, option = first / option_bit & closes;
    options_ += option;
    items_ += (first / item_bit | (first / number_bit & closes)) & 1;
    if (option == 1 && options_ == 1) [[unlikely]]
        trail_.begin_options();
    if (*at == '`' && end - at >= 3 && at[1] == '`' && at[2] == '`') ++fences_;
}

// Counts what is neither letter nor space, `each` time for each; gives those that are special.
// Without branches: which symbol comes next is hard to guess.
inline BlockBits FeatureReader::count_others(const TextBlock& block, BlockBits bits,
                                             std::uint32_t each) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(block.bytes());
    BlockBits specials = 0;
    std::uint32_t sentences = 0, blanks = 0;
    for (; bits != 0; bits &= bits - 1) {
        const std::size_t at = first_bit(bits);
        const unsigned about = byte_abouts[bytes[at]], behind = byte_behinds[bytes[at + 1]];
        signs_[about & sign_bits] += each;
        sentences += (about & behind) / ends_bit & 1;
        blanks |= about & behind & underscore_bit;
        specials |= static_cast<BlockBits>(about / special_bit) << at;
    }
    sentences_ += sentences * each;
    blanks_ |= blanks;
    return specials;
}

// Sixty-four bytes, or fewer where a word goes on behind them. The hottest loop: what it changes
// is kept in locals. Gives where to read on.
const char* FeatureReader::block(const char* from, const char* end) {
    const TextBlock block(from, end);
    const BlockBits letters = block.letters();
    const char* done = from + std::min<std::ptrdiff_t>(end - from, TextBlock::size);
    BlockBits left = letters & ~(letters << 1);  // the first bytes of tokens
    BlockBits gaps = ~letters;
    if (gaps == 0)
        gaps = bits_before(64) ^ bits_before(63);  // one long word: its end is looked for
    else if (letters >> 63 != 0) {
        const auto whole = 64 - static_cast<std::size_t>(__builtin_clzll(gaps));
        left &= bits_before(whole);
        done = from + whole;
    }
    left |= count_others(block, block.others(), 1);
    WordTrail::Token* token = trail_.next();
    std::uint32_t sampled = out_.sampled, word_bytes = 0;
    while (left != 0) {
        const std::size_t at = first_bit(left);
        const BlockBits run = gaps >> at;
        const char* next = nullptr;
        if ((run & 1) == 0) {
            LetterRun word{first_bit(run), 0};
            if (word.length <= letters::step) [[likely]]
                word.hash = hash_letters(block.bytes() + at, word.length);
            else
                word = read_letters(from + at, end);
            const std::uint32_t group = word_group_table.find(word.hash);
            if (group != greeting_group) [[likely]] {
                ++group_counts_[group];
                *token++ = WordTrail::is_word | word.hash;
                out_.sample[sampled++] = word.hash;
                word_bytes += static_cast<std::uint32_t>(word.length);
                left &= left - 1;
                if (word.length <= letters::step) [[likely]]
                    continue;
                next = from + at + word.length;
            } else {
                last_ = last_before(from + at);
                next = last_from_ = greeting(from + at + word.length, end);
                const auto behind = bits_before(static_cast<std::size_t>(next - from));
                count_others(block, block.others() & ~bits_before(at) & behind, ~0U);
            }
        } else {
            trail_.noted_to(token);
            out_.sampled = sampled;
            next = special(from + at, end);
            token = trail_.next();
            sampled = out_.sampled;
        }
        left &= ~bits_before(static_cast<std::size_t>(next - from));
        done = std::max(done, next);
    }
    trail_.noted_to(token);
    out_.sampled = std::min(sampled, static_cast<std::uint32_t>(sample_max));
    word_bytes_ += word_bytes;
    return done;
}

// The last byte that is no white space, of what was looked at before `at`.
char FeatureReader::last_before(const char* at) const {
    while (at != last_from_) {
        const ByteKind kind = kind_of(*--at);
        if (kind != ByteKind::space && kind != ByteKind::newline) return *at;
    }
    return last_;
}

const char* FeatureReader::special(const char* at, const char* end) {
    switch (kind_of(*at)) {
        case ByteKind::digit:
            return number(at, end);
        case ByteKind::wide:
            return wide(at, end);
        case ByteKind::symbol:
            return symbol(at, end);
        case ByteKind::newline:
            line_start(at + 1, end);
            break;
        case ByteKind::letter:
        case ByteKind::space:
            break;  // not special
    }
    return at + 1;
}

void FeatureReader::sample(std::uint32_t hash) {
    if (out_.sampled < sample_max) out_.sample[out_.sampled++] = hash;
}

// Passes over "Hi, " or "thanks!" as if it had not been written.
const char* FeatureReader::greeting(const char* at, const char* end) {
    while (at != end && (*at == ' ' || *at == ',' || *at == '!' || *at == '.')) ++at;
    return at;
}

// Numbers count by their length only: which number it is says nothing about what is asked.
const char* FeatureReader::number(const char* at, const char* end) {
    const char* from = at;
    std::uint64_t value = 0;
    while (at != end && kind_of(*at) == ByteKind::digit)
        value = value * 10 + static_cast<unsigned char>(*at++);
    auto length = static_cast<std::uint32_t>(at - from);
    digits_ += length;
    numbers_seen_ |= std::uint64_t{1} << (value * 0x9e3779b97f4a7c15U >> 58);
    if (end - at >= 2 && kind_of(at[1]) == ByteKind::digit) {
        decimals_ += *at == '.' ? 1U : 0U;
        fractions_ += *at == '/' ? 1U : 0U;
    }
    ++numbers_;
    longest_number_ = std::max(longest_number_, length);
    note_word(word_hash_end(word_hash_step(word_hash_start, '0' + std::min(length, 5U))));
    return at;
}

const char* FeatureReader::symbol(const char* at, const char* end) {
    const char* from = at;
    const char c = *at++;
    if (c != '\\') {
        if (c != last_before(from))
            trail_.note(
                word_hash_end(word_hash_step(word_hash_start, static_cast<unsigned char>(c))));
        return at;
    }
    if (at == end || kind_of(*at) != ByteKind::letter) return at;
    ++latex_;
    --signs_[static_cast<std::size_t>(Sign::plain)];  // no symbol, but part of a word
    std::uint64_t hash = word_hash_step(word_hash_start, '\\');
    while (at != end && kind_of(*at) == ByteKind::letter)
        hash = word_hash_step(hash, static_cast<unsigned char>(*at++));
    latex_bytes_ += static_cast<std::size_t>(at - from);
    note_word(word_hash_end(hash));
    return at;
}

// Beyond ASCII: a character of a script without spaces is a word; others make words of their run.
const char* FeatureReader::wide(const char* at, const char* end) {
    std::uint64_t hash = word_hash_start;
    const char* from = at;
    unsigned char lead = static_cast<unsigned char>(*at);
    bool spaceless = lead >= 0xe3 && lead <= 0xed;
    std::ptrdiff_t limit = spaceless ? 3 : end - at;
    do {
        unsigned char c = static_cast<unsigned char>(*at);
        hash = word_hash_step(hash, c);
        ++at;
    } while (at != end && at - from < limit &&
             (kind_of(*at) == ByteKind::wide || (!spaceless && kind_of(*at) == ByteKind::letter)));
    wide_ += static_cast<std::uint32_t>(at - from);
    word_bytes_ += static_cast<std::uint32_t>(at - from);
    std::uint32_t end_hash = word_hash_end(hash);
    sample(end_hash);
    note_word(end_hash);
    return at;
}

void FeatureReader::note_word(std::uint32_t hash) { trail_.note(WordTrail::is_word | hash); }

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
    trail_.follow_all();
    const std::uint32_t words = trail_.words(), sentences = std::max(sentences_, 1U);
    const std::uint32_t symbols =
        std::accumulate(signs_.begin(), signs_.begin() + static_cast<int>(Sign::none), 0U);
    // All but white space and greetings.
    std::size_t bytes = std::size_t{word_bytes_} + digits_ + symbols + latex_bytes_;
    auto count_of = [&](Sign sign) { return signs_[static_cast<std::size_t>(sign)]; };
    const float plain[plain_count] = {
        log_of(std::min(bytes, bytes_long)),
        log_of(std::min(words, words_long)),
        share(word_bytes_, words),
        log_of(std::min(lines_, lines_long)),
        std::log1p(share(words, sentences)),
        share(digits_, bytes),
        share(symbols, bytes),
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
        trail_.unique_share(),
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
    out_.buckets_used = trail_.buckets_used();
    out_.words = words;
    out_.options = options_;
}

}  // namespace sluice
