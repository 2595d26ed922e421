#include "providers/chat.h"

namespace sluice {

std::string Message::text() const {
    std::string out;
    for (const Part& part : parts)
        if (part.kind == Part::Kind::text) out += part.text;
    return out;
}

bool ChatRequest::has_images() const {
    for (const Message& message : messages)
        for (const Part& part : message.parts)
            if (part.kind == Part::Kind::image) return true;
    return false;
}

bool ChatRequest::wants_json_schema() const {
    // Readers keep response_format only when it is one of these two; "text" is the default.
    return response_format.find("json_schema") != std::string::npos ||
           response_format.find("json_object") != std::string::npos;
}

}  // namespace sluice
