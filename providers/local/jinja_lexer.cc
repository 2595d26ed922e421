#include "providers/local/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "providers/local/jinja_text.h"

namespace sluice::jinja {

Error template_fault(Position at, const std::string& message) {
    return Error(Errc::bad_file, "chat template:" + std::to_string(at.line) + ":" +
                                     std::to_string(at.column) + ": " + message);
}

namespace {

std::string with_plain_newlines(std::string_view source) {
    std::string plain;
    plain.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            plain += source[i];
        } else {
            plain += '\n';
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
        }
    }
    if (plain.ends_with('\n')) plain.pop_back();
    return plain;
}

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
public:
    explicit Lexer(std::string_view source) : source_(source) {}

    Result<std::vector<Lexeme>> run() {
        while (at_ < source_.size() && !fault_) read_data();
        if (fault_) return *std::move(fault_);
        add(Lexeme::Kind::end, here());
        return std::move(lexemes_);
    }

private:
    Position here() {  // positions are asked for in ascending order
        for (; counted_ < at_; ++counted_) {
            if (source_[counted_] == '\n') {
                ++position_.line;
                position_.column = 1;
            } else {
                ++position_.column;
            }
        }
        return position_;
    }
    bool next_is(std::string_view text) const { return source_.substr(at_).starts_with(text); }
    char peek(std::size_t ahead = 0) const {
        return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
    }
    void fail(const std::string& message) {
        if (!fault_) fault_ = template_fault(here(), message);
    }
    Lexeme& add(Lexeme::Kind kind, Position at, std::string text = {}) {
        Lexeme& lexeme = lexemes_.emplace_back();
        lexeme.kind = kind;
        lexeme.text = std::move(text);
        lexeme.at = at;
        return lexeme;
    }
    void skip_space() {
        while (at_ < source_.size()) {
            std::size_t next = at_;
            if (!is_space(next_char(source_, next))) return;
            at_ = next;
        }
    }

    void read_data();
    void read_comment(Position start);
    void read_raw(Position start);
    void read_code(bool print);
    bool read_end(bool print);
    void read_lexeme();
    void read_string();
    bool read_escape(std::string& value);
    void read_number();
    void read_mark();
    void close_tag(std::string_view closing);

    std::string_view source_;
    std::size_t at_ = 0;
    std::size_t counted_ = 0;
    bool line_starts_ = true;  // the data being read begins at the start of a line
    std::string open_;         // brackets not yet closed
    Position position_;
    std::vector<Lexeme> lexemes_;
    std::optional<Error> fault_;
};

// What `{%-` and lstrip_blocks take from the text before a tag.
std::string_view before_tag(std::string_view data, char sign, bool print, bool line_starts) {
    if (sign == '-') return data.substr(0, stripped(data, {}, false, true).to);
    if (sign == '+' || print) return data;
    const std::size_t newline = data.rfind('\n');
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (line == 0 && !line_starts) return data;
    const Span rest = stripped(data.substr(line), {}, true, false);
    return rest.from == rest.to ? data.substr(0, line) : data;
}

void Lexer::read_data() {
    const Position start = here();
    std::size_t tag = at_;
    for (;; ++tag) {
        tag = source_.find('{', tag);
        if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
            add(Lexeme::Kind::data, start, std::string(source_.substr(at_)));
            at_ = source_.size();
            return;
        }
        const char kind = source_[tag + 1];
        if (kind == '{' || kind == '%' || kind == '#') break;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const auto data = before_tag(source_.substr(at_, tag - at_), sign, kind == '{', line_starts_);
    if (!data.empty()) add(Lexeme::Kind::data, start, std::string(data));
    at_ = tag;
    const Position opened = here();
    at_ += sign == '-' || sign == '+' ? 3 : 2;
    if (kind == '#') {
        read_comment(opened);
        return;
    }
    if (kind == '%') {
        const std::size_t inside = at_;
        skip_space();
        if (next_is("raw") && !is_name_start(peek(3)) && !is_digit(peek(3))) {
            at_ += 3;
            skip_space();
            if (next_is("%}") || next_is("-%}")) {
                read_raw(opened);
                return;
            }
        }
        at_ = inside;
    }
    add(kind == '{' ? Lexeme::Kind::print_begin : Lexeme::Kind::block_begin, opened);
    read_code(kind == '{');
}

