#include "providers/chat.h"

#include <algorithm>

namespace sluice {

std::string Message::text() const {
    std::string out;
    for (const Part& part : parts)
        if (part.kind == Part::Kind::text) out += part.text;
    return out;
}

bool ChatRequest::has(Part::Kind kind) const {
    return std::any_of(messages.begin(), messages.end(), [kind](const Message& message) {
        return std::any_of(message.parts.begin(), message.parts.end(),
                           [kind](const Part& part) { return part.kind == kind; });
    });
}

bool ChatRequest::wants_json_schema() const {
    // Readers keep response_format only when it is one of these two; "text" is the default.
    return response_format.find("json_schema") != std::string::npos ||
           response_format.find("json_object") != std::string::npos;
}

std::vector<Thought> thoughts_of(std::string_view reasoning, const std::vector<ThoughtEnd>& ends) {
    std::vector<Thought> thoughts;
    std::size_t at = 0;
    for (const ThoughtEnd& end : ends) {
        std::string_view text = reasoning.substr(at, end.at - at);
        at = end.at;
        if (!text.empty() || end.sealed.empty()) thoughts.push_back({text, end.signature, {}});
        if (!end.sealed.empty()) thoughts.push_back({{}, {}, end.sealed});
    }
    if (at < reasoning.size()) thoughts.push_back({reasoning.substr(at), {}, {}});
    return thoughts;
}

void add_thought(std::string& reasoning, std::vector<ThoughtEnd>& ends, const Thought& thought) {
    bool open = reasoning.size() > (ends.empty() ? 0 : ends.back().at);
    // What is sealed ends the open one by its own mark.
    if (open && thought.sealed.empty()) ends.push_back({reasoning.size(), "", ""});
    reasoning += thought.text;
    if (!thought.signature.empty() || !thought.sealed.empty())
        ends.push_back(
            {reasoning.size(), std::string(thought.signature), std::string(thought.sealed)});
}

}  // namespace sluice
