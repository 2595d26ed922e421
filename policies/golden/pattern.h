// A regular expression that cannot run away: it is tried in all ways at once (Thompson's automaton,
// as told by R. Cox, "Regular Expression Matching Can Be Simple And Fast", 2007), so time grows
// with the text times the expression and never exponentially. What needs backtracking (back
// references, look-around) is refused when it is compiled. Works on code points of UTF-8.
// Immutable; any thread.
//
// Syntax: literals, ., [a-z], [^...], \d \w \s \D \W \S (ASCII), \b \B, ^ $ (of the whole text),
// ( ) and (?: ) alike, |, * + ? {n} {n,} {n,m}, and \ before any sign.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/result.h"

namespace sluice {

class Pattern {
public:
    // Errors: bad_config, with what is wrong and where (in code points from 1).
    static Result<Pattern> compile(std::string_view expression, bool ignore_case);
    // Whether it matches anywhere. Of a longer text the first text_points_max are looked at.
    bool found_in(std::string_view text) const;

    static constexpr std::size_t program_max = 2'000;  // steps, after repeats are written out
    static constexpr std::size_t text_points_max = 200'000;

private:
    friend class PatternReader;
    enum class Op { set, split, jump, begin, end, word_edge, no_word_edge, match };
    using Ranges = std::vector<std::pair<char32_t, char32_t>>;
    struct Step {
        Op op = Op::match;
        Ranges ranges;            // set
        bool negated = false;     // set
        std::size_t to = 0;       // split, jump
        std::size_t or_else = 0;  // split
    };
    struct Threads;
    bool takes(const Step& step, char32_t point) const;
    void follow(Threads& threads, std::size_t from, const std::u32string& text,
                std::size_t at) const;

    std::vector<Step> steps_;
    bool ignore_case_ = false;
};

// Code points of UTF-8; what is none becomes U+FFFD, a byte each.
std::u32string code_points(std::string_view text, std::size_t points_max);

}  // namespace sluice
