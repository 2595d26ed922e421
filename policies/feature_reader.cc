// Of a part of a text, bits tell where words, numbers and other bytes lie (text_masks.h); then each
// sort has a loop of its own, without branches wherever what comes next is hard to guess: a wrong
// guess costs as much as a word.
#include <algorithm>
#include <array>
#include <cstring>

#include "policies/byte_kinds.h"
#include "policies/features.h"
#include "policies/letter_hash.h"
#include "policies/text_masks.h"
#include "policies/word_groups.h"

namespace sluice {
namespace {

constexpr std::size_t part_max = FeatureReader::part_max;
static_assert(part_max <= TextMasks::bytes_max);

bool is_white(char c) {
    const ByteKind kind = kind_of(c);
    return kind == ByteKind::space || kind == ByteKind::newline;
}

constexpr std::uint64_t latex_start = word_hash_step(word_hash_start, '\\');

// Whether a word is "\\frac" and the like.
bool is_latex(const char* word) { return word[-1] == '\\' && kind_of(*word) == ByteKind::letter; }

bool is_digit(char c) { return kind_of(c) == ByteKind::digit; }

constexpr std::size_t line_start_max = 256;  // white space before it included

bool begins_line(std::string_view text, std::size_t at) { return at == 0 || text[at - 1] == '\n'; }

// Numbers count by their length only: which number it is says nothing about what is asked.
constexpr std::uint32_t number_bytes_told = 5;
constexpr std::array<std::uint32_t, number_bytes_told + 1> number_hashes = [] {
    std::array<std::uint32_t, number_bytes_told + 1> hashes{};
    for (std::size_t length = 1; length < hashes.size(); ++length) {
        const char name[] = {static_cast<char>('0' + length)};
        hashes[length] = word_hash({name, 1});
    }
    return hashes;
}();

// A copy, with spaces before and behind it.
struct ChunkCopy {
    ChunkCopy(const char* at, std::size_t size) {
        std::memset(bytes.data(), ' ', margin);
        std::memcpy(bytes.data() + margin, at, size);
        std::memset(bytes.data() + margin + size, ' ', block_bytes + margin);
    }
    // Makes plain spaces of those that do not break (U+00A0): whether there were any.
    bool even_spaces(std::size_t size) {
        bool found = false;
        char *at = bytes.data() + margin, *const end = at + size;
        while ((at = static_cast<char*>(
                    std::memchr(at, '\xc2', static_cast<std::size_t>(end - at)))) != nullptr) {
            if (++at == end) break;
            if (*at != '\xa0') continue;
            at[-1] = at[0] = ' ';
            found = true;
        }
        return found;
    }
    static constexpr std::size_t margin = hash_step_bytes;
    std::array<char, margin + part_max + block_bytes + margin> bytes;
};

}  // namespace

struct FeatureReader::Chunk {
    explicit Chunk(std::string_view part)
        : from(part.data()), size(part.size()), copy(from, size), masks(text(), blocks()) {
        if (masks.rich() && copy.even_spaces(size)) masks = TextMasks(text(), blocks());
    }
    std::size_t blocks() const { return (size + block_bytes - 1) / block_bytes; }
    const char* text() const { return copy.bytes.data() + ChunkCopy::margin; }

