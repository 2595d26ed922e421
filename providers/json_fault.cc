#include "providers/json_fault.h"

#include <algorithm>
#include <bitset>
#include <cstring>

#include "engine/log.h"

namespace sluice {
namespace {

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    std::optional<JsonFault> run() {
        do {
            if (!value()) return fault_;
        } while (depth_ > 0);
        skip_space();
        if (at_ < text_.size()) fail("expected the end of the text");
        return fault_;
    }

private:
    bool fail(const std::string& expected) { return fail_at(at_, expected); }

    bool fail_at(std::size_t offset, const std::string& expected) {
        fault_ = JsonFault{offset, expected + ", got " + shown(offset)};
        return false;
    }

    std::string shown(std::size_t offset) const {
        if (offset >= text_.size()) return "the end of the text";
        auto byte = static_cast<unsigned char>(text_[offset]);
        if (byte > 0x20 && byte < 0x7F) return std::string("'") + text_[offset] + "'";
        static constexpr char hex[] = "0123456789abcdef";
        return std::string("byte 0x") + hex[byte >> 4] + hex[byte & 15];
    }

    unsigned char peek() const {
        return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : 0;
    }

    bool take(char wanted) {
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    void skip_space() {
        while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) && text_[at_] != 0) ++at_;
    }

    // One value with all containers that end behind it, or the opening of a container.
    bool value() {
        skip_space();
        switch (peek()) {
            case '{':
            case '[':
                return open();
            case '"':
                if (!string()) return false;
                break;
            case 't':
                if (!word("true")) return false;
                break;
            case 'f':
                if (!word("false")) return false;
                break;
            case 'n':
                if (!word("null")) return false;
                break;
            default:
                if (!number()) return false;
        }
        return close();
    }

    bool open() {
        if (depth_ == json_depth_max)
            return fail("expected at most " + std::to_string(json_depth_max) + " levels");
        bool object = text_[at_++] == '{';
        in_object_[static_cast<std::size_t>(depth_++)] = object;
        skip_space();
        if (take(object ? '}' : ']')) {
            --depth_;
            return close();
        }
        return !object || key();
    }

    // Behind a value: ends containers until one goes on with another value.
    bool close() {
        while (depth_ > 0) {
            bool object = in_object_[static_cast<std::size_t>(depth_ - 1)];
            skip_space();
            if (take(',')) {
                if (!object) return true;
                skip_space();
                return key();
            }
            if (!take(object ? '}' : ']'))
                return fail(object ? "expected ',' or '}' after a value"
                                   : "expected ',' or ']' after a value");
            --depth_;
        }
        return true;
    }

    bool key() {
        if (peek() != '"') return fail("expected a key in double quotes");
        if (!string()) return false;
        skip_space();
        if (!take(':')) return fail("expected ':' after a key");
        return true;
    }

    bool word(std::string_view wanted) {
        if (text_.substr(at_, wanted.size()) != wanted)
            return fail("expected " + std::string(wanted));
        at_ += wanted.size();
        return true;
    }

    bool digits() {
        std::size_t start = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ > start || fail("expected a digit");
    }

    bool number() {
        bool negative = take('-');
        if (!negative && (peek() < '0' || peek() > '9')) return fail("expected a value");
        if (take('0')) {
            if (peek() >= '0' && peek() <= '9') return fail("expected no digit after a leading 0");
        } else if (!digits()) {
            return false;
        }
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            if (!digits()) return false;
        }
        return true;
    }

    bool string() {
        std::size_t start = at_++;
        while (true) {
            at_ = json_plain_end(text_, at_);
            if (at_ >= text_.size()) {
                fault_ = JsonFault{start, "the string that starts here has no end"};
                return false;
            }
            unsigned char byte = peek();
            if (byte == '"') {
                ++at_;
                return true;
            }
            if (byte < 0x20) return fail("expected control characters to be escaped");
            if (byte == '\\' ? !escape() : !utf8()) return false;
        }
    }

    // Four hex digits behind the \u at `start`, or -1 and the fault.
    int hex4(std::size_t start) {
        int code = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            unsigned char c = peek();
            int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
            if (digit < 0) {
                fail_at(start, "expected four hex digits after \\u");
                return -1;
            }
            code = code * 16 + digit;
        }
        return code;
    }

    bool escape() {
        std::size_t start = at_++;
        char kind = at_ < text_.size() ? text_[at_] : '\0';
        if (kind == '\0' || !std::strchr("\"\\/bfnrtu", kind))
            return fail("expected one of \"\\/bfnrtu after a backslash");
        ++at_;
        if (kind != 'u') return true;
        int high = hex4(start);
        if (high < 0) return false;
        if (high < 0xD800 || high > 0xDFFF) return true;
        const char* half = "expected both halves of a surrogate pair";
        if (high > 0xDBFF || !take('\\') || !take('u')) return fail_at(start, half);
        int low = hex4(start);
        if (low < 0) return false;
        return (low >= 0xDC00 && low <= 0xDFFF) || fail_at(start, half);
    }

    // One sequence of more than one byte, as RFC 3629 allows it.
    bool utf8() {
        unsigned char lead = peek();
        std::size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        bool good = lead >= 0xC2 && lead <= 0xF4 && at_ + more < text_.size();
        for (std::size_t i = 1; good && i <= more; ++i)
            good = (static_cast<unsigned char>(text_[at_ + i]) & 0xC0) == 0x80;
        unsigned char second = good ? static_cast<unsigned char>(text_[at_ + 1]) : 0;
        if (lead == 0xE0) good = good && second >= 0xA0;  // overlong
        if (lead == 0xED) good = good && second <= 0x9F;  // surrogates
        if (lead == 0xF0) good = good && second >= 0x90;  // overlong
        if (lead == 0xF4) good = good && second <= 0x8F;  // above U+10FFFF
        if (!good) return fail("expected UTF-8");
        at_ += more + 1;
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
    std::bitset<json_depth_max> in_object_;
    std::optional<JsonFault> fault_;
};

}  // namespace

std::optional<JsonFault> find_json_fault(std::string_view text) { return Scanner(text).run(); }

std::string json_place(std::string_view text, std::size_t offset) {
    std::string_view before = text.substr(0, std::min(offset, text.size()));
    auto line = 1 + std::count(before.begin(), before.end(), '\n');
    std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return "line " + std::to_string(line) + ", column " +
           std::to_string(before.size() - line_start + 1) + " (byte " + std::to_string(offset) +
           ")";
}

}  // namespace sluice
