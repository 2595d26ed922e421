#include <algorithm>

#include "providers/dialects/anthropic_messages.h"
#include "providers/dialects/anthropic_messages_blocks.h"
#include "providers/json_read.h"
#include "providers/json_write.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

// Calls found(text) for the string under `outer`.`inner` of a raw JSON object.
template <class Found>
void with_text(std::string_view json, std::string_view outer, std::string_view inner,
               Found&& found) {
    JsonReader reader(json, Errc::internal);
    // The raw parts were checked when they were read: what is not there is not there.
    (void)reader.root([&](std::string_view key, JsonValue value) -> Status {
        if (key != outer || !JsonReader::is(value, json_type::object)) return Done{};
        return reader.members(value, JsonPath(), [&](std::string_view name, JsonValue member) {
            std::string_view text;
            if (name == inner && !member.get_string().get(text)) found(text);
            return Status(Done{});
        });
    });
}

void append_cache_control(std::string& out, const std::string& json) {
    if (!json.empty()) out.append(",\"cache_control\":").append(json);
}

void append_text_block(std::string& out, std::string_view text, const std::string& cache_control) {
    out += "{\"type\":\"text\",\"text\":";
    append_json_string(out, text);
    append_cache_control(out, cache_control);
    out += '}';
}

// A URL or a data: URL as a source object.
void append_source(std::string& out, std::string_view url) {
    constexpr std::string_view scheme = "data:";
    constexpr std::string_view marker = ";base64,";
    std::size_t at = url.find(marker);
    if (url.substr(0, scheme.size()) == scheme && at != std::string_view::npos) {
        out += "{\"type\":\"base64\",\"media_type\":";
        append_json_string(out, url.substr(scheme.size(), at - scheme.size()));
        out += ",\"data\":";
        append_json_string(out, url.substr(at + marker.size()));
    } else {
        out += "{\"type\":\"url\",\"url\":";
        append_json_string(out, url);
    }
    out += '}';
}

// One message of the wire being written: consecutive messages of one side become one.
class TurnWriter {
public:
    explicit TurnWriter(std::string& out) : out_(out) {}

    // What is appended next is a block of this side.
    std::string& block(std::string_view role) {
        if (role != role_) {
            close_turn();
            out_ += first_ ? "" : ",";
            first_ = false;
            out_.append("{\"role\":\"").append(role).append("\",\"content\":[");
            role_ = role;
        } else {
            out_ += ',';
        }
        return out_;
    }
    void close_turn() {
        if (!role_.empty()) out_ += "]}";
        role_ = {};
    }

private:
    std::string& out_;
    std::string_view role_;
    bool first_ = true;
};

// The wire takes letters, digits, '_' and '-' in a tool call's id; others may use more.
void append_tool_id(std::string& out, const std::string& id) {
    std::string plain = id;
    auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    };
    for (char& c : plain)
        if (!allowed(c)) c = '_';
    append_json_string(out, plain);
}

void write_part(TurnWriter& turns, const Part& part) {
    switch (part.kind) {
        case Part::Kind::text:
            // Empty text blocks are refused.
            if (!part.text.empty())
                append_text_block(turns.block("user"), part.text, part.cache_control);
            return;
        case Part::Kind::image:
            with_text(part.json, "image_url", "url", [&](std::string_view url) {
                std::string& out = turns.block("user");
                out += "{\"type\":\"image\",\"source\":";
                append_source(out, url);
                append_cache_control(out, part.cache_control);
                out += '}';
            });
            return;
        case Part::Kind::file:
            with_text(part.json, "file", "file_data", [&](std::string_view url) {
                std::string& out = turns.block("user");
                out += "{\"type\":\"document\",\"source\":";
                append_source(out, url);
                append_cache_control(out, part.cache_control);
                out += '}';
            });
            return;
        case Part::Kind::audio:
            append_text_block(turns.block("user"), "[audio left out: it cannot be heard here]", "");
            return;
    }
}

void write_tool_result(TurnWriter& turns, const Message& message) {
    std::string& out = turns.block("user");
    out += "{\"type\":\"tool_result\",\"tool_use_id\":";
    append_tool_id(out, message.tool_call_id);
    std::string text = message.text();
    if (!text.empty()) {
        out += ",\"content\":";
        append_json_string(out, text);
    }
    if (message.tool_error) out += ",\"is_error\":true";
    if (!message.parts.empty()) append_cache_control(out, message.parts.back().cache_control);
    out += '}';
}

void write_assistant(TurnWriter& turns, const Message& message) {
    // Without its signature a thought is refused.
    for (const Thought& thought : thoughts_of(message.reasoning, message.thought_ends))
        if (!thought.signature.empty() || !thought.sealed.empty())
            append_thought(turns.block("assistant"), thought);
    for (const Part& part : message.parts)
        if (!part.text.empty())
            append_text_block(turns.block("assistant"), part.text, part.cache_control);
    if (!message.refusal.empty()) append_text_block(turns.block("assistant"), message.refusal, "");
    for (const ToolCall& call : message.tool_calls) {
        std::string& out = turns.block("assistant");
        out += "{\"type\":\"tool_use\",\"id\":";
        append_tool_id(out, call.id);
        out += ",\"name\":";
        append_json_string(out, call.name);
        out += ",\"input\":";
        append_json_object(out, call.arguments);
        out += '}';
    }
}