    const char* from;
    std::size_t size;
    ChunkCopy copy;
    TextMasks masks;
    std::array<std::uint32_t, part_max> hashes;  // of words: each has a byte at least
};

FeatureReader::FeatureReader(TextFeatures& out) : out_(out), marks_(out.buckets.data()) {
    out_.buckets_used = 0;
    out_.words = 0;
    out_.sampled = 0;
}

void FeatureReader::read(std::string_view text, std::size_t from, std::size_t to) {
    const std::string_view part = text.substr(from, std::min(to - from, part_max));
    if (part.empty()) return;
    greeting_from_ = greeting_to_ = part.data();
    if (begins_line(text, from)) line_start(text, from);
    Chunk chunk(part);
    count_others(chunk, text, from);
    count_words(chunk);
    read_numbers(chunk);
    note_last(part);
}

void FeatureReader::skim(std::string_view text, std::size_t from, std::size_t to) {
    if (from == to) return;
    if (begins_line(text, from)) line_start(text, from);
    for (std::size_t at = text.find('\n', from); at < to - 1; at = text.find('\n', at + 1))
        line_start(text, at + 1);
}

void FeatureReader::count_words(Chunk& chunk) {
    const std::size_t words =
        chunk.masks.rich() ? read_words<true>(chunk) : read_words<false>(chunk);
    const std::span<const std::uint32_t> hashes(chunk.hashes.data(), words);
    const std::size_t sampled = std::min(words, sample_max - out_.sampled);
    std::copy_n(hashes.begin(), sampled, out_.sample.begin() + out_.sampled);
    out_.sampled += static_cast<std::uint32_t>(sampled);
    note_words(hashes);
}

// What a line's first bytes tell: an option "B. ", an item "- " or "3. ", code.
void FeatureReader::line_start(std::string_view text, std::size_t place) {
    const char *at = text.data() + place, *const from = at;
    const char* const end = at + std::min(text.size() - place, line_start_max);
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
    if (*at == '`' && end - at >= 3 && at[1] == '`' && at[2] == '`') ++fences_;
}

// Counts what is neither of a word nor a digit nor a space, and the lines that begin behind it.
void FeatureReader::count_others(const Chunk& chunk, std::string_view text, std::size_t from) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(chunk.text());
    std::array<std::uint16_t, part_max> lines;
    std::uint32_t with_behind = 0, symbols = 0;
    std::size_t line = 0;
    for (const std::size_t at : chunk.masks.others()) {
        const std::uint32_t about = byte_abouts[bytes[at]];
        ++signs_[about & sign_bits];
        with_behind += about & byte_behinds[bytes[at + 1]];
        symbols |= byte_symbols[bytes[at]];
        lines[line] = static_cast<std::uint16_t>(at);
        line += about / line_bit & 1;
    }
    sentences_ += ends_added(with_behind);
    blanks_ |= with_behind / underscore_bit;
    symbols_ |= symbols;
    for (std::size_t i = 0; i < line; ++i)  // what begins behind the part is none of it
        if (lines[i] + 1U < chunk.size) line_start(text, from + lines[i] + 1);
}

// Hashes the words and counts their groups; gives how many there are. The hottest loop: what it
// changes is kept in locals. `rich`: some may be of LaTeX or of other scripts.
template <bool rich>
std::size_t FeatureReader::read_words(Chunk& chunk) {
    const TextMasks& masks = chunk.masks;
    std::uint32_t* hash = chunk.hashes.data();
    std::uint32_t word_bytes = 0, latex = 0;
    for (const std::size_t at : masks.words()) {
        const char* word = chunk.text() + at;
        std::size_t length = masks.word_length(at);
        if (rich && masks.rich(at, length)) {
            if (length <= hash_step_bytes && is_latex(word) && !masks.wide(at, length)) {
                *hash++ = word_hash_end(hash_step(latex_start, word, length));
                word_bytes += static_cast<std::uint32_t>(length);
                ++latex;
                continue;
            }
            length = masks.whole_word_length(at);
            hash = rich_word({word, length}, hash);
            word_bytes += static_cast<std::uint32_t>(length);
            continue;
        }
        if (length > hash_step_bytes) [[unlikely]] {
            length = masks.whole_word_length(at);
            if (rich && length > TextMasks::run_long) {
                hash = rich_word({word, length}, hash);
                word_bytes += static_cast<std::uint32_t>(length);
                continue;
            }
            *hash = hash_any({word, length});
        } else {
            *hash = hash_short(word, length);
        }
        word_bytes += static_cast<std::uint32_t>(length);
        const std::uint32_t group = word_group_table.find(*hash);
        ++group_counts_[group];
        ++hash;
        if (group != greeting_group) [[likely]]
            continue;
        --hash;
        word_bytes -= static_cast<std::uint32_t>(length);
        greeting(chunk, at, at + length);
    }
    word_bytes_ += word_bytes;
    latex_ += latex;
    return static_cast<std::size_t>(hash - chunk.hashes.data());
}

