#include "policies/pii_request.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace sluice {
namespace {

constexpr std::size_t address_bytes_max = 8'192;  // a longer text of a part is what it holds

int hex_value(std::string_view digits) {
    int value = -1;
    auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return failed == std::errc() && end == digits.data() + digits.size() ? value : -1;
}

void append_utf8(std::string& out, unsigned point) {
    if (point < 0x80) {
        out += static_cast<char>(point);
    } else if (point < 0x800) {
        out += static_cast<char>(0xC0 | point >> 6);
        out += static_cast<char>(0x80 | (point & 0x3F));
    } else {  // halves of a pair, too: no form that is looked for has such signs
        out += static_cast<char>(0xE0 | point >> 12);
        out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (point & 0x3F));
    }
}

// JSON as its texts read: "030\\/1234" is 030/1234, and a line's end ends a word.
std::string without_escapes(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
        if (json[i] != '\\' || i + 1 == json.size()) {
            out += json[i];
            continue;
        }
        char kind = json[++i];
        int point = kind == 'u' && i + 4 < json.size() ? hex_value(json.substr(i + 1, 4)) : -1;
        if (point >= 0) {
            append_utf8(out, static_cast<unsigned>(point));
            i += 4;
        } else {
            bool space = kind == 'n' || kind == 'r' || kind == 't' || kind == 'b' || kind == 'f';
            out += space ? '\n' : kind;
        }
    }
    return out;
}

std::string without_percents(std::string_view address) {
    std::string out;
    for (std::size_t i = 0; i < address.size(); ++i) {
        bool coded = address[i] == '%' && i + 2 < address.size();
        int byte = coded ? hex_value(address.substr(i + 1, 2)) : -1;
        out += byte >= 0 ? static_cast<char>(byte) : address[i];
        if (byte >= 0) i += 2;
    }
    return out;
}

// What of a part's value is not the bytes that it holds: those are told by where they stand and
// how they are written, since a caller may begin any text with "data:".
std::string_view without_data(std::string_view key, std::string_view value) {
    bool address = key == "url" || key == "image_url" || key == "file_data";
    std::size_t comma = address && value.starts_with("data:") ? value.find(',') : value.npos;
    if (comma != value.npos) return value.substr(0, comma);
    if (key != "data" && key != "file_data") return value;
    bool base64 = std::all_of(value.begin(), value.end(), [](char sign) {
        return (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z') ||
               (sign >= '0' && sign <= '9') ||
               std::string_view("+/-_=\\").find(sign) != std::string_view::npos;
    });
    return base64 ? std::string_view() : value;
}

class Search {
public:
    explicit Search(PiiSet wanted) : wanted_(wanted) {}
    PiiSet found() const { return found_; }
    bool done() const { return found_ == wanted_; }

    void text(std::string_view text) {
        if (!done()) found_ |= find_pii(text, wanted_ & static_cast<PiiSet>(~found_));
    }
    void json(std::string_view json) {
        if (done()) return;
        if (json.find('\\') == std::string_view::npos) return text(json);
        text(without_escapes(json));
    }
    // The texts of an image, an audio or a file, as far as they are short, but for what it holds.
    void part(std::string_view json) {
        std::string_view key;  // whose value comes next
        std::size_t at = 0;
        while (!done() && (at = json.find('"', at)) != std::string_view::npos) {
            std::size_t end = ++at;
            while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
            std::string_view one = json.substr(at, std::min(end, json.size()) - at);
            at = std::min(end, json.size()) + 1;
            std::size_t next = json.find_first_not_of(" \t\r\n", at);
            bool is_key = next != std::string_view::npos && json[next] == ':';
            std::string_view seen = is_key ? one : without_data(key, one);
            key = is_key ? one : std::string_view();
            if (seen.size() <= address_bytes_max) text(without_percents(without_escapes(seen)));
        }
    }

private:
    PiiSet wanted_;
    PiiSet found_ = 0;
};

}  // namespace

PiiSet find_pii(const ChatRequest& request, PiiSet wanted) {
    Search search(wanted);
    for (const Message& message : request.messages) {
        for (const Part& part : message.parts) {
            search.text(part.text);
            if (part.kind != Part::Kind::text) search.part(part.json);
        }
        search.text(message.name);
        search.text(message.reasoning);
        search.text(message.refusal);
        for (const ToolCall& call : message.tool_calls) search.json(call.arguments);
    }
    for (const Tool& tool : request.tools) {
        search.text(tool.description);
        search.json(tool.parameters);
    }
    for (const std::string& stop : request.stop) search.text(stop);
    search.json(request.response_format);
    search.text(request.user);
    for (const auto& [name, value] : request.extra) search.json(value);
    return search.found();
}

}  // namespace sluice
