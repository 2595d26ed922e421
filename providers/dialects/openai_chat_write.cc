#include <algorithm>

#include "providers/dialects/openai_chat.h"
#include "providers/json_write.h"

namespace sluice {
namespace {

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
    append_json_list(out, message.parts, [&](const Part& part) {
        if (part.kind == Part::Kind::text) {
            out += "{\"type\":\"text\",\"text\":";
            append_json_string(out, part.text);
            out += '}';
        } else {
            out += part.json;
        }
    });
}

// An earlier thought is not sent back: DeepSeek refuses it, the others do not read it.
void append_message(std::string& out, const Message& message, const Vendor& vendor) {
    out += "{\"role\":\"";
    out += role_name(message.role, vendor);
    out += "\",\"content\":";
    append_content(out, message);
    append_json_member(out, ",\"name\":", message.name);
    append_json_member(out, ",\"refusal\":", message.refusal);
    append_json_member(out, ",\"tool_call_id\":", message.tool_call_id);
    if (!message.tool_calls.empty()) {
        out += ",\"tool_calls\":";
        append_json_list(out, message.tool_calls, [&](const ToolCall& call) {
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
    append_json_list(out, tools, [&](const Tool& tool) {
        out += "{\"type\":\"function\",\"function\":{\"name\":";
        append_json_string(out, tool.name);
        append_json_member(out, ",\"description\":", tool.description);
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
        append_json_number(out, bias);
    }
    out += '}';
}

void append_sampling(BodyWriter& body, std::string& out, const ChatRequest& request,
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
        append_json_list(out, request.stop,
                         [&](const std::string& stop) { append_json_string(out, stop); });
    if (request.logprobs) {
        body.flag("logprobs", true);
        if (request.top_logprobs > 0) body.number("top_logprobs", request.top_logprobs);
    }
}

// The other dialect's extras may have the same names and other meanings.
bool is_openai_extra(std::string_view name) {
    static constexpr std::string_view names[] = {
        "metadata",          "prompt_cache_key", "prompt_cache_retention",
        "safety_identifier", "service_tier",     "store",
        "verbosity"};
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace

std::string OpenAiChat::write_request(const ChatRequest& request, const Upstream& upstream) const {
    const Vendor& vendor = upstream.vendor;
    std::string out;
    out.reserve(body_size_guess(request));
    BodyWriter body(out, vendor);
    body.text("model", upstream.model);
    body.open("messages");
    append_json_list(out, request.messages,
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
    for (auto& [name, json] : request.extra)
        if (is_openai_extra(name)) body.raw(name, json);
    body.close();
    return out;
}

UpstreamHttp OpenAiChat::upstream_http(const Upstream& upstream) const {
    UpstreamHttp http;
    const Vendor& vendor = upstream.vendor;
    http.path = "/chat/completions";
    http.headers.reserve(vendor.headers.size() + 3);  // the call adds one
    http.headers.push_back("content-type: application/json");
    if (!upstream.api_key.empty())
        http.headers.push_back(vendor.auth_header + ": " + vendor.auth_prefix +
                               upstream.api_key.reveal());
    for (auto& [name, value] : vendor.headers) http.headers.push_back(name + ": " + value);
    return http;
}

}  // namespace sluice