void append_messages(std::string& out, const std::vector<Message>& messages) {
    out += '[';
    TurnWriter turns(out);
    for (const Message& message : messages) {
        switch (message.role) {
            case Role::system:
            case Role::developer:
                break;  // append_system()
            case Role::user:
                for (const Part& part : message.parts) write_part(turns, part);
                break;
            case Role::assistant:
                write_assistant(turns, message);
                break;
            case Role::tool:
                write_tool_result(turns, message);
                break;
        }
    }
    turns.close_turn();
    out += ']';
}

// All instructions, wherever in the conversation they stand: the wire has one place for them.
void append_system(BodyWriter& body, std::string& out, const std::vector<Message>& messages) {
    std::vector<const Part*> parts;
    for (const Message& message : messages) {
        if (message.role != Role::system && message.role != Role::developer) continue;
        for (const Part& part : message.parts)
            if (!part.text.empty()) parts.push_back(&part);
    }
    if (parts.empty() || !body.open("system")) return;
    append_json_list(out, parts, [&](const Part* part) {
        append_text_block(out, part->text, part->cache_control);
    });
}

void append_tools(std::string& out, const std::vector<Tool>& tools) {
    append_json_list(out, tools, [&](const Tool& tool) {
        out += "{\"name\":";
        append_json_string(out, tool.name);
        append_json_member(out, ",\"description\":", tool.description);
        out += ",\"input_schema\":";
        out +=
            tool.parameters.empty() ? "{\"type\":\"object\",\"properties\":{}}" : tool.parameters;
        append_cache_control(out, tool.cache_control);
        out += '}';
    });
}

void append_tool_choice(BodyWriter& body, std::string& out, const ChatRequest& request) {
    bool one_at_a_time = request.parallel_tool_calls && !*request.parallel_tool_calls;
    if (request.tool_choice.empty() && !one_at_a_time) return;
    if (!body.open("tool_choice")) return;
    if (request.tool_choice == "\"none\"") {
        out += "{\"type\":\"none\"}";
        return;
    }
    if (request.tool_choice == "\"required\"") {
        out += "{\"type\":\"any\"";
    } else if (request.tool_choice.empty() || request.tool_choice == "\"auto\"") {
        out += "{\"type\":\"auto\"";
    } else {
        out += "{\"type\":\"tool\",\"name\":";
        with_text(request.tool_choice, "function", "name",
                  [&](std::string_view name) { append_json_string(out, name); });
    }
    out += one_at_a_time ? ",\"disable_parallel_tool_use\":true}" : "}";
}

void append_stops(BodyWriter& body, std::string& out, const std::vector<std::string>& stops) {
    std::vector<std::string> taken;  // the wire refuses those of white space only
    for (const std::string& stop : stops)
        if (stop.find_first_not_of(" \t\r\n") != std::string::npos) taken.push_back(stop);
    if (taken.empty() || !body.open("stop_sequences")) return;
    append_json_list(out, taken, [&](const std::string& stop) { append_json_string(out, stop); });
}

// OpenAI's words for how long to think, in this wire's; "" where there is none.
std::string_view effort_word(std::string_view effort) {
    if (effort == "minimal") return "low";
    return effort == "none" ? "" : effort;
}

void append_extras(BodyWriter& body, std::string& out, const ChatRequest& request) {
    bool has_output_config = false;
    for (auto& [name, json] : request.extra) {
        if (name != "thinking" && name != "output_config") continue;
        has_output_config = has_output_config || name == "output_config";
        body.raw(name, json);
    }
    std::string_view effort = effort_word(request.reasoning_effort);
    if (effort.empty() || has_output_config || !body.wanted("reasoning_effort")) return;
    if (!body.open("output_config")) return;
    out += "{\"effort\":";
    append_json_string(out, effort);
    out += '}';
}

}  // namespace

std::string AnthropicMessages::write_request(const ChatRequest& request,
                                             const Upstream& upstream) const {
    std::string out;
    out.reserve(body_size_guess(request));
    BodyWriter body(out, upstream.vendor);
    body.text("model", upstream.model);
    // Must be there.
    body.number("max_tokens", request.max_tokens.value_or(upstream.output_tokens_default));
    append_system(body, out, request.messages);
    if (body.open("messages")) append_messages(out, request.messages);
    if (request.stream) body.flag("stream", true);
    if (request.temperature) body.number("temperature", std::min(*request.temperature, 1.0));
    body.number("top_p", request.top_p);
    body.number("top_k", request.top_k);
    append_stops(body, out, request.stop);
    if (!request.tools.empty()) {
        if (body.open("tools")) append_tools(out, request.tools);
        append_tool_choice(body, out, request);
    }
    if (!request.user.empty() && body.open("metadata")) {
        out += "{\"user_id\":";
        append_json_string(out, request.user);
        out += '}';
    }
    append_extras(body, out, request);
    body.close();
    return out;
}

UpstreamHttp AnthropicMessages::upstream_http(const Upstream& upstream) const {
    UpstreamHttp http = find_dialect("openai_chat")->upstream_http(upstream);
    http.path = "/messages";
    return http;
}

}  // namespace sluice
