#include "policies/features.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "policies/letter_run.h"
#include "policies/met.h"
#include "policies/word_groups.h"

namespace sluice {
namespace {

enum class Kind : std::uint8_t { letter, digit, space, newline, symbol, wide };

constexpr std::array<Kind, 256> make_kinds() {
    std::array<Kind, 256> kinds{};
    for (unsigned c = 0; c < 256; ++c) {
        Kind kind = Kind::symbol;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            kind = Kind::letter;
        else if (c >= '0' && c <= '9')
            kind = Kind::digit;
        else if (c == '\n')
            kind = Kind::newline;
        else if (c <= ' ' || c == 0x7f)
            kind = Kind::space;
        else if (c >= 0x80)
            kind = Kind::wide;
        kinds[c] = kind;
    }
    return kinds;
}

constexpr std::array<Kind, 256> kinds = make_kinds();

Kind kind_of(char c) { return kinds[static_cast<unsigned char>(c)]; }

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

// What a symbol counts as, beside being one.
enum class Sign : std::uint8_t { none, question, stop, math, percent, dollar, brace, underscore };

constexpr std::array<Sign, 256> make_signs() {
    std::array<Sign, 256> signs{};
    constexpr std::pair<Sign, std::string_view> listed[] = {
        {Sign::question, "?"},  {Sign::stop, ".!"},  {Sign::math, "=+*/^<>|"},
        {Sign::percent, "%"},   {Sign::dollar, "$"}, {Sign::brace, "{}[];()"},
        {Sign::underscore, "_"}};
    for (auto [sign, symbols] : listed)
        for (char c : symbols) signs[static_cast<unsigned char>(c)] = sign;
    return signs;
}
constexpr std::array<Sign, 256> signs = make_signs();

// Symbols that are hashed like words, a run of the same once.
constexpr std::array<bool, 256> make_telling() {
    std::array<bool, 256> out{};
    for (char c : std::string_view("=+*/^<>|$_{}%")) out[static_cast<unsigned char>(c)] = true;
    return out;
}
constexpr std::array<bool, 256> telling = make_telling();

constexpr std::uint32_t option_salt = 0x5bd1e995U;

// Beyond these a text is long, and no harder for being longer still.
constexpr std::size_t bytes_long = 3'000;
constexpr std::uint32_t words_long = 500, lines_long = 40, sentences_long = 25, numbers_long = 40;
constexpr std::uint32_t words_early = 100;  // repetition is told by the first so many
constexpr float words_usual = 50;           // in longer texts words of a group count per so many

// Most counts are small, and a logarithm costs as much as ten words.
const std::array<float, 128> small_logs = [] {
    std::array<float, 128> logs{};
    for (std::size_t i = 0; i < logs.size(); ++i) logs[i] = std::log1p(static_cast<float>(i));
    return logs;
}();

float log_of(std::uint64_t count) {
    return count < small_logs.size() ? small_logs[count] : std::log1p(static_cast<float>(count));
}

thread_local Met met;

float share(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0F : static_cast<float>(part) / static_cast<float>(whole);
}

}  // namespace

// Whether it is new.
inline bool FeatureReader::Trail::mark(std::uint32_t hash, std::uint16_t* buckets) {
    std::uint32_t bucket = hash % bucket_count;
    bool fresh = met[bucket] < text;
    met[bucket] = text;
    // Written always, kept when fresh: a branch here would be guessed wrong too often.
    buckets[used] = static_cast<std::uint16_t>(bucket);
    used += fresh ? 1U : 0U;
    return fresh;
}

// Marks it, and its pair with what came before. Whether it is new.
inline bool FeatureReader::Trail::follow(std::uint32_t hash, std::uint16_t* buckets) {
    bool fresh = mark(hash, buckets);
    std::uint32_t pair = word_hash_end(word_hash_step(previous, hash));
    if (in_options) {
        mark(word_hash_end(word_hash_step(option_salt, hash)), buckets);
        pair ^= option_salt;
    }
    if (previous != 0) mark(pair, buckets);
    previous = hash;
    return fresh;
}

std::span<const std::string_view, structural_count> structural_names() { return names; }

bool tells_length(std::size_t structural) {
    constexpr std::string_view of_length[] = {"log_bytes",      "log_words",     "log_lines",
                                              "sentence_words", "log_sentences", "unique_share"};
    return std::find(std::begin(of_length), std::end(of_length), names[structural]) !=
           std::end(of_length);
}

FeatureReader::FeatureReader(TextFeatures& out)
    : out_(out), trail_{met.text.data(), met.next_text(), false, 0, 0} {
    out_.buckets_used = 0;
    out_.words = 0;
    out_.sampled = 0;
}

void FeatureReader::read(std::string_view piece) {
    if (piece.empty()) return;
    const char* at = piece.data();
    const char* end = at + piece.size();
    line_start(at, end);
    while (at != end) {
        switch (kind_of(*at)) {
            case Kind::letter:
                at = words(at, end);
                break;
            case Kind::digit:
                at = number(at, end);
                break;
            case Kind::space:
                ++at;
                break;
            case Kind::newline:
                ++at;
                line_start(at, end);
                break;
            case Kind::symbol:
                at = other(at, end);
                break;
            case Kind::wide:
                at = wide(at, end);
                break;
        }
        if (at != end && *at == ' ') ++at;
    }
}

// What a line's first bytes tell: an option "B. ", an item "- " or "3. ", code.
void FeatureReader::line_start(const char* at, const char* end) {
    const char* from = at;
    while (at != end && (*at == ' ' || *at == '\t')) ++at;
    if (at == end || *at == '\n') return;
    ++lines_;
    if (at - from >= 2 || *from == '\t') ++indented_;
    if (end - at < 2) return;
    char first = *at;
    if (first == '(') first = *++at;
    bool closes = end - at >= 2 && (at[1] == '.' || at[1] == ')' || at[1] == ':');
    if ((first | 0x20) >= 'a' && (first | 0x20) <= 'j' && closes) {
        ++options_;
        trail_.in_options = true;
    }
    if (first == '-' || first == '*' || (kind_of(first) == Kind::digit && closes)) ++items_;
    if (first == '`' && end - at >= 3 && at[1] == '`' && at[2] == '`') ++fences_;
}

// Words with one space between. The hottest loop: what it changes is kept in locals.
const char* FeatureReader::words(const char* at, const char* end) {
    Trail trail = trail_;
    TextFeatures& out = out_;
    const char* from = at;
    std::uint32_t count = words_, unique = unique_, sampled = out.sampled;
    std::size_t greeting_bytes = 0;
    while (true) {
        LetterRun run = read_letters(at, end);
        if (run.length == 0) break;
        std::uint32_t group = word_group_table.find(run.hash);
        if (group == greeting_group) [[unlikely]] {
            greeting_bytes = run.length;
            break;
        }
        at += run.length;
        ++group_counts_[group];
        if (sampled < sample_max) out.sample[sampled++] = run.hash;
        unique += trail.follow(run.hash, out.buckets.data()) ? 1U : 0U;
        if (++count == words_early) unique_early_ = unique;
        if (at == end || *at != ' ') break;
        ++at;
    }
    std::uint32_t more = count - words_;
    if (more > 0) {
        const char* behind = at[-1] == ' ' ? at - 1 : at;
        last_ = behind[-1];
        word_bytes_ += static_cast<std::uint32_t>(behind - from) - (more - 1);
    }
    trail_ = trail;
    out.sampled = sampled;
    words_ = count;
    unique_ = unique;
    return greeting_bytes == 0 ? at : greeting(at + greeting_bytes, end);
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
    while (at != end && kind_of(*at) == Kind::digit)
        value = value * 10 + static_cast<unsigned char>(*at++);
    auto length = static_cast<std::uint32_t>(at - from);
    digits_ += length;
    numbers_seen_ |= std::uint64_t{1} << (value * 0x9e3779b97f4a7c15U >> 58);
    if (end - at >= 2 && kind_of(at[1]) == Kind::digit) {
        decimals_ += *at == '.' ? 1U : 0U;
        fractions_ += *at == '/' ? 1U : 0U;
    }
    ++numbers_;
    longest_number_ = std::max(longest_number_, length);
    last_ = at[-1];
    token(word_hash_end(word_hash_step(word_hash_start, '0' + std::min(length, 5U))));
    return at;
}

const char* FeatureReader::other(const char* at, const char* end) {
    const char* from = at;
    char c = *at++;
    char next = at == end ? '\n' : *at;
    if (c == '\\' && kind_of(next) == Kind::letter) {
        ++latex_;
        std::uint64_t hash = word_hash_step(word_hash_start, '\\');
        while (at != end && kind_of(*at) == Kind::letter)
            hash = word_hash_step(hash, static_cast<unsigned char>(*at++));
        last_ = at[-1];
        latex_bytes_ += static_cast<std::size_t>(at - from);
        token(word_hash_end(hash));
        return at;
    }
    if (telling[static_cast<unsigned char>(c)] && c != last_)
        trail_.follow(word_hash_end(word_hash_step(word_hash_start, static_cast<unsigned char>(c))),
                      out_.buckets.data());
    last_ = c;
    symbol(c, next);
    return at;
}

// Counted without branches: which symbol comes next is hard to guess.
void FeatureReader::symbol(char c, char next) {
    ++symbols_;
    Sign sign = signs[static_cast<unsigned char>(c)];
    ++signs_[static_cast<std::size_t>(sign)];
    bool stops = sign == Sign::question || sign == Sign::stop;
    bool blank = kind_of(next) == Kind::space || kind_of(next) == Kind::newline;
    sentences_ += static_cast<std::uint32_t>(stops & blank);
    blanks_ += static_cast<std::uint32_t>((sign == Sign::underscore) & (next == '_'));
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
             (kind_of(*at) == Kind::wide || (!spaceless && kind_of(*at) == Kind::letter)));
    wide_ += static_cast<std::uint32_t>(at - from);
    word_bytes_ += static_cast<std::uint32_t>(at - from);
    last_ = at[-1];
    std::uint32_t end_hash = word_hash_end(hash);
    sample(end_hash);
    token(end_hash);
    return at;
}

