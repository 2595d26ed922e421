// Whether a text is nothing but visible ASCII and spaces, as nearly every header's value is: what
// says yes here needs no look at each of its bytes. Pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

inline bool is_visible_ascii(std::string_view text) {
    constexpr std::uint64_t ones = 0x0101010101010101ULL;
    constexpr std::uint64_t highs = 0x8080808080808080ULL;
    std::uint64_t stops = 0;
    // The high bit of a byte of these is set where it is below 0x20, or 0x7F, or above. A borrow
    // may set more of them, yet never where none is to be set.
    auto look_at = [&](std::size_t from) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + from, sizeof word);
        stops |= word | (word - ones * 0x20) | (word + ones);
    };
    std::size_t at = 0;
    for (; at + sizeof stops <= text.size(); at += sizeof stops) look_at(at);
    if (at > 0 && at < text.size()) {  // the last ones, some of them once more
        look_at(text.size() - sizeof stops);
        at = text.size();
    }
    bool bad = (stops & highs) != 0;
    for (; at < text.size(); ++at) {
        auto byte = static_cast<unsigned char>(text[at]);
        bad |= byte < 0x20 || byte > 0x7E;
    }
    return !bad;
}

}  // namespace sluice
