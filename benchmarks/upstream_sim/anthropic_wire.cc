// Messages. A thought is a thinking block with a signature; usage is cumulative.
#include <simdjson.h>

#include "benchmarks/upstream_sim/read_json.h"
#include "benchmarks/upstream_sim/wire.h"
#include "engine/log.h"

namespace sluice::sim {

namespace {

constexpr std::string_view signature = "c2ltdWxhdGVk";  // "simulated"

std::string usage_json(const Answer& a, std::int64_t output) {
    std::string json = "{\"input_tokens\":";
    json += std::to_string(a.in_total - a.in_cached - a.in_cache_write);
    json += ",\"cache_creation_input_tokens\":" + std::to_string(a.in_cache_write);
    json += ",\"cache_read_input_tokens\":" + std::to_string(a.in_cached);
    json += ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":";
    json += std::to_string(a.in_cache_write) + ",\"ephemeral_1h_input_tokens\":0}";
    json += ",\"output_tokens\":" + std::to_string(output);
    return json + ",\"service_tier\":\"standard\"}";
}

std::string_view stop_reason(const Answer& answer) {
    if (answer.cut_short) return "\"max_tokens\"";
    return answer.tool.empty() ? "\"end_turn\"" : "\"tool_use\"";
}

std::string event(std::string_view name, const std::string& data) {
    std::string bytes = "event: ";
    bytes += name;
    return bytes + "\ndata: " + data + "\n\n";
}

std::string message_head(const Answer& answer) {
    std::string json = "{\"id\":\"msg_" + answer.id + "\",\"type\":\"message\",\"role\":";
    json += "\"assistant\",\"model\":";
    append_json_string(json, answer.model);
    return json;
}

// The block of `kind`, with its whole content or (in a stream) empty.
std::string block(const Answer& answer, Kind kind, const std::string& content) {
    std::string json = "{\"type\":";
    switch (kind) {
        case Kind::reasoning:
            json += "\"thinking\",\"thinking\":";
            append_json_string(json, content);
            json += ",\"signature\":\"";
            if (!content.empty()) json += signature;
            return json + "\"}";
        case Kind::text:
            json += "\"text\",\"text\":";
            append_json_string(json, content);
            return json + "}";
        case Kind::tool:
            json += "\"tool_use\",\"id\":\"toolu_" + answer.id + "\",\"name\":";
            append_json_string(json, answer.tool);
            return json + ",\"input\":" + (content.empty() ? "{}" : content) + "}";
    }
    return json;
}

std::string delta(std::size_t index, Kind kind, const std::string& text) {
    std::string json = "{\"type\":\"content_block_delta\",\"index\":" + std::to_string(index);
    json += ",\"delta\":{\"type\":";
    switch (kind) {
        case Kind::reasoning:
            json += "\"thinking_delta\",\"thinking\":";
            break;
        case Kind::text:
            json += "\"text_delta\",\"text\":";
            break;
        case Kind::tool:
            json += "\"input_json_delta\",\"partial_json\":";
            break;
    }
    append_json_string(json, text);
    return event("content_block_delta", json + "}}");
}

std::string block_start(const Answer& answer, std::size_t index, Kind kind) {
    std::string json = "{\"type\":\"content_block_start\",\"index\":" + std::to_string(index);
    return event("content_block_start",
                 json + ",\"content_block\":" + block(answer, kind, "") + "}");
}

std::string block_stop(std::size_t index, Kind kind) {
    std::string at = std::to_string(index);
    std::string bytes;
    if (kind == Kind::reasoning) {
        std::string json = "{\"type\":\"content_block_delta\",\"index\":" + at;
        json += ",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"";
        json += signature;
        bytes = event("content_block_delta", json + "\"}}");
    }
    return bytes +
           event("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":" + at + "}");
}

class AnthropicWire final : public Wire {
public:
    Result<Call> read(std::string_view body) const override {
        simdjson::dom::parser parser;
        simdjson::dom::object root;
        if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) {
            return Error(Errc::invalid_request, "The request body is not valid JSON.");
        }
        Result<Call> call = read_call(root);
        if (!call) return call;
        std::int64_t most = 0;
        if (root["max_tokens"].get(most) != simdjson::SUCCESS || most < 1) {
            return Error(Errc::invalid_request, "max_tokens: Field required");
        }
        call->max_tokens = most;
        simdjson::dom::element system;
        if (root["system"].get(system) == simdjson::SUCCESS) {
            std::string text;
            add_text(system, text);
            call->input_tokens += count_tokens(text);
        }
        return call;
    }

