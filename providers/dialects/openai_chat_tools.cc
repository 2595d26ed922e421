#include <algorithm>

#include "engine/log.h"
#include "providers/dialects/openai_chat_messages.h"

namespace sluice {

using simdjson::ondemand::json_type;

bool is_echo(std::string_view key) {
    static constexpr std::string_view echoes[] = {"annotations", "parsed", "reasoning_details",
                                                  "provider_specific_fields", "id"};
    return std::find(std::begin(echoes), std::end(echoes), key) != std::end(echoes);
}

Error unknown_key(JsonReader& json, const JsonPath& path, std::string_view where) {
    return json.wrong(path, "unknown key in " + std::string(where));
}

Error unsupported(const JsonPath& path, const std::string& message) {
    std::string where = path.text();
    return Error(Errc::unsupported_parameter, where + ": " + message, where);
}

Status read_function(JsonReader& json, JsonValue value, const JsonPath& path, std::string& name,
                     std::string* arguments) {
    bool have_arguments = arguments == nullptr;
    Status status =
        json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "name") return json.text(member, member_path, name);
            if (key == "arguments" && arguments) {
                have_arguments = true;
                return json.text(member, member_path, *arguments);
            }
            if (key == "parsed_arguments" || is_echo(key)) return Done{};
            return unknown_key(json, member_path, "a function");
        });
    if (!status) return status;
    if (name.empty()) return json.wrong(JsonPath{&path, "name", -1}, "is missing");
    if (!have_arguments) return json.wrong(JsonPath{&path, "arguments", -1}, "is missing");
    return Done{};
}

Status expect_function(JsonReader& json, JsonValue value, const JsonPath& path) {
    std::string type;
    Status status = json.text(value, path, type);
    if (!status || type == "function") return status;
    return unsupported(path, "only 'function' is served, got '" + type + "'");
}

Status read_tools(JsonReader& json, JsonValue value, const JsonPath& path,
                  std::vector<Tool>& tools) {
    tools.clear();
    auto read_definition = [&](JsonValue function, const JsonPath& where, Tool& tool) {
        return json.members(function, where, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&where, key, -1};
            if (key == "name") return json.text(member, member_path, tool.name);
            if (JsonReader::null(member)) return Done{};
            if (key == "description") return json.text(member, member_path, tool.description);
            if (key == "strict") return json.boolean(member, member_path, tool.strict.emplace());
            if (key != "parameters") return unknown_key(json, member_path, "a function");
            if (!JsonReader::is(member, json_type::object))
                return json.wrong_type(member, member_path, "a JSON schema (an object)");
            tool.parameters.clear();
            return json.raw(member, tool.parameters);
        });
    };
    return json.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
        JsonPath item_path{&path, {}, index};
        Tool& tool = tools.emplace_back();
        Status status =
            json.members(item, item_path, [&](std::string_view key, JsonValue member) -> Status {
                JsonPath member_path{&item_path, key, -1};
                if (key == "type") return expect_function(json, member, member_path);
                if (key == "function") return read_definition(member, member_path, tool);
                if (key != "cache_control") return unknown_key(json, member_path, "a tool");
                tool.cache_control.clear();
                if (JsonReader::null(member)) return Done{};
                return json.raw(member, tool.cache_control);
            });
        if (!status) return status;
        JsonPath function_path{&item_path, "function", -1};
        if (tool.name.empty())
            return json.wrong(JsonPath{&function_path, "name", -1}, "is missing");
        return Done{};
    });
}

Status read_tool_choice(JsonReader& json, JsonValue value, const JsonPath& path,
                        std::string& choice) {
    if (JsonReader::is(value, json_type::string)) {
        std::string word;
        Status status = json.text(value, path, word);
        if (!status) return status;
        if (word != "auto" && word != "none" && word != "required")
            return json.wrong(path,
                              "expected auto, none, required or a function, got '" + word + "'");
        choice = "\"" + word + "\"";
        return Done{};
    }
    if (!JsonReader::is(value, json_type::object))
        return json.wrong_type(value, path, "a string or an object");
    std::string name;
    Status status =
        json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "type") return expect_function(json, member, member_path);
            if (key == "function") return read_function(json, member, member_path, name, nullptr);
            return unknown_key(json, member_path, "a tool choice");
        });
    if (!status) return status;
    if (name.empty()) return json.wrong(JsonPath{&path, "function", -1}, "is missing");
    choice = "{\"type\":\"function\",\"function\":{\"name\":";
    append_json_string(choice, name);
    choice += "}}";
    return Done{};
}

Status read_response_format(JsonReader& json, JsonValue value, const JsonPath& path,
                            std::string& format) {
    std::string type;
    std::string schema;
    Status status =
        json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "type") return json.text(member, member_path, type);
            if (key != "json_schema") return unknown_key(json, member_path, "response_format");
            if (!JsonReader::is(member, json_type::object))
                return json.wrong_type(member, member_path, "an object");
            schema.clear();
            return json.raw(member, schema);
        });
    if (!status) return status;
    format.clear();
    if (type == "text") return Done{};
    if (type == "json_object") {
        format = "{\"type\":\"json_object\"}";
        return Done{};
    }
    if (type != "json_schema")
        return json.wrong(JsonPath{&path, "type", -1},
                          "expected text, json_object or json_schema, got '" + type + "'");
    if (schema.empty()) return json.wrong(JsonPath{&path, "json_schema", -1}, "is missing");
    format = "{\"type\":\"json_schema\",\"json_schema\":" + schema + "}";
    return Done{};
}

}  // namespace sluice
