// The next byte of a text that is of a kind, sixteen at a time. Pure.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

using ByteBlock = unsigned char __attribute__((vector_size(16)));

// Where the first byte of the kind is, of sixteen; 16 where none is. `kind` has all bits of such
// bytes set, and none of the others'.
inline std::size_t first_of_kind(ByteBlock kind) {
#if defined(__SSE2__)
    using Signed = char __attribute__((vector_size(16)));
    auto mask = static_cast<unsigned>(__builtin_ia32_pmovmskb128(reinterpret_cast<Signed>(kind)));
    return static_cast<std::size_t>(std::countr_zero(mask | 1U << sizeof kind));
#else
    for (std::size_t i = 0; i < sizeof kind; ++i)
        if (kind[i] != 0) return i;
    return sizeof kind;
#endif
}

// From `at` on; the text's size where there is none. `of_kind` takes a ByteBlock and gives one as
// above; a byte of nought may not be of the kind.
template <class OfKind>
std::size_t next_byte(std::string_view text, std::size_t at, OfKind of_kind) {
    ByteBlock block;
    for (; at + sizeof block <= text.size(); at += sizeof block) {
        std::memcpy(&block, text.data() + at, sizeof block);
        std::size_t first = first_of_kind(of_kind(block));
        if (first < sizeof block) return at + first;
    }
    if (at >= text.size()) return text.size();
    block = ByteBlock{};
    std::memcpy(&block, text.data() + at, text.size() - at);
    std::size_t first = first_of_kind(of_kind(block));
    return first < sizeof block ? at + first : text.size();
}

}  // namespace sluice
