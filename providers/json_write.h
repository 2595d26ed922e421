// Appending JSON to a string, for the dialects' writers. Strings go through
// append_json_string() of engine/log.h.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/log.h"
#include "providers/chat.h"
#include "providers/json_fault.h"
#include "providers/vendor.h"

namespace sluice {

// A double as the shortest text that reads back the same.
template <class Number>
void append_json_number(std::string& out, Number value) {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

template <class List, class Append>
void append_json_list(std::string& out, const List& list, Append&& append) {
    out += '[';
    for (const auto& item : list) {
        if (&item != &list.front()) out += ',';
        append(item);
    }
    out += ']';
}

// `opening` such as ",\"name\":" and the value behind it, or nothing when there is no value.
inline void append_json_member(std::string& out, std::string_view opening, std::string_view value) {
    if (value.empty()) return;
    out += opening;
    append_json_string(out, value);
}

// A tool call's arguments, as an object: a model may have written something that is none, and then
// it goes out as {"arguments": "what it wrote"}.
inline void append_json_object(std::string& out, std::string_view arguments) {
    std::size_t start = arguments.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) {
        out += "{}";
    } else if (arguments[start] == '{' && !find_json_fault(arguments)) {
        out += arguments;
    } else {
        out += "{\"arguments\":";
        append_json_string(out, arguments);
        out += '}';
    }
}

// Bytes to reserve for a request's body, so that a large one is not moved while it grows.
inline std::size_t body_size_guess(const ChatRequest& request) {
    std::size_t bytes = 1024;
    for (const Message& message : request.messages)
        for (const Part& part : message.parts) bytes += part.text.size() + part.json.size() + 128;
    return bytes + bytes / 16;  // some room for escapes
}

// Writes the members of a request's body, but for those that the vendor would refuse.
class BodyWriter {
public:
    BodyWriter(std::string& out, const Vendor& vendor) : out_(out), vendor_(vendor) {}

    bool wanted(std::string_view name) const {
        const auto& dropped = vendor_.drop_parameters;
        return std::find(dropped.begin(), dropped.end(), name) == dropped.end();
    }
    // False when the vendor would refuse it; otherwise its value is to be appended next.
    bool open(std::string_view name) {
        if (!wanted(name)) return false;
        out_ += first_ ? "{\"" : ",\"";
        first_ = false;
        out_ += name;  // ours: nothing to escape
        out_ += "\":";
        return true;
    }
    void text(std::string_view name, std::string_view value) {
        if (open(name)) append_json_string(out_, value);
    }
    void raw(std::string_view name, std::string_view json) {
        if (open(name)) out_ += json;
    }
    void flag(std::string_view name, bool value) { raw(name, value ? "true" : "false"); }
    template <class Number>
    void number(std::string_view name, Number value) {
        if (open(name)) append_json_number(out_, value);
    }
    template <class Number>
    void number(std::string_view name, const std::optional<Number>& value) {
        if (value) number(name, *value);
    }
    void close() { out_ += first_ ? "{}" : "}"; }

private:
    std::string& out_;
    const Vendor& vendor_;
    bool first_ = true;
};

}  // namespace sluice
