#include "engine/log.h"

#include <unistd.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "engine/text/unicode.h"

namespace sluice {
namespace {

std::atomic<int> to{STDOUT_FILENO};

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
    // A closed log must not stop the service: there is nobody left to tell.
    [[maybe_unused]] auto written =
        ::write(to.load(std::memory_order_relaxed), line.data(), line.size());
}

}  // namespace

void log_to(int descriptor) { to.store(descriptor, std::memory_order_relaxed); }

std::size_t json_plain_end(std::string_view text, std::size_t at) {
    // Sixteen bytes at a time; taken as signed, those of 0x80 and above are below 0x20, too.
    using Bytes = signed char __attribute__((vector_size(16)));
    constexpr std::size_t wide = sizeof(Bytes);
    static_assert(std::endian::native == std::endian::little);
    auto first_stop = [&](std::size_t from) {  // of the sixteen, or sixteen
        Bytes bytes;
        std::memcpy(&bytes, text.data() + from, wide);
        Bytes stops = (bytes < 0x20) | (bytes == '"') | (bytes == '\\');
        std::uint64_t halves[2];
        std::memcpy(halves, &stops, wide);
        if ((halves[0] | halves[1]) == 0) return wide;
        std::size_t half = halves[0] != 0 ? 0 : 1;
        return half * 8 + static_cast<std::size_t>(std::countr_zero(halves[half])) / 8;
    };
    const std::size_t begin = at;
    for (; at + wide <= text.size(); at += wide)
        if (std::size_t stop = first_stop(at); stop < wide) return at + stop;
    // The last ones once more, with the rest: what was looked at already holds none.
    if (text.size() - begin >= wide) return text.size() - wide + first_stop(text.size() - wide);
    for (; at < text.size(); ++at) {
        auto byte = static_cast<unsigned char>(text[at]);
        if (byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\') break;
    }
    return at;
}

void append_json_escaped(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    std::size_t copied = 0;  // what is before it is in `out`
    for (std::size_t i = 0; (i = json_plain_end(text, i)) < text.size();) {
        auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0x80) {
            Utf8Char next = read_utf8(text, i);
            if (next.kind == Utf8Char::Kind::whole) {
                i += next.bytes;
                continue;
            }
        }
        out.append(text, copied, i - copied);
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
        copied = ++i;
    }
    out.append(text, copied, text.size() - copied);
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
