// Words, sixteen bytes a step: how many ASCII letters begin a text, and their hash. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "policies/word_hash.h"

namespace sluice {

struct LetterRun {
    std::size_t length = 0;
    std::uint32_t hash = 0;  // as word_hash() of the letters in lower case; of none, unspecified
};

namespace letters {

constexpr std::size_t step = 16;

constexpr std::uint64_t every_byte(std::uint64_t byte) { return byte * 0x0101010101010101U; }

inline std::uint64_t eight_at(const char* at) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

// The high bit of every byte that is an ASCII letter.
inline std::uint64_t marks(std::uint64_t bytes) {
    std::uint64_t folded = (bytes & every_byte(0x7f)) | every_byte(0x20);
    std::uint64_t from_a = folded + every_byte(0x80 - 'a');
    std::uint64_t past_z = folded + every_byte(0x80 - 'z' - 1);
    return from_a & ~past_z & ~bytes & every_byte(0x80);
}

// How many of the sixteen bytes at `at` are letters before the first that is none.
inline std::size_t count_in_step(const char* at) {
#if defined(__SSE2__)
    using Bytes = unsigned char __attribute__((vector_size(16)));
    using Signed = char __attribute__((vector_size(16)));
    Bytes bytes;
    std::memcpy(&bytes, at, sizeof bytes);
    auto inside = reinterpret_cast<Signed>(((bytes | 0x20) - 'a') <= 'z' - 'a');
    auto mask = static_cast<unsigned>(__builtin_ia32_pmovmskb128(inside));
    return static_cast<std::size_t>(__builtin_ctz(~mask));  // beyond sixteen all are 0
#else
    int low = std::countr_one(marks(eight_at(at)) | every_byte(0x7f)) / 8;
    int high = std::countr_one(marks(eight_at(at + 8)) | every_byte(0x7f)) / 8;
    return static_cast<std::size_t>(low == 8 ? 8 + high : low);
#endif
}

// Masks that keep the first n of sixteen bytes: kept_bytes[16 - n] on.
constexpr std::array<char, 32> make_kept() {
    std::array<char, 32> kept{};
    for (std::size_t i = 0; i < 16; ++i) kept[i] = static_cast<char>(0xff);
    return kept;
}
inline constexpr std::array<char, 32> kept_bytes = make_kept();

// Goes on with `hash` over `length` (16 at most) letters at `at`, where sixteen bytes can be read.
inline std::uint64_t hash_step(std::uint64_t hash, const char* at, std::size_t length) {
    const char* kept = kept_bytes.data() + step - length;
    std::uint64_t low = (eight_at(at) | every_byte(0x20)) & eight_at(kept);
    std::uint64_t high = (eight_at(at + 8) | every_byte(0x20)) & eight_at(kept + 8);
    return word_hash_step(hash, low, high);
}

}  // namespace letters

// The hash of `length` (16 at most) letters at `at`, where sixteen bytes can be read.
inline std::uint32_t hash_letters(const char* at, std::size_t length) {
    return word_hash_end(letters::hash_step(word_hash_start, at, length));
}

// Of the letters from `at` on, however many. Seldom asked: kept out of the loop.
[[gnu::noinline]] inline LetterRun read_letters(const char* at, const char* end) {
    const char* from = at;
    std::uint64_t hash = word_hash_start;
    std::array<char, letters::step> bytes{};
    for (std::size_t found = letters::step; found == letters::step && at != end; at += found) {
        bytes.fill(0);
        std::memcpy(bytes.data(), at, std::min(letters::step, static_cast<std::size_t>(end - at)));
        found = letters::count_in_step(bytes.data());
        if (found != 0) hash = letters::hash_step(hash, bytes.data(), found);
    }
    return {static_cast<std::size_t>(at - from), word_hash_end(hash)};
}

}  // namespace sluice
