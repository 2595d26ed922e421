#include "policies/pii_request.h"

#include <algorithm>
#include <optional>
#include <string>

#include "policies/pii_escapes.h"

namespace sluice {
namespace {

// JSON within a text of JSON has its escapes escaped once more.
constexpr int escape_layers_max = 3;

// Where in a part's value the bytes begin that it holds; nothing where it holds none. They are told
// by where they stand and how they are written, since a caller may begin any text with "data:".
std::optional<std::size_t> held_from(std::string_view key, std::string_view value) {
    std::size_t from = 0;
    bool address = key == "url" || key == "image_url" || key == "file_data";
    if (address && value.starts_with("data:")) {
        std::size_t comma = value.find(',');
        if (comma == value.npos || !value.substr(0, comma).ends_with(";base64")) return {};
        from = comma + 1;
    } else if (key != "data" && key != "file_data") {
        return {};
    }
    if (!is_base64(value.substr(from))) return {};
    return from;
}

// Where the string of JSON ends that begins behind a '"' at `at`: at its '"', or the text's end.
std::size_t string_end(std::string_view json, std::size_t at) {
    for (std::size_t end = at;;) {
        end = json.find('"', end);
        if (end == json.npos) return json.size();
        std::size_t first = end;  // of the backslashes before it
        while (first > at && json[first - 1] == '\\') --first;
        if ((end - first) % 2 == 0) return end;
        ++end;
    }
}

class Search {
public:
    explicit Search(PiiSet wanted) : wanted_(wanted) {}
    PiiSet found() const { return found_; }
    bool done() const { return found_ == wanted_; }

    // As it stands, and as it reads.
    void text(std::string_view text) {
        look(text);
        std::string_view seen = text;
        for (int layer = 0; layer < escape_layers_max && !done(); ++layer) {
            std::string& plain = plain_[layer % 2];  // `seen` is in the other one
            if (!without_escapes(seen, plain)) break;
            look(seen = plain);
        }
    }
    // What only the vendor can read, in base64; anything else was not written by it.
    void sealed(std::string_view value) {
        if (!is_base64(value)) text(value);
    }
    // An image, an audio or a file: all that it says, and what it holds if that is a text.
    void part(std::string_view json) {
        std::string_view key;          // whose value comes next
        std::size_t from = 0, at = 0;  // what is not looked at yet; what is not read yet
        while (!done() && (at = json.find('"', at)) != json.npos) {
            std::size_t begin = at + 1, end = string_end(json, begin);
            std::string_view one = json.substr(begin, end - begin);
            at = std::min(end + 1, json.size());
            std::size_t next = json.find_first_not_of(" \t\r\n", at);
            bool is_key = next != json.npos && json[next] == ':';
            if (auto held = is_key ? std::nullopt : held_from(key, one)) {
                text(json.substr(from, begin + *held - from));
                from = end;
                read_base64_text(one.substr(*held), held_);
                text(held_);
            }
            key = is_key ? one : std::string_view();
        }
        if (from < json.size()) text(json.substr(from));
    }

    void message(const Message& message) {
        joined_.clear();
        int texts = 0;
        for (const Part& part : message.parts) {
            if (part.kind != Part::Kind::text) {
                this->part(part.json);
            } else {
                text(part.text);
                if (message.parts.size() > 1) joined_ += part.text;
                ++texts;
            }
            text(part.cache_control);
        }
        if (texts > 1) text(joined_);  // models read them as one
        text(message.name);
        text(message.reasoning);
        for (const ThoughtEnd& thought : message.thought_ends) {
            sealed(thought.signature);
            sealed(thought.sealed);
        }
        text(message.refusal);
        text(message.tool_call_id);
        for (const ToolCall& call : message.tool_calls) {
            text(call.id);
            text(call.name);
            text(call.arguments);
        }
    }

private:
    void look(std::string_view text) {
        if (!done()) found_ |= find_pii(text, wanted_ & static_cast<PiiSet>(~found_));
    }

    PiiSet wanted_;
    PiiSet found_ = 0;
    std::string plain_[2], held_, joined_;
};

}  // namespace

PiiSet find_pii(const ChatRequest& request, PiiSet wanted) {
    Search search(wanted);
    for (const Message& message : request.messages) {
        if (search.done()) break;
        search.message(message);
    }
    for (const Tool& tool : request.tools) {
        search.text(tool.name);
        search.text(tool.description);
        search.text(tool.parameters);
        search.text(tool.cache_control);
    }
    search.text(request.tool_choice);
    for (const std::string& stop : request.stop) search.text(stop);
    search.text(request.response_format);
    search.text(request.user);
    for (const auto& [name, value] : request.extra) search.text(value);
    return search.found();
}

}  // namespace sluice
