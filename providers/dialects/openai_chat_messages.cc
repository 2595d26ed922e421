#include "providers/dialects/openai_chat_messages.h"

#include "engine/log.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

constexpr std::size_t messages_usual = 4;

// {"url":...,"detail":...} of a part: copied member by member, so that a large image is copied
// once. `needed` must be there and be a string.
Status read_part_object(JsonReader& json, JsonValue value, const JsonPath& path,
                        std::string_view needed, std::string& out) {
    bool found = needed.empty();
    out += '{';
    auto status = json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
        JsonPath member_path{&path, key, -1};
        if (key == needed) {
            if (!JsonReader::is(member, json_type::string))
                return json.wrong_type(member, member_path, "a string");
            found = true;
        }
        if (out.back() != '{') out += ',';
        append_json_string(out, key);
        out += ':';
        return json.raw(member, out);
    });
    if (!status) return status;
    out += '}';
    if (!found) return json.wrong(JsonPath{&path, needed, -1}, "is missing");
    return Done{};
}

struct PartKind {
    std::string_view type;
    Part::Kind kind;
    std::string_view needed;  // member of the object under the key `type`
};

constexpr PartKind part_kinds[] = {{"image_url", Part::Kind::image, "url"},
                                   {"input_audio", Part::Kind::audio, "data"},
                                   {"file", Part::Kind::file, ""}};

// What a part object says, before it is known what kind it is: its type may come last.
struct PartFields {
    std::string type;
    std::optional<std::string> text;
    std::optional<std::string> refusal;
    std::string_view object_type;  // of part_kinds
    std::string json;              // the whole part, but for its last brace
    std::string cache_control;
};

Status read_part_fields(JsonReader& json, JsonValue value, const JsonPath& path,
                        PartFields& fields) {
    return json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
        JsonPath member_path{&path, key, -1};
        if (key == "type") return json.text(member, member_path, fields.type);
        if (key == "text") return json.text(member, member_path, fields.text.emplace());
        if (key == "refusal") return json.text(member, member_path, fields.refusal.emplace());
        if (key == "cache_control") {
            if (JsonReader::null(member)) return Done{};
            fields.cache_control.clear();
            return json.raw(member, fields.cache_control);
        }
        for (const PartKind& kind : part_kinds) {
            if (key != kind.type) continue;
            fields.object_type = kind.type;
            fields.json = "{\"type\":\"";
            fields.json.append(kind.type).append("\",\"").append(kind.type).append("\":");
            return read_part_object(json, member, member_path, kind.needed, fields.json);
        }
        return is_echo(key) ? Status(Done{}) : unknown_key(json, member_path, "a part");
    });
}

Status read_part(JsonReader& json, JsonValue value, const JsonPath& path, Message& message) {
    PartFields fields;
    Status status = read_part_fields(json, value, path, fields);
    if (!status) return status;
    if (fields.type == "text") {
        if (!fields.text) return json.wrong(JsonPath{&path, "text", -1}, "is missing");
        Part part;
        part.text = std::move(*fields.text);
        part.cache_control = std::move(fields.cache_control);
        message.parts.push_back(std::move(part));
        return Done{};
    }
    if (fields.type == "refusal") {
        if (!fields.refusal) return json.wrong(JsonPath{&path, "refusal", -1}, "is missing");
        message.refusal += *fields.refusal;
        return Done{};
    }
    for (const PartKind& kind : part_kinds) {
        if (fields.type != kind.type) continue;
        if (fields.object_type != kind.type)
            return json.wrong(JsonPath{&path, kind.type, -1}, "is missing");
        Part part;
        part.kind = kind.kind;
        part.json = std::move(fields.json);
        part.json += '}';
        part.cache_control = std::move(fields.cache_control);
        message.parts.push_back(std::move(part));
        return Done{};
    }
    std::string got = fields.type.empty() ? "nothing" : "'" + fields.type + "'";
    return json.wrong(JsonPath{&path, "type", -1},
                      "expected text, image_url, input_audio, file or refusal, got " + got);
}

Status read_content(JsonReader& json, JsonValue value, const JsonPath& path, Message& message) {
    message.parts.clear();
    if (JsonReader::null(value)) return Done{};
    if (JsonReader::is(value, json_type::string)) {
        Part& part = message.parts.emplace_back();
        return json.text(value, path, part.text);
    }
    if (!JsonReader::is(value, json_type::array))
        return json.wrong_type(value, path, "a string or a list of parts");
    return json.items(value, path, [&](std::int64_t index, JsonValue item) {
        return read_part(json, item, JsonPath{&path, {}, index}, message);
    });
}

