#include "policies/word_trail.h"

#include <algorithm>

#include "policies/met.h"
#include "policies/word_hash.h"

namespace sluice {
namespace {

constexpr std::uint32_t words_early = 100;  // repetition is told by the first so many

thread_local Met met;

}  // namespace

// Whether it is new.
inline bool WordTrail::Marks::mark(std::uint32_t hash) {
    const std::size_t bucket = bucket_of(hash);
    bool fresh = met[bucket] < text;
    met[bucket] = text;
    // Written always, kept when fresh: a branch here would be guessed wrong too often.
    buckets[used] = static_cast<std::uint16_t>(bucket);
    used += fresh ? 1U : 0U;
    return fresh;
}

// Marks it, and its pair with what came before. Whether it is new.
inline bool WordTrail::Marks::follow(std::uint32_t hash, bool in_options) {
    const bool fresh = mark(hash);
    std::uint32_t told = hash;
    if (in_options) mark(told = option_hash(hash));
    if (previous != 0) mark(pair_hash(previous, told));
    previous = hash;
    return fresh;
}

WordTrail::WordTrail(std::uint16_t* buckets)
    : marks_{met.text.data(), buckets, 0, 0, met.next_text()} {}

void WordTrail::begin_options() {
    if (in_options_) return;
    follow_all();
    in_options_ = true;
}

void WordTrail::follow_some() {
    if (noted_.data() + noted_.size() - next_ < static_cast<std::ptrdiff_t>(room)) follow_all();
}

void WordTrail::follow_all() {
    Marks marks = marks_;  // what the loops change is kept in locals
    const bool in_options = in_options_;
    std::uint32_t words = words_, unique = unique_;
    const Token* token = noted_.data();
    const Token* const end = next_;
    for (; token != end && words < words_early; ++token) {
        const auto word = static_cast<std::uint32_t>(*token >> 32);
        const bool fresh = marks.follow(static_cast<std::uint32_t>(*token), in_options);
        unique += word & (fresh ? 1U : 0U);
        words += word;
    }
    for (; token != end; ++token) {
        marks.follow(static_cast<std::uint32_t>(*token), in_options);
        words += static_cast<std::uint32_t>(*token >> 32);
    }
    marks_ = marks;
    words_ = words;
    unique_ = unique;
    next_ = noted_.data();
}

float WordTrail::unique_share() const {
    const std::uint32_t of = std::min(words_, words_early);
    return of == 0 ? 0.0F : static_cast<float>(unique_) / static_cast<float>(of);
}

}  // namespace sluice
