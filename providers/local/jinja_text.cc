#include "providers/local/jinja_text.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::jinja {

Text::Text(std::string bytes, bool trusted) : bytes_(std::move(bytes)) {
    if (!bytes_.empty()) runs_.push_back({bytes_.size(), trusted});
}

void Text::extend(std::size_t size, bool trusted) {
    if (size == 0) return;
    if (!runs_.empty() && runs_.back().trusted == trusted) {
        runs_.back().end += size;
    } else {
        runs_.push_back({bytes_.size() + size, trusted});
    }
}

void Text::append(std::string_view bytes, bool trusted) {
    extend(bytes.size(), trusted);
    bytes_ += bytes;
}

void Text::append(const Text& other) {
    std::size_t from = 0;
    for (const Run& run : other.runs_) {
        append(std::string_view(other.bytes_).substr(from, run.end - from), run.trusted);
        from = run.end;
    }
}

Text Text::slice(std::size_t from, std::size_t size) const {
    Text cut;
    from = std::min(from, bytes_.size());
    const std::size_t to = from + std::min(size, bytes_.size() - from);
    auto run = std::upper_bound(runs_.begin(), runs_.end(), from,
                                [](std::size_t at, const Run& r) { return at < r.end; });
    for (; from < to; ++run) {
        const std::size_t end = std::min(run->end, to);
        cut.append(std::string_view(bytes_).substr(from, end - from), run->trusted);
        from = end;
    }
    return cut;
}

Text Text::with_bytes(std::string bytes) const {
    assert(bytes.size() == bytes_.size());
    Text other;
    other.bytes_ = std::move(bytes);
    other.runs_ = runs_;
    return other;
}

namespace {

bool continues(std::string_view bytes, std::size_t at) {
    return at < bytes.size() && (static_cast<unsigned char>(bytes[at]) & 0xC0U) == 0x80U;
}

}  // namespace

char32_t next_char(std::string_view bytes, std::size_t& at) {
    const auto lead = static_cast<unsigned char>(bytes[at]);
    if (lead < 0x80) {
        ++at;
        return lead;
    }
    const int more = lead >= 0xF0 && lead < 0xF5 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : 0;
    char32_t c = more == 3 ? lead & 0x07U : more == 2 ? lead & 0x0FU : lead & 0x1FU;
    bool whole = more > 0 && lead < 0xF5;
    for (int i = 1; whole && i <= more; ++i) {
        whole = continues(bytes, at + static_cast<std::size_t>(i));
        if (whole) {
            c = (c << 6U) |
                (static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]) & 0x3FU);
        }
    }
    const bool shortest = c >= (more == 3 ? 0x10000U : more == 2 ? 0x800U : 0x80U);
    if (!whole || !shortest || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
        ++at;
        return 0xFFFD;
    }
    at += static_cast<std::size_t>(more) + 1;
    return c;
}

std::size_t char_count(std::string_view bytes) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < bytes.size(); ++count) next_char(bytes, at);
    return count;
}

std::size_t char_offset(std::string_view bytes, std::size_t index) {
    std::size_t at = 0;
    for (; index > 0 && at < bytes.size(); --index) next_char(bytes, at);
    return at;
}

void append_char(std::string& out, char32_t c) {
    const auto byte = [&out](char32_t b) { out += static_cast<char>(b); };
    if (c < 0x80) {
        byte(c);
    } else if (c < 0x800) {
        byte(0xC0 | (c >> 6U));
        byte(0x80 | (c & 0x3FU));
    } else if (c < 0x10000) {
        byte(0xE0 | (c >> 12U));
        byte(0x80 | ((c >> 6U) & 0x3FU));
        byte(0x80 | (c & 0x3FU));
    } else {
        byte(0xF0 | (c >> 18U));
        byte(0x80 | ((c >> 12U) & 0x3FU));
        byte(0x80 | ((c >> 6U) & 0x3FU));
        byte(0x80 | (c & 0x3FU));
    }
}

bool is_space(char32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

Span stripped(std::string_view bytes, std::string_view chars, bool left, bool right) {
    const auto taken = [chars](char32_t c) {
        if (chars.empty()) return is_space(c);
        for (std::size_t at = 0; at < chars.size();) {
            if (next_char(chars, at) == c) return true;
        }
        return false;
    };
    Span span{0, bytes.size()};
    while (left && span.from < span.to) {
        std::size_t at = span.from;
        if (!taken(next_char(bytes, at))) break;
        span.from = at;
    }
    while (right && span.to > span.from) {
        std::size_t start = span.to - 1;
        while (start > span.from && span.to - start < 4 && continues(bytes, start)) --start;
        std::size_t at = start;
        const char32_t c = next_char(bytes, at);
        if (at != span.to || !taken(c)) break;
        span.to = start;
    }
    return span;
}

}  // namespace sluice::jinja
