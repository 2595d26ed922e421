#include "engine/log.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "engine/text/unicode.h"

namespace sluice {
namespace {

void append_value(std::string& line, const LogField& field) {
    char number[40];
    if (auto* integer = std::get_if<std::int64_t>(&field.value)) {
        std::snprintf(number, sizeof number, "%lld", static_cast<long long>(*integer));
        line += number;
    } else if (auto* real = std::get_if<double>(&field.value)) {
        if (!std::isfinite(*real)) {
            line += "null";
            return;
        }
        std::snprintf(number, sizeof number, "%.6g", *real);
        line += number;
    } else if (auto* flag = std::get_if<bool>(&field.value)) {
        line += *flag ? "true" : "false";
    } else {
        append_json_string(line, std::get<std::string_view>(field.value));
    }
}

void write_line(std::string_view level, std::string_view event,
                std::initializer_list<LogField> fields) {
    std::string line = "{\"event\":";
    append_json_string(line, event);
    for (const LogField& field : fields) {
        line += ',';
        append_json_string(line, field.key);
        line += ':';
        append_value(line, field);
    }
    auto now = std::chrono::system_clock::now().time_since_epoch();
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    char tail[96];
    std::snprintf(tail, sizeof tail, ",\"level\":\"%.*s\",\"ts\":%lld.%03d}\n",
                  static_cast<int>(level.size()), level.data(), static_cast<long long>(ms / 1000),
                  static_cast<int>(ms % 1000));
    line += tail;
    // A closed stdout must not stop the service: there is nobody left to tell.
    [[maybe_unused]] auto written = ::write(STDOUT_FILENO, line.data(), line.size());
}

}  // namespace

namespace {

// Whether none of these 8 bytes needs a look: all are ASCII from 0x20 on, no quote, no backslash.
bool is_plain_run(const char* bytes) {
    constexpr std::uint64_t each = 0x0101010101010101;
    constexpr std::uint64_t top = 0x80 * each;
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    auto has_zero = [](std::uint64_t w) { return (w - each) & ~w & top; };
    std::uint64_t below_space = (word - 0x20 * each) & ~word & top;
    std::uint64_t quote = has_zero(word ^ ('"' * each));
    std::uint64_t backslash = has_zero(word ^ ('\\' * each));
    return ((word & top) | below_space | quote | backslash) == 0;
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    std::size_t plain = 0;  // start of the run not yet copied
    for (std::size_t i = 0; i < text.size();) {
        if (text.size() - i >= 8 && is_plain_run(text.data() + i)) {
            i += 8;
            continue;
        }
        auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
            ++i;
            continue;
        }
        Utf8Char next = read_utf8(text, i);
        if (byte >= 0x80 && next.kind == Utf8Char::Kind::whole) {
            i += next.bytes;
            continue;
        }
        out.append(text, plain, i - plain);
        switch (byte) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (byte >= 0x80) {
                    out += "\xEF\xBF\xBD";
                } else {
                    out += "\\u00";
                    out += hex[byte >> 4];
                    out += hex[byte & 15];
                }
        }
        plain = ++i;
    }
    out.append(text, plain, text.size() - plain);
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

void log_info(std::string_view event, std::initializer_list<LogField> fields) {
    write_line("info", event, fields);
}

void log_error(std::string_view event, std::initializer_list<LogField> fields) {
    write_line("error", event, fields);
}

}  // namespace sluice