Status read_role(JsonReader& json, JsonValue value, const JsonPath& path, Role& role) {
    std::string word;
    Status status = json.text(value, path, word);
    if (!status) return status;
    static constexpr std::pair<std::string_view, Role> roles[] = {{"system", Role::system},
                                                                  {"developer", Role::developer},
                                                                  {"user", Role::user},
                                                                  {"assistant", Role::assistant},
                                                                  {"tool", Role::tool}};
    for (auto& [name, which] : roles) {
        if (word != name) continue;
        role = which;
        return Done{};
    }
    if (word == "function")
        return unsupported(path,
                           "the role 'function' is not served: send the result as role 'tool'");
    return json.wrong(path,
                      "expected system, developer, user, assistant or tool, got '" + word + "'");
}

Status read_tool_call(JsonReader& json, JsonValue value, const JsonPath& path, ToolCall& call) {
    Status status =
        json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "id") return json.text(member, member_path, call.id);
            if (key == "type") return expect_function(json, member, member_path);
            if (key == "function")
                return read_function(json, member, member_path, call.name, &call.arguments);
            if (key == "index" || is_echo(key)) return Done{};
            return unknown_key(json, member_path, "a tool call");
        });
    if (!status) return status;
    if (call.id.empty()) return json.wrong(JsonPath{&path, "id", -1}, "is missing");
    if (call.name.empty()) return json.wrong(JsonPath{&path, "function", -1}, "is missing");
    return Done{};
}

struct MessageSeen {
    bool role = false;
    bool content = false;
};

Status read_message_member(JsonReader& json, std::string_view key, JsonValue value,
                           const JsonPath& path, Message& message, MessageSeen& seen) {
    if (key == "role") {
        seen.role = true;
        return read_role(json, value, path, message.role);
    }
    if (key == "content") {
        seen.content = !JsonReader::is(value, json_type::null);
        return read_content(json, value, path, message);
    }
    if (JsonReader::null(value)) return Done{};
    if (key == "name") return json.text(value, path, message.name);
    if (key == "refusal") return json.text(value, path, message.refusal);
    if (key == "tool_call_id") return json.text(value, path, message.tool_call_id);
    // Two names for one thing: who sends both sends the same.
    if (key == "reasoning_content" || key == "reasoning")
        return json.text(value, path, message.reasoning);
    if (key == "tool_calls") {
        message.tool_calls.clear();
        return json.items(value, path, [&](std::int64_t index, JsonValue item) {
            return read_tool_call(json, item, JsonPath{&path, {}, index},
                                  message.tool_calls.emplace_back());
        });
    }
    if (key == "function_call")
        return unsupported(path, "function_call is not served: use tool_calls");
    if (key == "audio") return unsupported(path, "audio answers are not served");
    if (is_echo(key)) return Done{};
    return unknown_key(json, path, "a message");
}

Status check_message(JsonReader& json, const JsonPath& path, const Message& message,
                     const MessageSeen& seen) {
    auto missing = [&](std::string_view key, const char* why) {
        return json.wrong(JsonPath{&path, key, -1}, why);
    };
    if (!seen.role) return missing("role", "is missing");
    if (message.role != Role::tool && !message.tool_call_id.empty())
        return missing("tool_call_id", "belongs to the role 'tool' only");
    if (message.role != Role::assistant && !message.tool_calls.empty())
        return missing("tool_calls", "belongs to the role 'assistant' only");
    if (message.role == Role::tool && message.tool_call_id.empty())
        return missing("tool_call_id", "is missing: a tool's result names the call it answers");
    for (const Part& part : message.parts)
        if (part.kind != Part::Kind::text && message.role != Role::user)
            return missing("content", "only the role 'user' may send images, audio and files");
    bool may_be_empty = message.role == Role::assistant &&
                        (!message.tool_calls.empty() || !message.refusal.empty());
    if (!seen.content && !may_be_empty)
        return missing("content", "is missing: expected a string or a list of parts");
    if (message.parts.empty() && message.refusal.empty() && seen.content)
        return missing("content", "expected at least one part");
    return Done{};
}

}  // namespace

Status read_messages(JsonReader& json, JsonValue value, const JsonPath& path,
                     std::vector<Message>& messages) {
    messages.clear();
    messages.reserve(messages_usual);
    Status status = json.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
        JsonPath item_path{&path, {}, index};
        Message& message = messages.emplace_back();
        MessageSeen seen;
        Status read =
            json.members(item, item_path, [&](std::string_view key, JsonValue member) -> Status {
                return read_message_member(json, key, member, JsonPath{&item_path, key, -1},
                                           message, seen);
            });
        if (!read) return read;
        return check_message(json, item_path, message, seen);
    });
    if (status && messages.empty()) return json.wrong(path, "expected at least one message");
    return status;
}

}  // namespace sluice