// Steps over a tag's end, with the newline or the white space that goes with it.
void Lexer::close_tag(std::string_view closing) {
    const bool strip = peek() == '-';
    const bool keep = peek() == '+';
    at_ += closing.size() + (strip || keep ? 1 : 0);
    line_starts_ = false;
    if (strip) {
        skip_space();
    } else if (!keep && closing != "}}" && peek() == '\n') {
        ++at_;
    }
    line_starts_ = source_[at_ - 1] == '\n';
}

void Lexer::read_comment(Position start) {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) {
        fault_ = template_fault(start, "comment '{#' has no end '#}'");
        return;
    }
    const bool signed_end = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    at_ = signed_end ? end - 1 : end;
    close_tag("#}");
}

void Lexer::read_raw(Position start) {
    if (peek() == '-') {
        at_ += 3;
        skip_space();
    } else {
        at_ += 2;
    }
    const std::size_t begin = at_;
    for (std::size_t tag = at_; (tag = source_.find("{%", tag)) != std::string_view::npos; ++tag) {
        at_ = tag + 2;
        const char sign = peek();
        if (sign == '-' || sign == '+') ++at_;
        skip_space();
        if (!next_is("endraw")) continue;
        at_ += 6;
        skip_space();
        if (!next_is("%}") && !next_is("-%}") && !next_is("+%}")) continue;
        const auto data = before_tag(source_.substr(begin, tag - begin), sign, false, false);
        if (!data.empty()) add(Lexeme::Kind::data, start, std::string(data));
        close_tag("%}");
        return;
    }
    fault_ = template_fault(start, "'raw' has no 'endraw'");
}

bool Lexer::read_end(bool print) {
    const std::string_view closing = print ? "}}" : "%}";
    if (!open_.empty()) return false;  // the '}}' of a mapping in a mapping
    const bool sign = peek() == '-' || (!print && peek() == '+');
    if (!source_.substr(std::min(at_ + (sign ? 1 : 0), source_.size())).starts_with(closing)) {
        return false;
    }
    add(print ? Lexeme::Kind::print_end : Lexeme::Kind::block_end, here());
    close_tag(closing);
    return true;
}

void Lexer::read_code(bool print) {
    open_.clear();
    while (!fault_) {
        skip_space();
        if (at_ >= source_.size()) {
            fail(std::string("the template ends inside a tag; '") + (print ? "}}" : "%}") +
                 "' is missing");
            return;
        }
        if (read_end(print)) return;
        read_lexeme();
    }
}

void Lexer::read_lexeme() {
    const char c = peek();
    if (is_name_start(c)) {
        const Position start = here();
        const std::size_t from = at_;
        while (is_name_start(peek()) || is_digit(peek())) ++at_;
        add(Lexeme::Kind::name, start, std::string(source_.substr(from, at_ - from)));
    } else if (is_digit(c)) {
        read_number();
    } else if (c == '\'' || c == '"') {
        read_string();
    } else {
        read_mark();
    }
}

void Lexer::read_number() {
    const Position start = here();
    std::string digits;
    bool real = false;
    const auto take = [&] {
        for (; is_digit(peek()) || (peek() == '_' && is_digit(peek(1))); ++at_) {
            if (peek() != '_') digits += peek();
        }
    };
    take();
    if (peek() == '.' && is_digit(peek(1))) {
        real = true;
        digits += '.';
        ++at_;
        take();
    }
    const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
        real = true;
        digits += 'e';
        if (peek(1) == '-') digits += '-';
        at_ += 1 + sign;
        take();
    }
    if (is_name_start(peek())) return fail("a number runs into a name: '" + digits + peek() + "'");
    Lexeme& lexeme = add(real ? Lexeme::Kind::real : Lexeme::Kind::integer, start, digits);
    const char* end = digits.data() + digits.size();
    const auto read = real ? std::from_chars(digits.data(), end, lexeme.real)
                           : std::from_chars(digits.data(), end, lexeme.integer);
    if (read.ec != std::errc() || read.ptr != end) {
        fail("number '" + digits + "' is too large; 64-bit numbers are supported");
    }
}

