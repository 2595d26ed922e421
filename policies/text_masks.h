// Where in a chunk of a text words begin, numbers, and what is neither, from bits that are found
// sixteen or thirty-two bytes at a time. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice {

// The bits of 64 bytes, the first lowest.
using BlockBits = std::uint64_t;
constexpr std::size_t block_bytes = 64;

class TextMasks {
public:
    static constexpr std::size_t bytes_max = 1024;  // as much as is read of a turn (text_window.h)

    // Of so many blocks of 64 bytes, at most `bytes_max`.
    TextMasks(const char* text, std::size_t blocks);
    // In registers of so many bits at most.
    TextMasks(const char* text, std::size_t blocks, int register_bits_max);

    // A run of ASCII letters and of bytes beyond ASCII is a word.
    std::span<const std::uint16_t> words() const { return {words_.data(), word_count_}; }
    // Where runs of digits begin.
    std::span<const std::uint16_t> numbers() const { return {numbers_.data(), number_count_}; }
    // Every byte that is neither of them and no space.
    std::span<const std::uint16_t> others() const { return {others_.data(), other_count_}; }

    // Of a word, or number, that begins there; `run_long` where it is that long or longer.
    static constexpr std::size_t run_long = 31;
    std::size_t word_length(std::size_t at) const { return short_run(word_bits_, at); }
    std::size_t number_length(std::size_t at) const { return short_run(number_bits_, at); }
    // However long.
    std::size_t whole_word_length(std::size_t at) const { return run(word_bits_, at); }
    std::size_t whole_number_length(std::size_t at) const { return run(number_bits_, at); }

    // Whether there is a backslash, or a byte beyond ASCII.
    bool rich() const { return rich_; }
    // Whether a backslash stands before that word, or a byte beyond ASCII is one of its first 31.
    // `length`: of as much of it as is asked about, 31 at most.
    bool rich(std::size_t at, std::size_t length) const {
        return (window(rich_bits_, at - 1) & ((std::uint64_t{2} << length) - 1)) != 0;
    }
    // The latter alone.
    bool wide(std::size_t at, std::size_t length) const {
        return (window(rich_bits_, at) & ((std::uint64_t{1} << length) - 1)) != 0;
    }

private:
    static constexpr std::size_t blocks_max = bytes_max / block_bytes;
    // A block more before and behind, none of whose bits is set.
    using Bits = std::array<BlockBits, blocks_max + 2>;
    // Room for those that are written in vain.
    static constexpr std::size_t in_vain = 16;

    // The bits from `at` on, 57 of them at least.
    static std::uint64_t window(const Bits& bits, std::size_t at) {
        std::uint64_t found = 0;
        const std::size_t bit = at + block_bytes;
        std::memcpy(&found, reinterpret_cast<const char*>(bits.data()) + bit / 8, sizeof found);
        return found >> bit % 8;
    }
    static std::size_t short_run(const Bits& bits, std::size_t at) {
        const auto gaps = ~static_cast<std::uint32_t>(window(bits, at));
        return static_cast<std::size_t>(__builtin_ctz(gaps | 1U << run_long));
    }
    static std::size_t run(const Bits& bits, std::size_t at) {
        std::size_t length = 0, found = run_long;
        for (; found == run_long; length += found) found = short_run(bits, at + length);
        return length;
    }

    template <class Bytes>
    void find(const char* text, std::size_t blocks);
    void find_128(const char* text, std::size_t blocks);
    void find_256(const char* text, std::size_t blocks);

    Bits word_bits_, number_bits_, rich_bits_;
    std::size_t word_count_, number_count_, other_count_;
    bool rich_;
    std::array<std::uint16_t, bytes_max / 2 + in_vain> words_, numbers_;
    std::array<std::uint16_t, bytes_max + in_vain> others_;
};

}  // namespace sluice
