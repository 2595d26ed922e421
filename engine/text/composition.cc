#include "engine/text/composition.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/text/unicode.h"

namespace sluice {
namespace {

struct ClassRange {
    char32_t first;
    char32_t last;
    std::uint8_t combining;
};
struct Mapping {
    char32_t whole;
    char32_t first;
    char32_t second;  // 0: `first` stands alone
};

#include "engine/text/composition_tables.inc"

// Hangul syllables are put together by counting (The Unicode Standard, 3.12).
constexpr char32_t syllable_base = 0xAC00;
constexpr char32_t lead_base = 0x1100;
constexpr char32_t vowel_base = 0x1161;
constexpr char32_t tail_base = 0x11A7;  // one before the first tail
constexpr char32_t leads = 19;
constexpr char32_t vowels = 21;
constexpr char32_t tails = 28;
constexpr char32_t syllables = leads * vowels * tails;

constexpr char32_t code_end = 0x110000;
constexpr char32_t byte_base = code_end;     // stands for a byte that is no part of a character
constexpr char32_t first_looked_at = 0x300;  // all below are in form C wherever they stand

class Tables {
public:
    Tables() {
        for (const ClassRange& range : combining_classes)
            for (char32_t code = range.first; code <= range.last; ++code) {
                classes_.emplace(code, range.combining);
                to_look_at_.set(code);
            }
        for (const Mapping& one : composed_mappings) {
            parts_.emplace(one.whole, &one);
            wholes_.emplace(key(one.first, one.second), one.whole);
            to_look_at_.set(one.second);
        }
        for (const Mapping& one : apart_mappings) {
            parts_.emplace(one.whole, &one);
            to_look_at_.set(one.whole);
        }
        for (char32_t code = vowel_base; code < vowel_base + vowels; ++code) to_look_at_.set(code);
        for (char32_t code = tail_base + 1; code < tail_base + tails; ++code) to_look_at_.set(code);
    }
    bool must_look_at(char32_t code) const { return to_look_at_[code]; }
    std::uint8_t combining(char32_t code) const {
        auto found = classes_.find(code);
        return found == classes_.end() ? 0 : found->second;
    }
    const Mapping* parts(char32_t code) const {
        auto found = parts_.find(code);
        return found == parts_.end() ? nullptr : found->second;
    }
    char32_t whole(char32_t first, char32_t second) const {  // 0: they stay two
        auto found = wholes_.find(key(first, second));
        return found == wholes_.end() ? 0 : found->second;
    }

private:
    static std::uint64_t key(char32_t first, char32_t second) {
        return std::uint64_t{first} << 32 | second;
    }
    std::bitset<code_end> to_look_at_;
    std::unordered_map<char32_t, std::uint8_t> classes_;
    std::unordered_map<char32_t, const Mapping*> parts_;
    std::unordered_map<std::uint64_t, char32_t> wholes_;
};

const Tables& tables() {
    static const auto all = std::make_unique<const Tables>();
    return *all;
}

struct Letter {
    char32_t code;
    std::uint8_t combining;
};

void take_apart(char32_t code, std::vector<Letter>& out) {
    if (code >= syllable_base && code < syllable_base + syllables) {
        const char32_t index = code - syllable_base;
        out.push_back({lead_base + index / (vowels * tails), 0});
        out.push_back({vowel_base + index / tails % vowels, 0});
        if (index % tails != 0) out.push_back({tail_base + index % tails, 0});
        return;
    }
    const Mapping* parts = tables().parts(code);
    if (parts == nullptr) return out.push_back({code, tables().combining(code)});
    take_apart(parts->first, out);
    if (parts->second != 0) take_apart(parts->second, out);
}

std::vector<Letter> letters_of(std::string_view text) {
    std::vector<Letter> out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char read = read_utf8(text, at);
        if (read.kind == Utf8Char::Kind::whole) {
            take_apart(read.code, out);
            at += read.bytes;
        } else {
            out.push_back({byte_base + static_cast<unsigned char>(text[at++]), 0});
        }
    }
    return out;
}

// Marks that follow one letter stand in the order of their classes.
void put_in_order(std::vector<Letter>& letters) {
    auto by_class = [](const Letter& a, const Letter& b) { return a.combining < b.combining; };
    for (auto at = letters.begin(); at != letters.end();) {
        if (at->combining == 0) {
            ++at;
            continue;
        }
        auto end = std::find_if(at, letters.end(), [](Letter one) { return one.combining == 0; });
        std::stable_sort(at, end, by_class);
        at = end;
    }
}

char32_t joined(char32_t first, char32_t second) {
    if (first >= lead_base && first < lead_base + leads && second >= vowel_base &&
        second < vowel_base + vowels)
        return syllable_base + ((first - lead_base) * vowels + (second - vowel_base)) * tails;
    if (first >= syllable_base && first < syllable_base + syllables &&
        (first - syllable_base) % tails == 0 && second > tail_base && second < tail_base + tails)
        return first + (second - tail_base);
    return tables().whole(first, second);
}

// Each letter or mark joins the last letter before it unless one between them blocks it.
std::vector<char32_t> put_together(const std::vector<Letter>& letters) {
    std::vector<char32_t> out;
    out.reserve(letters.size());
    std::size_t starter = letters.size();  // where in `out` the last letter stands; none yet
    std::uint8_t before = 0;               // the class of what was put behind it last
    for (const Letter& letter : letters) {
        const bool have = starter < out.size();
        const bool beside = have && starter + 1 == out.size();
        if (have && (beside || (before < letter.combining && before != 0))) {
            const char32_t whole = joined(out[starter], letter.code);
            if (whole != 0) {
                out[starter] = whole;
                continue;
            }
        }
        before = letter.combining;
        if (letter.combining == 0) starter = out.size();
        out.push_back(letter.code);
    }
    return out;
}

void append_utf8(std::string& out, char32_t code) {
    auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code >= byte_base) return put(code - byte_base);
    if (code < 0x80) return put(code);
    if (code < 0x800) {
        put(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3F));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3F));
        put(0x80 | (code >> 6 & 0x3F));
    }
    put(0x80 | (code & 0x3F));
}

}  // namespace

bool is_surely_composed(std::string_view text) {
    constexpr unsigned char lead = 0xCC;  // of first_looked_at
    static_assert((0xC0 | first_looked_at >> 6) == lead);
    for (std::size_t at = 0; at < text.size();) {
        if (static_cast<unsigned char>(text[at]) < lead) {
            ++at;
            continue;
        }
        const Utf8Char read = read_utf8(text, at);
        if (read.kind != Utf8Char::Kind::whole) {
            ++at;
            continue;
        }
        if (tables().must_look_at(read.code)) return false;
        at += read.bytes;
    }
    return true;
}

std::string composed(std::string_view text) {
    std::vector<Letter> letters = letters_of(text);
    put_in_order(letters);
    std::string out;
    out.reserve(text.size());
    for (char32_t code : put_together(letters)) append_utf8(out, code);
    return out;
}

}  // namespace sluice
