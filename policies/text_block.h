// Sixty-four bytes of a text at once: which of them are letters, and which are neither letters nor
// spaces. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice {

// The bits of a block's bytes, the first lowest.
using BlockBits = std::uint64_t;

// Those before `place`, which may lie beyond the block.
constexpr BlockBits bits_before(std::size_t place) {
    return place < 64 ? (BlockBits{1} << place) - 1 : ~BlockBits{0};
}

// The lowest: some bit is set.
inline std::size_t first_bit(BlockBits bits) {
    return static_cast<std::size_t>(__builtin_ctzll(bits));
}

class TextBlock {
public:
    static constexpr std::size_t size = 64;

    // Of the text from `at` to `end`, which is not empty.
    TextBlock(const char* at, const char* end) : bytes_(at) {
        const auto rest = static_cast<std::size_t>(end - at);
        if (rest < readable) {
            tail_.fill('\n');
            std::memcpy(tail_.data(), at, rest);
            bytes_ = tail_.data();
        }
        BlockBits letters = 0, spaces = 0;
        for (std::size_t step = size; step > 0; step -= 16) {
            const Sixteen sixteen = sixteen_at(bytes_ + step - 16);
            letters = letters << 16 | sixteen.letters;
            spaces = spaces << 16 | sixteen.spaces;
        }
        const BlockBits inside = bits_before(rest);
        letters_ = letters & inside;
        others_ = ~(letters | spaces) & inside;
    }
    TextBlock(const TextBlock&) = delete;
    TextBlock& operator=(const TextBlock&) = delete;

    // The block, and fifteen bytes more: line ends where the text has none.
    const char* bytes() const { return bytes_; }
    BlockBits letters() const { return letters_; }
    BlockBits others() const { return others_; }

private:
    static constexpr std::size_t readable = size + 16;
    struct Sixteen {
        BlockBits letters, spaces;
    };

#if defined(__SSE2__)
    static Sixteen sixteen_at(const char* at) {
        using Bytes = unsigned char __attribute__((vector_size(16)));
        Bytes bytes;
        std::memcpy(&bytes, at, sizeof bytes);
        auto bits_of = [](auto mask) {
            using Signed = char __attribute__((vector_size(16)));
            return static_cast<BlockBits>(
                __builtin_ia32_pmovmskb128(reinterpret_cast<Signed>(mask)));
        };
        return {bits_of(((bytes | 0x20) - 'a') <= 'z' - 'a'), bits_of(bytes == ' ')};
    }
#else
    static Sixteen sixteen_at(const char* at) {
        Sixteen out{0, 0};
        for (unsigned i = 0; i < 16; ++i) {
            const char lower = static_cast<char>(at[i] | 0x20);
            out.letters |= static_cast<BlockBits>(lower >= 'a' && lower <= 'z') << i;
            out.spaces |= static_cast<BlockBits>(at[i] == ' ') << i;
        }
        return out;
    }
#endif

    const char* bytes_;
    BlockBits letters_, others_;
    std::array<char, readable> tail_;  // filled only at a text's end
};

}  // namespace sluice