void Lexer::read_string() {
    const Position start = here();
    const char quote = peek();
    ++at_;
    std::string value;
    while (peek() != quote || at_ >= source_.size()) {
        if (at_ >= source_.size()) {
            fault_ = template_fault(start, std::string("string ") + quote + " has no end");
            return;
        }
        if (peek() != '\\') {
            value += source_[at_++];
        } else if (!read_escape(value)) {
            return;
        }
    }
    ++at_;
    add(Lexeme::Kind::string, start, std::move(value));
}

// Python's escapes; one that Python does not know stays as it is written.
bool Lexer::read_escape(std::string& value) {
    static constexpr std::pair<char, char> plain[] = {
        {'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'\\', '\\'}, {'\'', '\''},
        {'"', '"'},  {'a', '\a'}, {'b', '\b'}, {'f', '\f'},  {'v', '\v'}};
    const char c = peek(1);
    if (c == '\n') {  // a line continued
        at_ += 2;
        return true;
    }
    for (const auto& [name, meaning] : plain) {
        if (c != name) continue;
        value += meaning;
        at_ += 2;
        return true;
    }
    if (c >= '0' && c <= '7') {
        char32_t code = 0;
        ++at_;
        for (int i = 0; i < 3 && peek() >= '0' && peek() <= '7'; ++i, ++at_) {
            code = code * 8 + static_cast<char32_t>(peek() - '0');
        }
        append_char(value, code);
        return true;
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
        if (c == 'N') return fail("escape '\\N' is not supported; use '\\u' and the code"), false;
        value += '\\';
        ++at_;
        return true;
    }
    const std::string_view hex = source_.substr(std::min(at_ + 2, source_.size()), digits);
    std::uint32_t code = 0;
    const auto read = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    const bool whole = hex.size() == digits && read.ptr == hex.data() + digits;
    if (!whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        fail(std::string("escape '\\") + c + "' needs " + std::to_string(digits) +
             " hexadecimal digits of a Unicode character");
        return false;
    }
    append_char(value, static_cast<char32_t>(code));
    at_ += 2 + digits;
    return true;
}

void Lexer::read_mark() {
    static constexpr std::array<std::string_view, 6> pairs = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view singles = "+-/*%~[](){}<>=.:|,";
    const Position start = here();
    for (const auto pair : pairs) {
        if (!next_is(pair)) continue;
        add(Lexeme::Kind::mark, start, std::string(pair));
        at_ += 2;
        return;
    }
    const char c = peek();
    if (singles.find(c) == std::string_view::npos) {
        return fail(std::string("character '") + c + "' has no meaning in an expression");
    }
    if (c == '(' || c == '[' || c == '{') open_ += c;
    if (c == ')' || c == ']' || c == '}') {
        const char opener = c == ')' ? '(' : c == ']' ? '[' : '{';
        if (open_.empty() || open_.back() != opener) {
            return fail(std::string("'") + c + "' closes nothing that is open");
        }
        open_.pop_back();
    }
    add(Lexeme::Kind::mark, start, std::string(1, c));
    ++at_;
}

}  // namespace

Result<std::vector<Lexeme>> read_lexemes(std::string_view source) {
    if (source.size() > source_bytes_max) {
        return Error(Errc::bad_file, "chat template: " + std::to_string(source.size()) +
                                         " bytes; at most " + std::to_string(source_bytes_max) +
                                         " are read");
    }
    const std::string plain = with_plain_newlines(source);
    return Lexer(plain).run();
}

}  // namespace sluice::jinja
