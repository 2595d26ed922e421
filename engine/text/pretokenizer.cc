#include "engine/text/pretokenizer.h"

#include <array>

#include "engine/text/unicode.h"

namespace sluice {
namespace {

constexpr CharClass ascii_class(unsigned char byte) {
    if (byte == ' ' || (byte >= '\t' && byte <= '\r')) return CharClass::space;
    if (byte >= '0' && byte <= '9') return CharClass::number;
    unsigned char lower = byte | 0x20;
    return lower >= 'a' && lower <= 'z' ? CharClass::letter : CharClass::other;
}

constexpr auto ascii_classes = [] {
    std::array<CharClass, 128> table{};
    for (unsigned char byte = 0; byte < 128; ++byte) table[byte] = ascii_class(byte);
    return table;
}();

// A word is found by looking one character at a time; at the end of the text there is none.
struct Char {
    CharClass kind = CharClass::other;
    std::uint8_t bytes = 0;  // 0: the end of the text
    bool is(CharClass wanted) const { return bytes != 0 && kind == wanted; }
};

Char char_at(std::string_view text, std::size_t at) {
    if (at >= text.size()) return {};
    auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) return {ascii_classes[byte], 1};
    Utf8Char read = read_utf8(text, at);
    if (read.kind != Utf8Char::Kind::whole) return {CharClass::other, 1};
    return {class_of(read.code), read.bytes};
}

std::size_t skip(std::string_view text, std::size_t at, CharClass kind) {
    for (Char next = char_at(text, at); next.is(kind); next = char_at(text, at)) at += next.bytes;
    return at;
}

bool is_line_break(std::string_view text, std::size_t at) {
    return at < text.size() && (text[at] == '\n' || text[at] == '\r');
}

// 's 't 'm 'd 're 've 'll: its end, or 0.
std::size_t contraction_end(std::string_view text, std::size_t at, bool any_case) {
    if (text[at] != '\'') return 0;
    auto letter = [&](std::size_t i) {
        unsigned char byte = at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
        return any_case && byte >= 'A' && byte <= 'Z' ? static_cast<unsigned char>(byte | 0x20)
                                                      : byte;
    };
    unsigned char first = letter(1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    unsigned char second = letter(2);
    bool pair =
        ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
    return pair ? at + 3 : 0;
}

// \s+(?!\S)|\s+ over the run of spaces that starts at `at`: before more text the run's last
// character is left to the next word, unless it is the only one.
std::size_t spaces_end(std::string_view text, std::size_t at, bool number_ends_text) {
    std::size_t last = at;
    std::size_t end = at;
    Char next = char_at(text, at);
    for (; next.is(CharClass::space); next = char_at(text, end)) {
        last = end;
        end += next.bytes;
    }
    bool text_ends = next.bytes == 0 || (number_ends_text && next.is(CharClass::number));
    return text_ends || last == at ? end : last;
}

std::size_t gpt2_word_end(std::string_view text, std::size_t at, bool lone_numbers) {
    if (std::size_t end = contraction_end(text, at, false)) return end;
    std::size_t start = text[at] == ' ' ? at + 1 : at;  // the space that may lead a word
    Char body = char_at(text, start);
    if (body.bytes == 0 || body.kind == CharClass::space) return spaces_end(text, at, lone_numbers);
    if (lone_numbers && body.kind == CharClass::number)
        return start == at ? start + body.bytes : start;
    return skip(text, start + body.bytes, body.kind);
}

std::size_t numbers_end(std::string_view text, std::size_t at, int numbers_max) {
    for (int i = 0; i < numbers_max; ++i) {
        Char next = char_at(text, at);
        if (!next.is(CharClass::number)) break;
        at += next.bytes;
    }
    return at;
}

// \s*[\r\n]+ at the run of spaces that starts at `at`: its end, or 0.
std::size_t line_breaks_end(std::string_view text, std::size_t at) {
    std::size_t end = 0;
    for (Char next = char_at(text, at); next.is(CharClass::space); next = char_at(text, at)) {
        if (is_line_break(text, at)) end = at + 1;
        at += next.bytes;
    }
    return end;
}

std::size_t qwen2_word_end(std::string_view text, std::size_t at, int numbers_max) {
    if (std::size_t end = contraction_end(text, at, true)) return end;
    Char first = char_at(text, at);
    if (first.kind == CharClass::letter) return skip(text, at + first.bytes, CharClass::letter);
    if (first.kind == CharClass::number) return numbers_end(text, at, numbers_max);
    Char second = char_at(text, at + first.bytes);
    if (second.is(CharClass::letter) && !is_line_break(text, at))
        return skip(text, at + first.bytes + second.bytes, CharClass::letter);
    std::size_t start = text[at] == ' ' ? at + 1 : at;
    if (char_at(text, start).is(CharClass::other)) {
        std::size_t end = skip(text, start, CharClass::other);
        while (is_line_break(text, end)) ++end;
        return end;
    }
    if (std::size_t end = line_breaks_end(text, at)) return end;
    return spaces_end(text, at, false);
}

struct Named {
    std::string_view name;
    PreTokenizer kind;
};
constexpr Named names[] = {
    {"gpt-2", PreTokenizer::gpt2},       {"phi-2", PreTokenizer::gpt2},
    {"smollm", PreTokenizer::smollm},    {"qwen2", PreTokenizer::qwen2},
    {"megrez", PreTokenizer::qwen2},     {"deepseek-r1-qwen", PreTokenizer::qwen2},
    {"llama-bpe", PreTokenizer::llama3}, {"llama3", PreTokenizer::llama3},
    {"llama-v3", PreTokenizer::llama3},  {"falcon3", PreTokenizer::llama3},
};

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_named(std::string_view name) {
    for (const Named& known : names)
        if (known.name == name) return known.kind;
    return std::nullopt;
}

std::string_view pre_tokenizer_names() {
    return "gpt-2, smollm, qwen2, deepseek-r1-qwen, llama-bpe and their aliases phi-2, megrez, "
           "llama3, llama-v3, falcon3";
}

std::size_t word_end(PreTokenizer kind, std::string_view text, std::size_t at) {
    switch (kind) {
        case PreTokenizer::gpt2:
            return gpt2_word_end(text, at, false);
        case PreTokenizer::smollm:
            return gpt2_word_end(text, at, true);
        case PreTokenizer::qwen2:
            return qwen2_word_end(text, at, 1);
        case PreTokenizer::llama3:
            return qwen2_word_end(text, at, 3);
    }
    return text.size();
}

}  // namespace sluice
