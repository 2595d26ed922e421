#include <array>
#include <charconv>

#include "engine/log.h"
#include "providers/dialects/anthropic_messages.h"
#include "providers/dialects/anthropic_messages_blocks.h"
#include "providers/dialects/parameter_rows.h"
#include "providers/json_read.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

constexpr std::int64_t tokens_limit = 1'000'000'000;
constexpr std::size_t name_bytes_max = 256;

std::string unknown_parameter(const std::string& key, const std::string& hint) {
    return key + ": unknown parameter" + hint;
}

class MessagesRequestReader {
public:
    explicit MessagesRequestReader(std::string_view body) : json_(body, Errc::invalid_request) {}

    Result<ChatRequest> read() {
        request_.include_usage = true;  // this wire always tells
        ParameterRows<MessagesRequestReader> parameters(rows);
        Status status = json_.root([&](std::string_view key, JsonValue value) -> Status {
            return parameters.read(*this, json_, value, JsonPath{nullptr, key, -1},
                                   unknown_parameter);
        });
        if (status) status = check();
        if (!status) return status.error();
        if (!system_.parts.empty())
            request_.messages.insert(request_.messages.begin(), std::move(system_));
        return std::move(request_);
    }

private:
    static const std::array<ParameterRow<MessagesRequestReader>, 18> rows;

    Status check() {
        auto missing = [&](std::string_view key) {
            return json_.wrong(JsonPath{nullptr, key, -1}, "is missing");
        };
        if (request_.model.empty()) return missing("model");
        if (request_.messages.empty()) return missing("messages");
        if (!request_.max_tokens) return missing("max_tokens");
        if (!request_.tool_choice.empty() && request_.tool_choice != "\"none\"" &&
            request_.tools.empty())
            return json_.wrong(JsonPath{nullptr, "tool_choice", -1}, "needs tools");
        return Done{};
    }

    Status model(JsonValue value, const JsonPath& path) {
        Status status = json_.text(value, path, request_.model);
        if (status && (request_.model.empty() || request_.model.size() > name_bytes_max))
            return json_.wrong(path, "expected 1 to " + std::to_string(name_bytes_max) + " bytes");
        return status;
    }
    Status messages(JsonValue value, const JsonPath& path) {
        return read_turns(json_, value, path, request_.messages);
    }
    Status system(JsonValue value, const JsonPath& path) {
        return read_system(json_, value, path, system_);
    }
    Status max_tokens(JsonValue value, const JsonPath& path) {
        return json_.integer(value, path, 1, tokens_limit, request_.max_tokens.emplace());
    }
    Status stream(JsonValue value, const JsonPath& path) {
        return json_.boolean(value, path, request_.stream);
    }
    Status temperature(JsonValue value, const JsonPath& path) {
        return json_.number(value, path, 0, 1, request_.temperature.emplace());
    }
    Status top_p(JsonValue value, const JsonPath& path) {
        return json_.number(value, path, 0, 1, request_.top_p.emplace());
    }
    Status top_k(JsonValue value, const JsonPath& path) {
        return json_.integer(value, path, 1, tokens_limit, request_.top_k.emplace());
    }
    Status stop_sequences(JsonValue value, const JsonPath& path) {
        return json_.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
            JsonPath item_path{&path, {}, index};
            if (index == 16) return json_.wrong(path, "expected at most 16 strings");
            Status status = json_.text(item, item_path, request_.stop.emplace_back());
            if (status && request_.stop.back().empty()) return json_.wrong(item_path, "is empty");
            return status;
        });
    }
    Status tools(JsonValue value, const JsonPath& path);
    Status tool(JsonValue value, const JsonPath& path, Tool& tool);
    Status tool_choice(JsonValue value, const JsonPath& path);
    Status metadata(JsonValue value, const JsonPath& path) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key != "user_id") return json_.wrong(member_path, "unknown key in metadata");
            if (JsonReader::null(member)) return Done{};
            return json_.text(member, member_path, request_.user);
        });
    }
    Status keep(JsonValue value, const JsonPath& path) {
        if (!JsonReader::is(value, json_type::object))
            return json_.wrong_type(value, path, "an object");
        std::string raw;
        Status status = json_.raw(value, raw);
        if (status) request_.extra.emplace_back(path.key, std::move(raw));
        return status;
    }
    Status service_tier(JsonValue value, const JsonPath& path) {
        std::string word;
        Status status = json_.text(value, path, word);
        if (status && word != "auto" && word != "standard_only")
            return json_.wrong(path, "expected auto or standard_only, got '" + word + "'");
        return status;
    }
    Status thinking(JsonValue value, const JsonPath& path);
    Status refuse(JsonValue, const JsonPath& path) {
        return Error(Errc::unsupported_parameter, path.text() + ": not served here", path.text());
    }

    JsonReader json_;
    ChatRequest request_;
    Message system_;
};

