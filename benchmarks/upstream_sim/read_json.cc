#include "benchmarks/upstream_sim/read_json.h"

namespace sluice::sim {

void add_text(simdjson::dom::element content, std::string& text) {
    std::string_view whole;
    if (content.get(whole) == simdjson::SUCCESS) text += whole;
    simdjson::dom::array parts;
    if (content.get(parts) != simdjson::SUCCESS) return;
    for (simdjson::dom::element part : parts) {
        std::string_view piece;
        if (part["text"].get(piece) == simdjson::SUCCESS) text += piece;
    }
}

std::int64_t count_tokens(std::string_view text) {
    return static_cast<std::int64_t>((text.size() + 3) / 4);
}

Result<Call> read_call(simdjson::dom::object root) {
    Call call;
    std::string_view model;
    if (root["model"].get(model) != simdjson::SUCCESS || model.empty()) {
        return Error(Errc::invalid_request, "you must provide a model parameter");
    }
    call.model = model;
    bool stream = false;
    if (root["stream"].get(stream) == simdjson::SUCCESS) call.stream = stream;
    simdjson::dom::array messages;
    if (root["messages"].get(messages) != simdjson::SUCCESS || messages.size() == 0) {
        return Error(Errc::invalid_request,
                     "Invalid type for 'messages': expected an array of "
                     "objects with at least one message.");
    }
    for (simdjson::dom::element message : messages) {
        std::string_view role;
        simdjson::dom::element content;
        std::string text;
        if (message["role"].get(role) != simdjson::SUCCESS) {
            return Error(Errc::invalid_request, "Missing required parameter: 'messages[].role'.");
        }
        if (message["content"].get(content) == simdjson::SUCCESS) add_text(content, text);
        call.input_tokens += 4 + count_tokens(text);
        if (role == "user") call.last_user_text = std::move(text);
    }
    return call;
}

}  // namespace sluice::sim
