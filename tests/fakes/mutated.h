// Bytes that were read well, with a few places of them changed: what readers of files and of
// strangers' bytes are tried with. From the generator's seed alone.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// One to four times: a piece of `harm` put in, some bytes erased, the rest cut off, a byte or a
// number of 1 to 8 bytes replaced, a part repeated elsewhere.
inline std::string mutated(std::string bytes, std::span<const std::string_view> harm,
                           std::mt19937& random) {
    static constexpr std::uint64_t numbers[] = {
        0, ~std::uint64_t{0}, 1ULL << 63, 1ULL << 32, 0x7FFFFFFF, 0xFF, 0x7FC00000, 0x7F800000};
    auto below = [&](std::size_t end) { return random() % end; };
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
        const std::size_t at = below(bytes.size() + 1);
        switch (below(6)) {
            case 0:
                bytes.insert(at, harm[below(harm.size())]);
                break;
            case 1:
                bytes.erase(at, 1 + below(12));
                break;
            case 2:
                if (below(4) == 0) bytes.resize(at);
                break;
            case 3:
                if (at < bytes.size()) bytes[at] = static_cast<char>(random());
                break;
            case 4:
                std::memcpy(bytes.data() + at, &numbers[below(std::size(numbers))],
                            std::min(std::size_t{1} << below(4), bytes.size() - at));
                break;
            default: {
                const std::string piece = bytes.substr(at, below(48));
                bytes.insert(below(bytes.size() + 1), piece);
            }
        }
    }
    return bytes;
}

}  // namespace sluice