// Of LaTeX or with bytes beyond ASCII: writes the hashes of what it is from `hash` on, gives where
// they end. Of scripts without spaces each character is a word; U+2000 to U+207F are no letters.
std::uint32_t* FeatureReader::rich_word(std::string_view run, std::uint32_t* hash) {
    std::size_t from = 0;
    if (is_latex(run.data())) {
        ++latex_;
        while (from < run.size() && kind_of(run[from]) == ByteKind::letter) ++from;
        *hash++ = hash_any(run.substr(0, from), latex_start);
    }
    for (char c : run) wide_ += kind_of(c) == ByteKind::wide ? 1U : 0U;
    std::size_t at = from;
    auto part = [&](std::size_t to) {
        if (to > from) hash = part_of_word(run.substr(from, to - from), hash);
    };
    while (at < run.size()) {
        const auto lead = static_cast<unsigned char>(run[at]);
        const unsigned next = at + 1 < run.size() ? static_cast<unsigned char>(run[at + 1]) : 0U;
        const bool mark = lead == 0xe2 && (next == 0x80 || next == 0x81);
        const bool spaceless = lead >= 0xe3 && lead <= 0xed;
        if (!mark && !spaceless) {
            ++at;
            continue;
        }
        part(at);
        from = at;
        at = std::min(at + 3, run.size());
        if (spaceless) part(at);
        from = at;
    }
    part(run.size());
    return hash;
}

std::uint32_t* FeatureReader::part_of_word(std::string_view part, std::uint32_t* hash) {
    *hash = hash_any(part);
    const std::uint32_t group = word_group_table.find(*hash);
    ++group_counts_[group];
    if (group != greeting_group) return hash + 1;
    word_bytes_ -= static_cast<std::uint32_t>(part.size());
    return hash;
}

// Passes over "Hi, " or "thanks!" as if it had not been written.
void FeatureReader::greeting(const Chunk& chunk, std::size_t from, std::size_t to) {
    const char* const text = chunk.text();
    for (; to < chunk.size; ++to) {
        const char c = text[to];
        if (c == ' ') continue;
        if (c != ',' && c != '!' && c != '.') break;
        const std::uint32_t about = byte_abouts[static_cast<unsigned char>(c)];
        --signs_[about & sign_bits];
        sentences_ -= ends_added(about & byte_behinds[static_cast<unsigned char>(text[to + 1])]);
    }
    if (!std::all_of(greeting_to_, chunk.from + from, is_white)) greeting_from_ = chunk.from + from;
    greeting_to_ = chunk.from + to;
}

void FeatureReader::read_numbers(Chunk& chunk) {
    const TextMasks& masks = chunk.masks;
    std::uint32_t* hash = chunk.hashes.data();
    for (const std::size_t at : masks.numbers()) {
        const char* number = chunk.text() + at;
        std::size_t length = masks.number_length(at);
        if (length == TextMasks::run_long) [[unlikely]]
            length = masks.whole_number_length(at);
        const std::uint32_t value = hash_short(number, std::min(length, hash_step_bytes));
        numbers_seen_ |= std::uint64_t{1} << (value >> 26);
        digits_ += static_cast<std::uint32_t>(length);
        longest_number_ = std::max(longest_number_, static_cast<std::uint32_t>(length));
        const unsigned goes_on = is_digit(number[length + 1]) ? 1U : 0U;
        decimals_ += number[length] == '.' ? goes_on : 0U;
        fractions_ += number[length] == '/' ? goes_on : 0U;
        *hash++ = number_hashes[std::min<std::size_t>(length, number_bytes_told)];
    }
    const auto numbers = static_cast<std::size_t>(hash - chunk.hashes.data());
    numbers_ += static_cast<std::uint32_t>(numbers);
    note_words({chunk.hashes.data(), numbers});
}

// Repetition is told by the first words only.
void FeatureReader::note_words(std::span<const std::uint32_t> hashes) {
    const std::size_t early =
        std::min<std::size_t>(hashes.size(), words_early - std::min(words_, words_early));
    unique_ += marks_.mark(hashes.first(early));
    marks_.mark(hashes.subspan(early));
    words_ += static_cast<std::uint32_t>(hashes.size());
}

// Greetings at its end are passed over, and white space.
void FeatureReader::note_last(std::string_view part) {
    const char* at = part.data() + part.size();
    auto pass_white = [&] {
        while (at != part.data() && is_white(at[-1])) --at;
    };
    pass_white();
    if (at <= greeting_to_ && at > greeting_from_) {
        at = greeting_from_;
        pass_white();
    }
    if (at != part.data()) last_ = at[-1];
}

}  // namespace sluice
