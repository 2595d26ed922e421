#include "policies/text_masks.h"

namespace sluice {
namespace {

// Of a register of 128 or 256 bits.
using Bytes128 = unsigned char __attribute__((vector_size(16)));
using Bytes256 = unsigned char __attribute__((vector_size(32)));

// The high bit of every byte.
inline BlockBits high_bits(Bytes128 bytes) {
#if defined(__SSE2__)
    using Signed = char __attribute__((vector_size(16)));
    return static_cast<std::uint32_t>(__builtin_ia32_pmovmskb128(reinterpret_cast<Signed>(bytes)));
#else
    BlockBits bits = 0;
    for (unsigned i = 0; i < sizeof bytes; ++i) bits |= static_cast<BlockBits>(bytes[i] >> 7) << i;
    return bits;
#endif
}
#if defined(__x86_64__)
[[gnu::target("avx2")]] inline BlockBits high_bits(const Bytes256& bytes) {
    using Signed = char __attribute__((vector_size(32)));
    return static_cast<std::uint32_t>(
        __builtin_ia32_pmovmskb256(reinterpret_cast<const Signed&>(bytes)));
}
#endif

// Those that begin a run; `before`: the last bit of the block before, which becomes this one's.
[[gnu::always_inline]] inline BlockBits run_starts(BlockBits bits, BlockBits& before) {
    const BlockBits starts = bits & ~(bits << 1 | before);
    before = bits >> 63;
    return starts;
}

// Writes the places of the bits that are set. In one go, which costs one wrong guess only where
// there are more than `usual`: how many there are is hard to guess. `sizeof(Bytes)` tells what the
// processor can do.
template <class Bytes, std::size_t usual>
[[gnu::always_inline]] inline std::uint16_t* put(BlockBits bits, std::size_t block,
                                                 std::uint16_t* out) {
    const auto base = static_cast<std::uint16_t>(block * block_bytes);
    // The bits are counted down with a bit beyond them, since the lowest of none is not defined.
    auto some = [&](std::size_t count, std::uint16_t* to) {
        for (std::size_t i = 0; i < count; ++i, bits &= bits - 1)
            to[i] = static_cast<std::uint16_t>(
                base + static_cast<std::uint16_t>(__builtin_ctzll(bits | BlockBits{1} << 63)));
    };
    if constexpr (sizeof(Bytes) < 32) {
        for (; bits != 0; ++out) some(1, out);
        return out;
    }
    std::uint16_t* const end = out + __builtin_popcountll(bits);
    some(usual, out);
    for (out += usual; out < end; out += 4) [[unlikely]] some(4, out);
    return end;
}

}  // namespace

template <class Bytes>
[[gnu::always_inline]] inline void TextMasks::find(const char* text, std::size_t blocks) {
    std::uint16_t *word = words_.data(), *number = numbers_.data(), *other = others_.data();
    BlockBits word_before = 0, number_before = 0, any_rich = 0;
    word_bits_[0] = number_bits_[0] = rich_bits_[0] = 0;
    for (std::size_t block = 0; block < blocks; ++block, text += block_bytes) {
        BlockBits words = 0, numbers = 0, spaces = 0, rich = 0;
        for (std::size_t at = block_bytes; at > 0;) {
            at -= sizeof(Bytes);
            Bytes bytes;
            std::memcpy(&bytes, text + at, sizeof bytes);
            const auto letters = reinterpret_cast<Bytes>(((bytes | 0x20) - 'a') <= 'z' - 'a');
            constexpr std::size_t wide = sizeof(Bytes) % block_bytes;
            words = words << wide | high_bits(letters | bytes);
            rich = rich << wide | high_bits(reinterpret_cast<Bytes>(bytes == '\\') | bytes);
            numbers = numbers << wide | high_bits(reinterpret_cast<Bytes>((bytes - '0') <= 9));
            spaces = spaces << wide | high_bits(reinterpret_cast<Bytes>(bytes == ' '));
        }
        word_bits_[block + 1] = words;
        number_bits_[block + 1] = numbers;
        rich_bits_[block + 1] = rich;
        any_rich |= rich;
        word = put<Bytes, 12>(run_starts(words, word_before), block, word);
        number = put<Bytes, 1>(run_starts(numbers, number_before), block, number);
        other = put<Bytes, 4>(~(words | numbers | spaces), block, other);
    }
    word_bits_[blocks + 1] = number_bits_[blocks + 1] = rich_bits_[blocks + 1] = 0;
    word_count_ = static_cast<std::size_t>(word - words_.data());
    number_count_ = static_cast<std::size_t>(number - numbers_.data());
    other_count_ = static_cast<std::size_t>(other - others_.data());
    rich_ = any_rich != 0;
}

void TextMasks::find_128(const char* text, std::size_t blocks) { find<Bytes128>(text, blocks); }

#if defined(__x86_64__)
[[gnu::target("avx2,bmi,popcnt")]] void TextMasks::find_256(const char* text, std::size_t blocks) {
    find<Bytes256>(text, blocks);
}
#endif

TextMasks::TextMasks(const char* text, std::size_t blocks, [[maybe_unused]] int register_bits_max) {
#if defined(__x86_64__)
    static const bool has_256 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                                __builtin_cpu_supports("popcnt");
    if (has_256 && register_bits_max >= 256) {
        find_256(text, blocks);
        return;
    }
#endif
    find_128(text, blocks);
}

TextMasks::TextMasks(const char* text, std::size_t blocks) : TextMasks(text, blocks, 256) {}

}  // namespace sluice
