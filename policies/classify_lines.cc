#include "policies/classify_lines.h"

#include <simdjson.h>

#include <cmath>
#include <cstdio>
#include <optional>

#include "engine/log.h"
#include "providers/dialect.h"

namespace sluice {
namespace {

constexpr std::size_t line_bytes_max = 16 << 20;

using Object = simdjson::dom::object;

// The whole of a JSON value, as text.
std::string raw(const simdjson::dom::element& element) { return simdjson::minify(element); }

Result<ChatRequest> read_request(const Object& line) {
    std::string_view prompt;
    if (line["prompt"].get(prompt) == simdjson::SUCCESS) return request_of(prompt);
    simdjson::dom::element messages;
    if (line["messages"].get(messages) != simdjson::SUCCESS)
        return Error(Errc::invalid_request, "expected 'prompt', a text, or 'messages', a list");
    return find_dialect("openai_chat")
        ->read_request(R"({"model":"auto","messages":)" + raw(messages) + "}");
}

void append_number(std::string& out, const char* format, double value) {
    if (std::abs(value) < 5e-5) value = 0;  // never "-0.0000"
    char text[48];
    std::snprintf(text, sizeof text, format, value);
    out += text;
}

std::string answer(const Object& line, const ChatRequest& request, const Classifier& classifier,
                   const Policy& policy, const OnlineWeights* learned) {
    OnlineFeatures kept;
    Difficulty difficulty = classify_learned(classifier, learned, request, Labels(), kept);
    std::string out = "{\"id\":";
    simdjson::dom::element id;
    out += line["id"].get(id) == simdjson::SUCCESS ? raw(id) : "null";
    append_number(out, ",\"difficulty\":%.4f", difficulty.score);
    append_number(out, ",\"gain\":%.4f", difficulty.gain);
    out += ",\"tier\":";
    const DifficultyBand* band = policy.band(difficulty.score);
    append_json_string(out, band ? band->tier : "");
    append_number(out, ",\"expected_output_tokens\":%.0f", difficulty.expected_output_tokens);
    out += ",\"features\":{";
    bool first = true;
    for (const auto& [name, value] : classifier.features(request)) {
        if (!first) out += ',';
        first = false;
        append_json_string(out, name);
        append_number(out, ":%.5g", value);
    }
    return out + "}}\n";
}

// The next line without its end; nothing at the end. A line over the limit comes back cut.
std::optional<std::string> next_line(std::istream& in) {
    std::string line;
    for (int c = in.get(); c != std::istream::traits_type::eof(); c = in.get()) {
        if (c == '\n') return line;
        line += static_cast<char>(c);
        if (line.size() > line_bytes_max) return line;
    }
    if (line.empty()) return {};
    return line;
}

}  // namespace

ChatRequest request_of(std::string_view prompt) {
    ChatRequest request;
    request.model = "auto";
    Part part;
    part.text = prompt;
    Message message;
    message.parts.push_back(std::move(part));
    request.messages.push_back(std::move(message));
    return request;
}

Status classify_lines(const Classifier& classifier, const Policy& policy, std::istream& in,
                      std::ostream& out, const OnlineWeights* learned) {
    simdjson::dom::parser parser;
    for (std::uint64_t number = 1;; ++number) {
        auto line = next_line(in);
        if (!line) return Done{};
        std::string where = "line " + std::to_string(number) + ": ";
        if (line->size() > line_bytes_max)
            return Error(Errc::invalid_request, where + "more than 16 MiB");
        if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
        simdjson::dom::element element;
        auto failed = parser.parse(*line).get(element);
        if (failed)
            return Error(Errc::invalid_request,
                         where + "not JSON: " + simdjson::error_message(failed));
        Object object;
        if (element.get(object) != simdjson::SUCCESS)
            return Error(Errc::invalid_request, where + "expected a JSON object");
        auto request = read_request(object);
        if (!request) return Error(Errc::invalid_request, where + request.error().message);
        out << answer(object, *request, classifier, policy, learned);
    }
}

}  // namespace sluice