    std::string whole(const Answer& answer) const override {
        std::string json = message_head(answer) + ",\"content\":[";
        std::string separator;
        for (Kind kind : {Kind::reasoning, Kind::text, Kind::tool}) {
            std::string content = answer.all(kind);
            if (content.empty()) continue;
            json += separator + block(answer, kind, content);
            separator = ",";
        }
        json += "],\"stop_reason\":";
        json += stop_reason(answer);
        json += ",\"stop_sequence\":null";
        if (answer.usage) json += ",\"usage\":" + usage_json(answer, answer.out_total);
        return json + "}";
    }

    std::string open(const Answer& answer) const override {
        std::string json = "{\"type\":\"message_start\",\"message\":" + message_head(answer);
        json += ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null";
        if (answer.usage) json += ",\"usage\":" + usage_json(answer, 1);
        return event("message_start", json + "}}") + event("ping", "{\"type\": \"ping\"}");
    }

    // Blocks are opened and closed by the piece that begins one.
    std::string piece(const Answer& answer, std::size_t index) const override {
        const auto& [kind, text] = answer.pieces[index];
        std::string bytes;
        std::size_t at = block_index(answer, index);
        bool begins = index == 0 || answer.pieces[index - 1].first != kind;
        if (begins && index > 0) bytes += block_stop(at - 1, answer.pieces[index - 1].first);
        if (begins) bytes += block_start(answer, at, kind);
        return bytes + delta(at, kind, text);
    }

    std::string close(const Answer& answer) const override {
        std::string bytes;
        if (!answer.pieces.empty()) {
            std::size_t last = answer.pieces.size() - 1;
            bytes = block_stop(block_index(answer, last), answer.pieces[last].first);
        }
        std::string json = "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":";
        json += stop_reason(answer);
        json += ",\"stop_sequence\":null}";
        if (answer.usage) json += ",\"usage\":" + usage_json(answer, answer.out_total);
        bytes += event("message_delta", json + "}");
        return bytes + event("message_stop", "{\"type\":\"message_stop\"}");
    }

    std::string refusal(int status, std::string_view message) const override {
        std::string json = "{\"type\":\"error\",\"error\":{\"type\":\"";
        json += error_type(status);
        json += "\",\"message\":";
        append_json_string(json, message);
        return json + "},\"request_id\":\"req_sim\"}";
    }

    std::string error_event() const override {
        return event("error",
                     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                     "\"message\":\"Overloaded (simulated)\"}}");
    }
    std::string malformed_event() const override {
        return event("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,\"del");
    }

private:
    static std::size_t block_index(const Answer& answer, std::size_t piece) {
        return answer.pieces[piece].first != Kind::reasoning && answer.out_reasoning > 0 ? 1 : 0;
    }

    static std::string_view error_type(int status) {
        switch (status) {
            case 401:
                return "authentication_error";
            case 402:
                return "billing_error";
            case 403:
                return "permission_error";
            case 404:
                return "not_found_error";
            case 413:
                return "request_too_large";
            case 429:
                return "rate_limit_error";
            case 504:
                return "timeout_error";
            case 529:
                return "overloaded_error";
        }
        return status >= 500 ? "api_error" : "invalid_request_error";
    }
};

}  // namespace

const Wire& anthropic_wire() {
    static const AnthropicWire wire;
    return wire;
}

}  // namespace sluice::sim
