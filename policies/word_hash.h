// The hash of words, numbers and symbols, sixteen bytes a multiplication. Weights are trained on
// what it gives: another hash is another version of them. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// Lower-case bytes, little-endian, the last sixteen filled up with zeros; each step multiplies both
// halves and folds the product's upper half down. The constants are fractions of the golden ratio
// and of the root of two.
constexpr std::uint64_t word_hash_start = 0;
constexpr std::uint64_t word_hash_step(std::uint64_t hash, std::uint64_t low,
                                       std::uint64_t high = 0) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{hash ^ low ^ 0x9e3779b97f4a7c15U} * (high ^ 0x6a09e667f3bcc909U);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
constexpr std::uint32_t word_hash_end(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash);
}
constexpr std::uint32_t word_hash(std::string_view word) {
    std::uint64_t hash = word_hash_start;
    do {
        std::uint64_t halves[2] = {0, 0};
        for (std::size_t i = 0; i < std::min<std::size_t>(word.size(), 16); ++i)
            halves[i / 8] |= std::uint64_t{static_cast<unsigned char>(word[i])} << (i % 8 * 8);
        hash = word_hash_step(hash, halves[0], halves[1]);
        word.remove_prefix(std::min<std::size_t>(word.size(), 16));
    } while (!word.empty());
    return word_hash_end(hash);
}

}  // namespace sluice