void FeatureReader::token(std::uint32_t hash) {
    unique_ += trail_.follow(hash, out_.buckets.data()) ? 1U : 0U;
    if (++words_ == words_early) unique_early_ = unique_;
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
    std::uint32_t sentences = std::max(sentences_, 1U);
    // All but white space and greetings.
    std::size_t bytes = std::size_t{word_bytes_} + digits_ + symbols_ + latex_bytes_;
    auto count_of = [&](Sign sign) { return signs_[static_cast<std::size_t>(sign)]; };
    const float plain[plain_count] = {
        log_of(std::min(bytes, bytes_long)),
        log_of(std::min(words_, words_long)),
        share(word_bytes_, words_),
        log_of(std::min(lines_, lines_long)),
        std::log1p(share(words_, sentences)),
        share(digits_, bytes),
        share(symbols_, bytes),
        share(count_of(Sign::math), bytes),
        log_of(latex_),
        log_of(count_of(Sign::dollar)),
        log_of(count_of(Sign::question)),
        last_ == '?' ? 1.0F : 0.0F,
        log_of(options_),
        log_of(items_),
        blanks_ > 0 ? 1.0F : 0.0F,
        log_of(fences_),
        share(count_of(Sign::brace), bytes),
        share(indented_, lines_),
        words_ < words_early ? share(unique_, words_) : share(unique_early_, words_early),
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
    float dilution = std::min(1.0F, words_usual / static_cast<float>(std::max(words_, 1U)));
    std::uint32_t met = clear_groups();
    for (; met != 0; met &= met - 1) {
        auto group = static_cast<std::size_t>(std::countr_zero(met));
        std::uint32_t count = group_counts_[group];
        out_.structural[plain_count + group] =
            dilution == 1 ? log_of(count) : std::log1p(static_cast<float>(count) * dilution);
    }
    out_.buckets_used = static_cast<std::uint32_t>(trail_.used);
    out_.words = words_;
    out_.options = options_;
}

}  // namespace sluice
