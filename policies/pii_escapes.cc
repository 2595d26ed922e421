// Three of four texts have nothing to take off, so the pass looks at sixteen bytes at a time for
// those that may begin something, and copies only around what it has found.
#include "policies/pii_escapes.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "policies/next_byte.h"

namespace sluice {
namespace {

constexpr std::size_t text_bytes_read = 512;  // of what base64 holds, to tell whether it is text

using Byte = unsigned char;

// The next byte that may begin an escape; the text's end if there is none.
std::size_t next_escape(std::string_view text, std::size_t at) {
    return next_byte(text, at, [](ByteBlock c) -> ByteBlock {
        auto ascii = (c == '\\') | (c == '%') | (c == '&');
        // The signs of other scripts begin otherwise, but for some.
        auto wide =
            (c == 0xC2) | (c == 0xD9) | (c == 0xDB) | (c == 0xE0) | (c == 0xE2) | (c == 0xEF);
        return reinterpret_cast<ByteBlock>(ascii | wide);
    });
}

// What stands for `bytes` of the text.
struct Escape {
    std::size_t bytes = 0;  // 0: nothing to take off here
    std::array<char, 4> sign{};
    std::size_t sign_bytes = 0;
};

Escape stands_for(std::size_t bytes, char sign) { return {bytes, {sign}, 1}; }

// As UTF-8; halves of a pair, too: no form that is looked for has such signs.
Escape code_point(std::size_t bytes, unsigned point) {
    auto part = [point](int shift, unsigned mask, unsigned lead) {
        return static_cast<char>(lead | (point >> shift & mask));
    };
    if (point < 0x80) return stands_for(bytes, static_cast<char>(point));
    if (point < 0x800) return {bytes, {part(6, 0x1F, 0xC0), part(0, 0x3F, 0x80)}, 2};
    if (point < 0x1'0000)
        return {bytes, {part(12, 0x0F, 0xE0), part(6, 0x3F, 0x80), part(0, 0x3F, 0x80)}, 3};
    return {bytes,
            {part(18, 0x07, 0xF0), part(12, 0x3F, 0x80), part(6, 0x3F, 0x80), part(0, 0x3F, 0x80)},
            4};
}

// `digits` must be digits of the base to their end; -1 otherwise.
int number(std::string_view digits, int base) {
    int value = -1;
    const char* end = digits.data() + digits.size();
    auto [stop, failed] = std::from_chars(digits.data(), end, value, base);
    return failed == std::errc() && stop == end && value >= 0 ? value : -1;
}

Escape backslash(std::string_view rest) {
    if (rest.size() < 2) return {};
    char kind = rest[1];
    std::size_t digits = kind == 'u' ? 4 : kind == 'x' ? 2 : 0;
    if (digits != 0 && rest.size() >= 2 + digits) {
        int point = number(rest.substr(2, digits), 16);
        if (point >= 0) return code_point(2 + digits, static_cast<unsigned>(point));
    }
    // A line's end ends a word; what is not known is the sign itself.
    bool space = std::string_view("nrtbfv").find(kind) != std::string_view::npos;
    return stands_for(2, space ? '\n' : kind);
}

Escape html(std::string_view rest) {
    constexpr std::pair<std::string_view, char> names[] = {
        {"&commat;", '@'}, {"&nbsp;", ' '}, {"&amp;", '&'}, {"&period;", '.'}, {"&plus;", '+'}};
    for (const auto& [name, sign] : names)
        if (rest.starts_with(name)) return stands_for(name.size(), sign);
    if (rest.size() < 4 || rest[1] != '#') return {};
    bool hex = (rest[2] | 32) == 'x';
    std::size_t from = hex ? 3 : 2;
    std::size_t end = rest.substr(0, from + 8).find(';', from);  // numbers may have noughts before
    if (end == std::string_view::npos) return {};
    int point = number(rest.substr(from, end - from), hex ? 16 : 10);
    if (point < 0 || point > 0x10'FFFF) return {};
    return code_point(end + 1, static_cast<unsigned>(point));
}

// Signs of two and three bytes that stand for one of ASCII or for none.
Escape two_bytes(Byte first, Byte second) {
    if (first == 0xC2 && second == 0xA0) return stands_for(2, ' ');
    if (first == 0xC2 && second == 0xAD) return {2, {}, 0};  // a soft hyphen
    if (first == 0xD9 && second >= 0xA0 && second <= 0xA9)   // Arabic
        return stands_for(2, static_cast<char>('0' + (second - 0xA0)));
    if (first == 0xDB && second >= 0xB0 && second <= 0xB9)  // Persian
        return stands_for(2, static_cast<char>('0' + (second - 0xB0)));
    return {};
}

// U+2000 to U+206F: spaces, signs without width, dashes.
Escape punctuation(unsigned point) {
    if (point <= 0x200A || point == 0x202F || point == 0x205F) return stands_for(3, ' ');
    bool dash = point >= 0x2010 && point <= 0x2015;
    if (dash) return stands_for(3, '-');
    bool unseen = point <= 0x200F || (point >= 0x202A && point <= 0x202E) || point >= 0x2060;
    return unseen ? Escape{3, {}, 0} : Escape{};
}

Escape three_bytes(std::string_view rest) {
    unsigned point = (static_cast<Byte>(rest[0]) & 0x0FU) << 12 |
                     (static_cast<Byte>(rest[1]) & 0x3FU) << 6 |
                     (static_cast<Byte>(rest[2]) & 0x3FU);
    if (point >= 0x2000 && point <= 0x206F) return punctuation(point);
    if (point == 0x2212) return stands_for(3, '-');
    if (point >= 0x0966 && point <= 0x096F)  // Hindi
        return stands_for(3, static_cast<char>('0' + (point - 0x0966)));
    if (point == 0xFEFF) return {3, {}, 0};
    if (point == 0xFE6B) return stands_for(3, '@');
    if (point < 0xFF01 || point > 0xFF5E) return {};
    char sign = static_cast<char>(point - 0xFEE0);
    // Others end a form whether they are wide or not.
    bool of_form = (sign >= '0' && sign <= '9') || ((sign | 32) >= 'a' && (sign | 32) <= 'z') ||
                   std::string_view("@.-+()/_%").find(sign) != std::string_view::npos;
    return of_form ? stands_for(3, sign) : Escape{};
}

Escape escape_at(std::string_view rest) {
    auto first = static_cast<Byte>(rest[0]);
    if (first == '\\') return backslash(rest);
    if (first == '&') return html(rest);
    if (first == '%') {
        int byte = rest.size() < 3 ? -1 : number(rest.substr(1, 2), 16);
        return byte < 0 ? Escape{} : stands_for(3, static_cast<char>(byte));
    }
    if (first < 0xE0)
        return rest.size() < 2 ? Escape{} : two_bytes(first, static_cast<Byte>(rest[1]));
    if (first > 0xEF || rest.size() < 3) return {};
    return three_bytes(rest);
}

constexpr std::array<std::int8_t, 256> make_base64_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (int i = 0; i < 26; ++i) {
        values[static_cast<std::size_t>('A' + i)] = static_cast<std::int8_t>(i);
        values[static_cast<std::size_t>('a' + i)] = static_cast<std::int8_t>(26 + i);
    }
    for (int i = 0; i < 10; ++i)
        values[static_cast<std::size_t>('0' + i)] = static_cast<std::int8_t>(52 + i);
    values['+'] = values['-'] = 62;
    values['/'] = values['_'] = 63;
    return values;
}
constexpr std::array<std::int8_t, 256> base64_values = make_base64_values();

// Appends what the base64 holds, at most `bytes_max` bytes.
void decode_base64(std::string_view json, std::size_t bytes_max, std::string& out) {
    std::uint32_t bits = 0;
    int count = 0;
    for (std::size_t i = 0; i < json.size() && out.size() < bytes_max; ++i) {
        if (json[i] == '\\' && i + 1 < json.size() && json[i + 1] != '/') ++i;  // \n
        std::int8_t value = base64_values[static_cast<Byte>(json[i])];
        if (value < 0 || (i > 0 && json[i - 1] == '\\' && json[i] != '/')) continue;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out += static_cast<char>(bits >> count & 0xFF);
    }
}

// UTF-8 without other controls than those of lines; cut within a sign, it still is one.
bool begins_as_text(std::string_view bytes) {
    int following = 0;
    for (char sign : bytes) {
        auto c = static_cast<Byte>(sign);
        if (following > 0) {
            if ((c & 0xC0) != 0x80) return false;
            --following;
        } else if (c < 0x20 || c == 0x7F) {
            if (std::string_view("\t\n\r\f\v").find(sign) == std::string_view::npos) return false;
        } else if (c >= 0x80) {
            if (c < 0xC2 || c > 0xF4) return false;
            following = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
        }
    }
    return !bytes.empty() && !bytes.starts_with("%PDF-");
}

}  // namespace

bool without_escapes(std::string_view text, std::string& out) {
    out.clear();
    std::size_t copied = 0, at = 0;
    while ((at = next_escape(text, at)) < text.size()) {
        Escape escape = escape_at(text.substr(at));
        if (escape.bytes == 0) {
            ++at;
            continue;
        }
        if (copied == 0) out.reserve(text.size());
        out.append(text, copied, at - copied);
        out.append(escape.sign.data(), escape.sign_bytes);
        copied = at += escape.bytes;
    }
    if (copied == 0) return false;
    out.append(text, copied);
    return true;
}

bool is_base64(std::string_view json) {
    auto strange = [](ByteBlock c) -> ByteBlock {
        auto letter = ((c | 32) - 'a') < 26, digit = (c - '0') < 10;
        auto sign = (c == '+') | (c == '/') | (c == '-') | (c == '_') | (c == '=') | (c == '\\');
        return reinterpret_cast<ByteBlock>(~(letter | digit | sign | (c == 0)));
    };
    return json.find('\0') == json.npos && next_byte(json, 0, strange) == json.size();
}

void read_base64_text(std::string_view json, std::string& out) {
    out.clear();
    decode_base64(json, text_bytes_read, out);
    bool text = begins_as_text(out);
    out.clear();
    if (!text) return;
    out.reserve(json.size() / 4 * 3 + 3);
    decode_base64(json, json.size(), out);
}

}  // namespace sluice
