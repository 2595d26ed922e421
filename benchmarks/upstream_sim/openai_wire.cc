// Chat completions. A thought goes to reasoning_content, as DeepSeek sends it, or for models named
// think inside the content between <think> tags, as a raw R1 does.
#include <simdjson.h>

#include "benchmarks/upstream_sim/read_json.h"
#include "benchmarks/upstream_sim/wire.h"
#include "engine/log.h"

namespace sluice::sim {

namespace {

bool inline_think(const Answer& answer) { return answer.model.find("think") != std::string::npos; }

std::string usage_json(const Answer& a) {
    std::string json = "{\"prompt_tokens\":" + std::to_string(a.in_total);
    json += ",\"completion_tokens\":" + std::to_string(a.out_total);
    json += ",\"total_tokens\":" + std::to_string(a.in_total + a.out_total);
    json += ",\"prompt_tokens_details\":{\"cached_tokens\":" + std::to_string(a.in_cached);
    json += ",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":";
    json += std::to_string(inline_think(a) ? 0 : a.out_reasoning);
    json += ",\"audio_tokens\":0,\"accepted_prediction_tokens\":0";
    return json + ",\"rejected_prediction_tokens\":0}}";
}

std::string_view finish(const Answer& answer) {
    if (answer.cut_short) return "\"length\"";
    return answer.tool.empty() ? "\"stop\"" : "\"tool_calls\"";
}

std::string chunk_head(const Answer& answer) {
    std::string json = "data: {\"id\":\"chatcmpl-" + answer.id;
    json += "\",\"object\":\"chat.completion.chunk\",\"created\":";
    json += std::to_string(answer.created) + ",\"model\":";
    append_json_string(json, answer.model);
    return json + ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_simulated\"";
}

std::string chunk(const Answer& answer, const std::string& delta, std::string_view finish_reason) {
    std::string json = chunk_head(answer) + ",\"choices\":[{\"index\":0,\"delta\":" + delta;
    json += ",\"logprobs\":null,\"finish_reason\":";
    json += finish_reason;
    json += "}]";
    if (answer.stream_usage) json += ",\"usage\":null";
    return json + "}\n\n";
}

std::string tool_call_json(const Answer& answer, std::string_view arguments) {
    std::string json = "{\"id\":\"call_" + answer.id + "\",\"type\":\"function\",\"function\":";
    json += "{\"name\":";
    append_json_string(json, answer.tool);
    json += ",\"arguments\":";
    append_json_string(json, arguments);
    return json + "}}";
}

class OpenAiWire final : public Wire {
public:
    Result<Call> read(std::string_view body) const override {
        simdjson::dom::parser parser;
        simdjson::dom::object root;
        if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) {
            return Error(Errc::invalid_request,
                         "We could not parse the JSON body of your request.");
        }
        Result<Call> call = read_call(root);
        if (!call) return call;
        for (const char* field : {"max_completion_tokens", "max_tokens"}) {
            std::int64_t most = 0;
            if (root[field].get(most) == simdjson::SUCCESS) call->max_tokens = most;
        }
        bool usage = false;
        if (root["stream_options"]["include_usage"].get(usage) == simdjson::SUCCESS) {
            call->include_usage = usage && call->stream;
        }
        return call;
    }

    std::string whole(const Answer& answer) const override {
        std::string json = "{\"id\":\"chatcmpl-" + answer.id;
        json += "\",\"object\":\"chat.completion\",\"created\":" + std::to_string(answer.created);
        json += ",\"model\":";
        append_json_string(json, answer.model);
        json += ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":";
        std::string thought = answer.all(Kind::reasoning);
        std::string text = answer.all(Kind::text);
        if (!thought.empty() && inline_think(answer)) {
            text.insert(0, "<think>\n" + thought + "\n</think>\n\n");
        }
        if (answer.tool.empty()) append_json_string(json, text);
        if (!answer.tool.empty()) json += "null";
        if (!thought.empty() && !inline_think(answer)) {
            json += ",\"reasoning_content\":";
            append_json_string(json, thought);
        }
        if (!answer.tool.empty()) {
            json += ",\"tool_calls\":[" + tool_call_json(answer, answer.all(Kind::tool)) + "]";
        }
        json += ",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":";
        json += finish(answer);
        json += "}]";
        if (answer.usage) json += ",\"usage\":" + usage_json(answer);
        return json + ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_simulated\"}";
    }

    std::string open(const Answer& answer) const override {
        bool thought = answer.out_reasoning > 0 && !inline_think(answer);
        std::string delta = "{\"role\":\"assistant\",\"content\":";
        delta += thought ? "null,\"reasoning_content\":\"\"" : "\"\",\"refusal\":null";
        std::string opened = chunk(answer, delta + "}", "null");
        if (answer.out_reasoning > 0 && inline_think(answer)) {
            opened += chunk(answer, "{\"content\":\"<think>\\n\"}", "null");
        }
        return opened;
    }

    std::string piece(const Answer& answer, std::size_t index) const override {
        const auto& [kind, text] = answer.pieces[index];
        std::size_t reasoning = static_cast<std::size_t>(answer.out_reasoning);
        if (kind == Kind::tool) return tool_piece(answer, text, index == reasoning);
        std::string shown;
        if (inline_think(answer) && reasoning > 0 && index == reasoning) {
            shown = "\n</think>\n\n";
        }
        shown += text;
        bool split = kind == Kind::reasoning && !inline_think(answer);
        std::string delta = split ? "{\"content\":null,\"reasoning_content\":" : "{\"content\":";
        append_json_string(delta, shown);
        return chunk(answer, delta + "}", "null");
    }

    std::string close(const Answer& answer) const override {
        std::string closed = chunk(answer, "{}", finish(answer));
        if (answer.stream_usage && answer.usage) {
            closed += chunk_head(answer) + ",\"choices\":[],\"usage\":" + usage_json(answer);
            closed += "}\n\n";
        }
        return closed + "data: [DONE]\n\n";
    }

    std::string refusal(int status, std::string_view message) const override {
        std::string json = "{\"error\":{\"message\":";
        append_json_string(json, message);
        json += ",\"type\":\"";
        json += error_type(status);
        json += "\",\"param\":null,\"code\":";
        json += status == 401   ? "\"invalid_api_key\""
                : status == 429 ? "\"rate_limit_exceeded\""
                                : "null";
        return json + "}}";
    }

    std::string error_event() const override {
        return "data: " + refusal(500, "The server had an error (simulated).") + "\n\n";
    }
    std::string malformed_event() const override {
        return "data: {\"id\":\"chatcmpl-sim\",\"choices\":[{\"index\":0,\"delta\":{\"conte\n\n";
    }

private:
    static std::string tool_piece(const Answer& answer, const std::string& text, bool first) {
        std::string delta = "{\"tool_calls\":[{\"index\":0";
        if (first) {
            std::string call = tool_call_json(answer, "");
            delta += "," + call.substr(1, call.size() - 2) + "}]}";
            return chunk(answer, delta, "null") + tool_piece(answer, text, false);
        }
        delta += ",\"function\":{\"arguments\":";
        append_json_string(delta, text);
        return chunk(answer, delta + "}}]}", "null");
    }

    static std::string_view error_type(int status) {
        if (status == 429) return "requests";
        if (status >= 500) return "server_error";
        return "invalid_request_error";
    }
};

}  // namespace

const Wire& openai_wire() {
    static const OpenAiWire wire;
    return wire;
}

}  // namespace sluice::sim
