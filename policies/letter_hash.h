// The hash of a word in a text, sixteen bytes a step. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "policies/word_hash.h"

namespace sluice {

constexpr std::size_t hash_step_bytes = 16;

// Masks that keep the first n of sixteen bytes: kept_bytes[16 - n] on.
constexpr std::array<char, 2 * hash_step_bytes> make_kept_bytes() {
    std::array<char, 2 * hash_step_bytes> kept{};
    for (std::size_t i = 0; i < hash_step_bytes; ++i) kept[i] = static_cast<char>(0xff);
    return kept;
}
inline constexpr std::array<char, 2 * hash_step_bytes> kept_bytes = make_kept_bytes();

// Goes on with `hash` over the first `length` (16 at most) of sixteen bytes that can be read. The
// bit of case is set in all of them: letters are folded, digits stay what they are.
inline std::uint64_t hash_step(std::uint64_t hash, const char* at, std::size_t length) {
    constexpr std::uint64_t lower = 0x2020202020202020U;
    const char* kept = kept_bytes.data() + hash_step_bytes - length;
    auto eight_at = [](const char* eight) {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, eight, sizeof bytes);
        return bytes;
    };
    return word_hash_step(hash, (eight_at(at) | lower) & eight_at(kept),
                          (eight_at(at + 8) | lower) & eight_at(kept + 8));
}

// As word_hash() of the same in lower case. 1 to 16 bytes, where sixteen can be read.
inline std::uint32_t hash_short(const char* at, std::size_t length) {
    return word_hash_end(hash_step(word_hash_start, at, length));
}
// Of any length, where fifteen bytes more can be read. Seldom asked: kept out of loops.
[[gnu::noinline]] inline std::uint32_t hash_any(std::string_view word,
                                                std::uint64_t start = word_hash_start) {
    std::uint64_t hash = start;
    for (std::size_t at = 0; at < word.size(); at += hash_step_bytes)
        hash = hash_step(hash, word.data() + at, std::min(hash_step_bytes, word.size() - at));
    return word_hash_end(hash);
}

}  // namespace sluice