// Sorted by name.
constexpr std::array<ParameterRow<MessagesRequestReader>, 18> MessagesRequestReader::rows = {{
    {"container", &MessagesRequestReader::refuse},
    {"context_management", &MessagesRequestReader::refuse},
    {"max_tokens", &MessagesRequestReader::max_tokens, false},
    {"mcp_servers", &MessagesRequestReader::refuse},
    {"messages", &MessagesRequestReader::messages, false},
    {"metadata", &MessagesRequestReader::metadata},
    {"model", &MessagesRequestReader::model, false},
    {"output_config", &MessagesRequestReader::keep},
    {"service_tier", &MessagesRequestReader::service_tier},
    {"stop_sequences", &MessagesRequestReader::stop_sequences},
    {"stream", &MessagesRequestReader::stream},
    {"system", &MessagesRequestReader::system},
    {"temperature", &MessagesRequestReader::temperature},
    {"thinking", &MessagesRequestReader::thinking},
    {"tool_choice", &MessagesRequestReader::tool_choice},
    {"tools", &MessagesRequestReader::tools},
    {"top_k", &MessagesRequestReader::top_k},
    {"top_p", &MessagesRequestReader::top_p},
}};

Status MessagesRequestReader::tool(JsonValue value, const JsonPath& path, Tool& tool) {
    std::string type;
    Status status =
        json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "name") return json_.text(member, member_path, tool.name);
            if (JsonReader::null(member)) return Done{};
            if (key == "type") return json_.text(member, member_path, type);
            if (key == "description") return json_.text(member, member_path, tool.description);
            if (key == "strict") return json_.boolean(member, member_path, tool.strict.emplace());
            if (key == "cache_control") {
                tool.cache_control.clear();
                return json_.raw(member, tool.cache_control);
            }
            if (key != "input_schema") return Done{};  // of a tool that the type will refuse
            if (!JsonReader::is(member, json_type::object))
                return json_.wrong_type(member, member_path, "a JSON schema (an object)");
            tool.parameters.clear();
            return json_.raw(member, tool.parameters);
        });
    if (!status) return status;
    if (!type.empty() && type != "custom")
        return Error(Errc::unsupported_parameter,
                     path.text() + ": a tool of type '" + type + "' is not served, only 'custom'",
                     path.text());
    if (tool.name.empty()) return json_.wrong(JsonPath{&path, "name", -1}, "is missing");
    if (tool.parameters.empty())
        return json_.wrong(JsonPath{&path, "input_schema", -1}, "is missing");
    return status;
}

Status MessagesRequestReader::tools(JsonValue value, const JsonPath& path) {
    return json_.items(value, path, [&](std::int64_t index, JsonValue item) {
        return tool(item, JsonPath{&path, {}, index}, request_.tools.emplace_back());
    });
}

// Kept as it is for an upstream of this dialect, and read for what every model can obey.
Status MessagesRequestReader::thinking(JsonValue value, const JsonPath& path) {
    std::string type;
    std::int64_t budget = -1;
    std::string raw;
    Status status =
        json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            raw += raw.empty() ? "{" : ",";
            append_json_string(raw, key);
            raw += ':';
            const std::size_t at = raw.size();
            Status kept = json_.raw(member, raw);
            const std::string_view text = std::string_view(raw).substr(at);
            if (key == "type") type = text;
            if (kept && key == "budget_tokens") {
                const char* end = text.data() + text.size();
                auto [stop, failed] = std::from_chars(text.data(), end, budget);
                if (failed != std::errc() || stop != end || budget < 0)
                    return json_.wrong(JsonPath{&path, key, -1},
                                       "expected a whole number of tokens, got " +
                                           std::string(text.substr(0, name_bytes_max)));
            }
            return kept;
        });
    if (!status) return status;
    raw += raw.empty() ? "{}" : "}";
    request_.extra.emplace_back(path.key, std::move(raw));
    if (type == "\"disabled\"") request_.thinking_tokens_max = 0;
    if (type == "\"enabled\"" && budget >= 0) request_.thinking_tokens_max = budget;
    return status;
}

Status MessagesRequestReader::tool_choice(JsonValue value, const JsonPath& path) {
    std::string type;
    std::string name;
    bool one_at_a_time = false;
    Status status =
        json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "type") return json_.text(member, member_path, type);
            if (key == "name") return json_.text(member, member_path, name);
            if (key == "disable_parallel_tool_use")
                return json_.boolean(member, member_path, one_at_a_time);
            return json_.wrong(member_path, "unknown key in tool_choice");
        });
    if (!status) return status;
    if (one_at_a_time) request_.parallel_tool_calls = false;
    if (type == "auto" || type == "none") {
        request_.tool_choice = "\"" + type + "\"";
    } else if (type == "any") {
        request_.tool_choice = "\"required\"";
    } else if (type == "tool" && !name.empty()) {
        request_.tool_choice = "{\"type\":\"function\",\"function\":{\"name\":";
        append_json_string(request_.tool_choice, name);
        request_.tool_choice += "}}";
    } else {
        return json_.wrong(path, "expected type auto, any, none, or tool with a name");
    }
    return status;
}

}  // namespace

Result<ChatRequest> AnthropicMessages::read_request(std::string_view body) const {
    return MessagesRequestReader(body).read();
}

}  // namespace sluice
