#include "engine/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "engine/text/unicode.h"

namespace sluice {
namespace {

constexpr int code_end = 0x144;  // 256 + the 68 bytes that do not stand for themselves

constexpr bool stands_for_itself(int byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr auto code_of_byte = [] {
    std::array<char16_t, 256> codes{};
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte)
        codes[static_cast<std::size_t>(byte)] =
            static_cast<char16_t>(stands_for_itself(byte) ? byte : next++);
    return codes;
}();

constexpr auto byte_of_code = [] {
    std::array<std::int16_t, code_end> bytes{};
    bytes.fill(-1);
    for (int byte = 0; byte < 256; ++byte)
        bytes[code_of_byte[static_cast<std::size_t>(byte)]] = static_cast<std::int16_t>(byte);
    return bytes;
}();

}  // namespace

bool append_spelled_bytes(std::string& bytes, std::string_view spelled) {
    std::size_t size = bytes.size();
    for (std::size_t at = 0; at < spelled.size();) {
        Utf8Char next = read_utf8(spelled, at);
        bool known = next.kind == Utf8Char::Kind::whole && next.code < code_end &&
                     byte_of_code[next.code] >= 0;
        if (!known) {
            bytes.resize(size);
            return false;
        }
        bytes += static_cast<char>(byte_of_code[next.code]);
        at += next.bytes;
    }
    return true;
}

std::string spelling_of(unsigned char byte) {
    unsigned code = code_of_byte[byte];
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

}  // namespace sluice
