#include <algorithm>
#include <charconv>

#include "engine/log.h"
#include "providers/dialects/openai_chat.h"

namespace sluice {
namespace {

// A double as the shortest text that reads back the same.
template <class Number>
void append_number(std::string& out, Number value) {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

template <class List, class Append>
void append_list(std::string& out, const List& list, Append&& append) {
    out += '[';
    for (const auto& item : list) {
        if (&item != &list.front()) out += ',';
        append(item);
    }
    out += ']';
}

// Writes the members of one object: each name() opens the next one, behind a comma.
class Members {
public:
    Members(std::string& out, const Vendor& vendor) : out_(out), vendor_(vendor) {}

    // False when the vendor would refuse the parameter; otherwise its value is to be appended.
    bool open(std::string_view name) {
        const auto& dropped = vendor_.drop_parameters;
        if (std::find(dropped.begin(), dropped.end(), name) != dropped.end()) return false;
        out_ += first_ ? '{' : ',';
        first_ = false;
        append_json_string(out_, name);
        out_ += ':';
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
        if (open(name)) append_number(out_, value);
    }
    template <class Number>
    void number(std::string_view name, const std::optional<Number>& value) {
        if (value) number(name, *value);
    }

private:
    std::string& out_;
    const Vendor& vendor_;
    bool first_ = true;
};

std::string_view role_name(Role role, const Vendor& vendor) {
    switch (role) {
        case Role::system:
            return "system";
        case Role::developer:
            return vendor.developer_role ? "developer" : "system";
        case Role::user:
            return "user";
        case Role::assistant:
            return "assistant";
        case Role::tool:
            return "tool";
    }
    return "user";
}

void append_content(std::string& out, const Message& message) {
    if (message.parts.empty()) {
        out += message.role == Role::assistant ? "null" : "\"\"";
        return;
    }
    if (message.parts.size() == 1 && message.parts[0].kind == Part::Kind::text) {
        append_json_string(out, message.parts[0].text);
        return;
    }
    append_list(out, message.parts, [&](const Part& part) {
        if (part.kind == Part::Kind::text) {
            out += "{\"type\":\"text\",\"text\":";
            append_json_string(out, part.text);
            out += '}';
        } else {
            out += part.json;
        }
    });
}

void append_member(std::string& out, std::string_view opening, std::string_view value) {
    if (value.empty()) return;
    out += opening;
    append_json_string(out, value);
}

// An earlier thought is not sent back: DeepSeek refuses it, the others do not read it.
void append_message(std::string& out, const Message& message, const Vendor& vendor) {
    out += "{\"role\":\"";
    out += role_name(message.role, vendor);
    out += "\",\"content\":";
    append_content(out, message);
    append_member(out, ",\"name\":", message.name);
    append_member(out, ",\"refusal\":", message.refusal);
    append_member(out, ",\"tool_call_id\":", message.tool_call_id);
    if (!message.tool_calls.empty()) {
        out += ",\"tool_calls\":";
        append_list(out, message.tool_calls, [&](const ToolCall& call) {
            out += "{\"id\":";
            append_json_string(out, call.id);
            out += ",\"type\":\"function\",\"function\":{\"name\":";
            append_json_string(out, call.name);
            out += ",\"arguments\":";
            append_json_string(out, call.arguments);
            out += "}}";
        });
    }
    out += '}';
}

void append_tools(std::string& out, const std::vector<Tool>& tools) {
    append_list(out, tools, [&](const Tool& tool) {
        out += "{\"type\":\"function\",\"function\":{\"name\":";
        append_json_string(out, tool.name);
        append_member(out, ",\"description\":", tool.description);
        if (!tool.parameters.empty()) out.append(",\"parameters\":").append(tool.parameters);
        if (tool.strict) out += *tool.strict ? ",\"strict\":true" : ",\"strict\":false";
        out += "}}";
    });
}

void append_logit_bias(std::string& out, const ChatRequest& request) {
    char before = '{';
    for (auto& [token, bias] : request.logit_bias) {
        out += before;
        before = ',';
        out.append("\"").append(std::to_string(token)).append("\":");
        append_number(out, bias);
    }
    out += '}';
}

void append_sampling(Members& body, std::string& out, const ChatRequest& request,
                     const Vendor& vendor) {
    body.number(vendor.max_tokens_field, request.max_tokens);
    body.number("temperature", request.temperature);
    body.number("top_p", request.top_p);
    body.number("top_k", request.top_k);
    body.number("min_p", request.min_p);
    body.number("presence_penalty", request.presence_penalty);
    body.number("frequency_penalty", request.frequency_penalty);
    body.number("repetition_penalty", request.repetition_penalty);
    if (!request.logit_bias.empty() && body.open("logit_bias")) append_logit_bias(out, request);
    body.number("seed", request.seed);
    if (!request.stop.empty() && body.open("stop"))
        append_list(out, request.stop,
                    [&](const std::string& stop) { append_json_string(out, stop); });
    if (request.logprobs) {
        body.flag("logprobs", true);
        if (request.top_logprobs > 0) body.number("top_logprobs", request.top_logprobs);
    }
}

std::size_t size_guess(const ChatRequest& request) {
    std::size_t bytes = 1024;
    for (const Message& message : request.messages)
        for (const Part& part : message.parts) bytes += part.text.size() + part.json.size() + 128;
    return bytes + bytes / 16;  // some room for escapes
}

}  // namespace

std::string OpenAiChat::write_request(const ChatRequest& request, const Upstream& upstream) const {
    const Vendor& vendor = upstream.vendor;
    std::string out;
    out.reserve(size_guess(request));
    Members body(out, vendor);
    body.text("model", upstream.model);
    body.open("messages");
    append_list(out, request.messages,
                [&](const Message& message) { append_message(out, message, vendor); });
    if (request.stream) {
        body.flag("stream", true);
        // Always asked: without it an answer could not be billed.
        if (vendor.stream_options) body.raw("stream_options", "{\"include_usage\":true}");
    }
    append_sampling(body, out, request, vendor);
    if (!request.tools.empty() && body.open("tools")) append_tools(out, request.tools);
    if (!request.tool_choice.empty() && !request.tools.empty())
        body.raw("tool_choice", request.tool_choice);
    if (request.parallel_tool_calls && !request.tools.empty())
        body.flag("parallel_tool_calls", *request.parallel_tool_calls);
    if (!request.response_format.empty()) body.raw("response_format", request.response_format);
    if (!request.reasoning_effort.empty()) body.text("reasoning_effort", request.reasoning_effort);
    if (!request.user.empty()) body.text("user", request.user);
    for (auto& [name, json] : request.extra) body.raw(name, json);
    out += '}';
    return out;
}

UpstreamHttp OpenAiChat::upstream_http(const Upstream& upstream) const {
    UpstreamHttp http;
    http.path = "/chat/completions";
    http.headers.push_back("content-type: application/json");
    const Vendor& vendor = upstream.vendor;
    if (!upstream.api_key.empty())
        http.headers.push_back(vendor.auth_header + ": " + vendor.auth_prefix +
                               upstream.api_key.reveal());
    for (auto& [name, value] : vendor.headers) http.headers.push_back(name + ": " + value);
    return http;
}

}  // namespace sluice
