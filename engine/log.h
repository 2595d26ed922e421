// One JSON object a line: {"event":...,"ts":...,fields}. Any thread; one write(2) a line.
// Never give it a prompt, an answer or a key.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

struct LogField {
    std::string_view key;
    std::variant<std::int64_t, double, bool, std::string_view> value;
    LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
    LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
    LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
    LogField(std::string_view k, double v) : key(k), value(v) {}
    LogField(std::string_view k, bool v) : key(k), value(v) {}
    template <class Int>
    requires std::is_integral_v<Int> LogField(std::string_view k, Int v)
        : key(k), value(static_cast<std::int64_t>(v)) {}
};

// Where lines go from now on: stdout until it is called. A command whose output somebody reads logs
// to stderr.
void log_to(int descriptor);

void log_info(std::string_view event, std::initializer_list<LogField> fields);
void log_error(std::string_view event, std::initializer_list<LogField> fields);

// Where the run of bytes ends that starts at `at` and stands in a JSON string as it is: at a quote,
// a backslash, a control character, a byte that is not ASCII, or the end.
std::size_t json_plain_end(std::string_view text, std::size_t at);
// Appends `text` to `out` with the escapes JSON needs, without the quotes. Invalid UTF-8 becomes
// U+FFFD, so the result is always valid JSON.
void append_json_escaped(std::string& out, std::string_view text);
// The same with quotes around it.
void append_json_string(std::string& out, std::string_view text);

}  // namespace sluice
