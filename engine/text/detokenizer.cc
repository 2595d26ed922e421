#include "engine/text/detokenizer.h"

#include "engine/text/unicode.h"

namespace sluice {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

std::string Detokenizer::push(std::string_view bytes) {
    held_ += bytes;
    std::string out;
    std::size_t at = 0;
    while (at < held_.size()) {
        Utf8Char next = read_utf8(held_, at);
        if (next.kind == Utf8Char::Kind::unfinished) break;
        if (next.kind == Utf8Char::Kind::whole) {
            out.append(held_, at, next.bytes);
        } else {
            out += replacement;
        }
        at += next.bytes;
    }
    held_.erase(0, at);
    return out;
}

std::string Detokenizer::finish() {
    // What is held is one unfinished character: one maximal subpart.
    std::string out(held_.empty() ? std::string_view() : replacement);
    held_.clear();
    return out;
}

}  // namespace sluice
