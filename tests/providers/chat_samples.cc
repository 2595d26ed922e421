#include "chat_samples.h"

#include <sstream>

#include "engine/log.h"

namespace sluice {

Upstream plain_upstream(const std::string& dialect) {
    Upstream upstream;
    upstream.name = "plain";
    upstream.model = "model-1";
    upstream.vendor.name = "plain";
    upstream.vendor.dialect = dialect;
    upstream.vendor.auth_header = "Authorization";
    upstream.vendor.auth_prefix = "Bearer ";
    upstream.vendor.developer_role = true;
    upstream.api_key = Secret("sk-secret");
    return upstream;
}

std::string Samples::text() {
    static const std::string pieces[] = {"a",
                                         "Hello ",
                                         "\n",
                                         "\t",
                                         "\"",
                                         "\\",
                                         "\\u00e9",
                                         "\xC3\xA9",
                                         "\xE4\xB8\xAD",
                                         "{}",
                                         "\x01",
                                         "\x7F",
                                         "</",
                                         ",",
                                         "\xF0\x9F\x98\x80",
                                         "\r\n",
                                         "\xEF\xBF\xBD",
                                         " "};
    std::string out;
    std::size_t count = below(12);
    for (std::size_t i = 0; i < count; ++i) out += pieces[below(std::size(pieces))];
    if (below(50) == 0) out.push_back('\0');
    return out;
}

std::string Samples::some_text() { return "t" + text(); }

std::string Samples::name() {
    std::string out = "f";
    for (std::size_t i = below(8); i > 0; --i) out += "abc_xyz"[below(7)];
    return out;
}

std::string Samples::json_object() {
    std::string out = "{\"type\":\"object\",\"x\":[1,2.50,true,null,{\"y\":";
    append_json_string(out, text());
    return out + "}]}";
}

Message Samples::message(Role role) {
    Message message;
    message.role = role;
    bool only_text = role != Role::user;
    std::size_t count = role == Role::assistant ? 1 + below(2) : 1 + below(3);
    for (std::size_t i = 0; i < count; ++i) {
        Part& part = message.parts.emplace_back();
        if (only_text || below(3) > 0) {
            part.text = some_text();
        } else {
            part.kind = Part::Kind::image;
            part.json = flip() ? R"({"type":"image_url","image_url":{"url":"https://x.y/a.png"}})"
                               : "{\"type\":\"image_url\",\"image_url\":{\"url\":"
                                 "\"data:image/png;base64,iVBORw0KGgo=\"}}";
        }
    }
    if (role == Role::tool) message.tool_call_id = "call_" + name();
    if (role == Role::assistant && flip()) {
        if (flip()) message.parts.clear();
        for (std::size_t i = 1 + below(2); i > 0; --i)
            message.tool_calls.push_back(ToolCall{"call_" + name(), name(), json_object()});
    }
    return message;
}

ChatRequest Samples::request() {
    ChatRequest request;
    request.model = "model-1";
    if (flip()) request.messages.push_back(message(flip() ? Role::system : Role::developer));
    for (std::size_t i = 1 + below(4); i > 0; --i) {
        request.messages.push_back(message(Role::user));
        request.messages.push_back(message(Role::assistant));
        for (const ToolCall& call : std::vector<ToolCall>(request.messages.back().tool_calls)) {
            request.messages.push_back(message(Role::tool));
            request.messages.back().tool_call_id = call.id;
        }
    }
    request.messages.push_back(message(Role::user));
    if (flip()) request.messages.back().name = name();
    request.stream = flip();
    request.include_usage = request.stream;
    auto real = [&] { return static_cast<double>(below(1000)) / 1000; };
    if (flip()) request.max_tokens = static_cast<std::int64_t>(1 + below(100'000));
    if (flip()) request.temperature = real();
    if (flip()) request.top_p = real();
    if (flip()) request.top_k = static_cast<std::int64_t>(1 + below(100));
    if (flip()) request.min_p = real();
    if (flip()) request.presence_penalty = -real();
    if (flip()) request.frequency_penalty = real();
    if (flip()) request.repetition_penalty = 0.5 + real();
    for (std::size_t i = below(3); i > 0; --i)
        request.logit_bias.emplace_back(static_cast<std::int32_t>(below(50'000)), real());
    if (flip()) request.seed = static_cast<std::int64_t>(below(1'000'000)) - 500'000;
    for (std::size_t i = below(5); i > 0; --i) request.stop.push_back(some_text());
    request.logprobs = flip();
    if (request.logprobs) request.top_logprobs = static_cast<int>(below(21));
    for (std::size_t i = below(3); i > 0; --i) {
        Tool& tool = request.tools.emplace_back();
        tool.name = name();
        tool.description = text();
        if (flip()) tool.parameters = json_object();
        if (flip()) tool.strict = flip();
    }
    if (!request.tools.empty()) {
        if (flip()) request.tool_choice = flip() ? "\"required\"" : "\"auto\"";
        if (flip()) request.parallel_tool_calls = flip();
    }
    if (flip()) request.response_format = R"({"type":"json_object"})";
    if (flip()) request.reasoning_effort = "high";
    if (flip()) request.user = some_text();
    if (flip()) request.extra.emplace_back("metadata", json_object());
    if (flip()) request.extra.emplace_back("store", "true");
    return request;
}

Delta Samples::answer() {
    Delta answer;
    answer.last = true;
    answer.text = flip() ? some_text() : "";
    answer.reasoning = flip() ? some_text() : "";
    for (std::size_t i = 0, end = below(3); i < end; ++i)
        answer.tool_calls.push_back(
            ToolCallDelta{static_cast<int>(i), "call_" + name(), name(), json_object()});
    static constexpr Finish ends[] = {Finish::stop, Finish::length, Finish::tool_calls};
    answer.finish = ends[below(3)];
    auto tokens = [&] { return static_cast<std::int64_t>(below(5000)); };
    answer.usage.in_uncached = 1 + tokens();
    answer.usage.in_cache_read = flip() ? tokens() : 0;
    answer.usage.in_cache_write = flip() ? tokens() : 0;
    answer.usage.out_text = tokens();
    return answer;
}

namespace {

template <class T>
void show(std::ostream& out, const char* name, const std::optional<T>& value) {
    if (value) out << name << "=" << *value << "\n";
}

std::string shown(const std::vector<ThoughtEnd>& ends) {
    std::string out;
    for (const ThoughtEnd& end : ends)
        out += (out.empty() ? "" : " ") + std::to_string(end.at) + ":" + end.signature +
               (end.sealed.empty() ? "" : "+" + end.sealed);
    return out;
}

void show(std::ostream& out, const Message& message) {
    out << "message role=" << static_cast<int>(message.role) << " name=" << message.name
        << " refusal=" << message.refusal << " id=" << message.tool_call_id
        << " error=" << message.tool_error << " thought=" << message.reasoning << "|"
        << shown(message.thought_ends) << "\n";
    for (const Part& part : message.parts)
        out << "  part " << static_cast<int>(part.kind) << " text=" << part.text
            << " json=" << part.json << " cache=" << part.cache_control << "\n";
    for (const ToolCall& call : message.tool_calls)
        out << "  call " << call.id << " " << call.name << " " << call.arguments << "\n";
}

}  // namespace

std::string shown(const ChatRequest& request) {
    std::ostringstream out;
    out.precision(17);
    out << "model=" << request.model << " stream=" << request.stream
        << " usage=" << request.include_usage << "\n";
    for (const Message& message : request.messages) show(out, message);
    show(out, "max_tokens", request.max_tokens);
    show(out, "temperature", request.temperature);
    show(out, "top_p", request.top_p);
    show(out, "top_k", request.top_k);
    show(out, "min_p", request.min_p);
    show(out, "presence_penalty", request.presence_penalty);
    show(out, "frequency_penalty", request.frequency_penalty);
    show(out, "repetition_penalty", request.repetition_penalty);
    for (auto& [token, bias] : request.logit_bias) out << "bias " << token << " " << bias << "\n";
    show(out, "seed", request.seed);
    for (const std::string& stop : request.stop) out << "stop=" << stop << "\n";
    out << "logprobs=" << request.logprobs << " top=" << request.top_logprobs << "\n";
    for (const Tool& tool : request.tools) {
        out << "tool " << tool.name << " " << tool.description << " " << tool.parameters << " "
            << tool.cache_control << "\n";
        show(out, "  strict", tool.strict);
    }
    out << "tool_choice=" << request.tool_choice << "\n";
    show(out, "parallel_tool_calls", request.parallel_tool_calls);
    out << "response_format=" << request.response_format << "\n"
        << "effort=" << request.reasoning_effort << "\nuser=" << request.user << "\n";
    for (auto& [name, json] : request.extra) out << "extra " << name << " " << json << "\n";
    return out.str();
}

std::string shown(const Delta& delta) {
    std::ostringstream out;
    out.precision(17);
    if (!delta.reasoning.empty()) out << "thought=" << delta.reasoning << "\n";
    if (!delta.thought_ends.empty()) out << "ends=" << shown(delta.thought_ends) << "\n";
    if (!delta.text.empty()) out << "text=" << delta.text << "\n";
    if (!delta.refusal.empty()) out << "refusal=" << delta.refusal << "\n";
    for (const ToolCallDelta& call : delta.tool_calls)
        out << "call " << call.index << " id=" << call.id << " name=" << call.name
            << " arguments=" << call.arguments << "\n";
    for (const LogprobEntry& entry : delta.logprobs) {
        out << "logprob " << entry.token << " " << entry.bytes << " " << entry.logprob << "\n";
        for (const LogprobEntry& top : entry.top)
            out << "  top " << top.token << " " << top.bytes << " " << top.logprob << "\n";
    }
    if (!delta.last) return out.str();
    static constexpr const char* ends[] = {"none", "stop", "length", "tool_calls",
                                           "content_filter"};
    out << "last finish=" << ends[static_cast<int>(delta.finish)];
    if (!delta.stop_sequence.empty()) out << " stop_sequence=" << delta.stop_sequence;
    const Usage& usage = delta.usage;
    if (delta.usage_missing) {
        out << " usage missing";
    } else {
        out << " in=" << usage.in_uncached << " read=" << usage.in_cache_read
            << " write=" << usage.in_cache_write << " write_1h=" << usage.in_cache_write_1h
            << " out=" << usage.out_text << " thought=" << usage.out_reasoning;
    }
    out << "\n";
    return out.str();
}

}  // namespace sluice
