#include "providers/dialects/anthropic_messages_blocks.h"

#include "engine/log.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

// What a block says, before it is known what kind it is: its type may come last.
struct Block {
    std::string type;
    std::string text;  // of text and thinking
    std::string signature;
    std::string id;  // of tool_use and, as tool_use_id, of tool_result
    std::string name;
    std::string input;  // raw JSON object
    std::string data;   // of redacted_thinking
    std::string cache_control;
    std::string url;  // of a source: a URL or a data: URL
    std::string source_text;
    bool is_error = false;
    bool has_text = false;
    std::vector<Block> content;  // of a tool_result
};

Status read_source(JsonReader& json, JsonValue value, const JsonPath& path, Block& block) {
    std::string type;
    std::string media_type;
    std::string data;
    std::string url;
    Status status =
        json.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key == "type") return json.text(member, member_path, type);
            if (key == "media_type") return json.text(member, member_path, media_type);
            if (key == "data") return json.text(member, member_path, data);
            if (key == "url") return json.text(member, member_path, url);
            return json.wrong(member_path, "unknown key in a source");
        });
    if (!status) return status;
    if (type == "base64" && !data.empty() && !media_type.empty()) {
        block.url = "data:" + media_type + ";base64," + data;
    } else if (type == "url" && !url.empty()) {
        block.url = url;
    } else if (type == "text") {
        block.source_text = data;
    } else {
        return json.wrong(path,
                          "expected type base64 with media_type and data, or type url with url");
    }
    return Done{};
}

Status read_blocks(JsonReader& json, JsonValue value, const JsonPath& path,
                   std::vector<Block>& blocks, bool inside_result);

Status read_block_member(JsonReader& json, std::string_view key, JsonValue value,
                         const JsonPath& path, Block& block, bool inside_result) {
    if (JsonReader::null(value)) return Done{};
    if (key == "type") return json.text(value, path, block.type);
    if (key == "text" || key == "thinking") {
        block.has_text = true;
        return json.text(value, path, block.text);
    }
    if (key == "signature") return json.text(value, path, block.signature);
    if (key == "id" || key == "tool_use_id") return json.text(value, path, block.id);
    if (key == "name") return json.text(value, path, block.name);
    if (key == "is_error") return json.boolean(value, path, block.is_error);
    if (key == "source") return read_source(json, value, path, block);
    if (key == "input") {
        if (!JsonReader::is(value, json_type::object))
            return json.wrong_type(value, path, "an object");
        block.input.clear();
        return json.raw(value, block.input);
    }
    if (key == "cache_control") {
        block.cache_control.clear();
        return json.raw(value, block.cache_control);
    }
    if (key == "content" && !inside_result)
        return read_blocks(json, value, path, block.content, true);
    if (key == "data") return json.text(value, path, block.data);
    // What clients send back of an answer, and what only describes a document.
    if (key == "citations" || key == "title" || key == "context" || key == "caller") return Done{};
    return json.wrong(path, "unknown key in a content block");
}

Status read_blocks(JsonReader& json, JsonValue value, const JsonPath& path,
                   std::vector<Block>& blocks, bool inside_result) {
    if (JsonReader::is(value, json_type::string)) {
        Block& block = blocks.emplace_back();
        block.type = "text";
        block.has_text = true;
        return json.text(value, path, block.text);
    }
    if (!JsonReader::is(value, json_type::array))
        return json.wrong_type(value, path, "a string or a list of content blocks");
    return json.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
        JsonPath item_path{&path, {}, index};
        Block& block = blocks.emplace_back();
        Status status =
            json.members(item, item_path, [&](std::string_view key, JsonValue member) -> Status {
                return read_block_member(json, key, member, JsonPath{&item_path, key, -1}, block,
                                         inside_result);
            });
        if (status && block.type == "text" && !block.has_text)
            return json.wrong(JsonPath{&item_path, "text", -1}, "is missing");
        return status;
    });
}

// In the form of the neutral nouns; nothing when the block is no part.
std::optional<Part> part_of(const Block& block) {
    Part part;
    part.cache_control = block.cache_control;
    if (block.type == "text") {
        part.text = block.text;
        return part;
    }
    if (block.type == "document" && block.url.empty()) {
        part.text = block.source_text;
        return part;
    }
    if (block.type == "image" && !block.url.empty()) {
        part.kind = Part::Kind::image;
        part.json = "{\"type\":\"image_url\",\"image_url\":{\"url\":";
        append_json_string(part.json, block.url);
        part.json += "}}";
        return part;
    }
    if (block.type == "document") {
        part.kind = Part::Kind::file;
        part.json = "{\"type\":\"file\",\"file\":{\"filename\":\"document\",\"file_data\":";
        append_json_string(part.json, block.url);
        part.json += "}}";
        return part;
    }
    return {};
}

// A tool's result; images in it follow in a message of the user: no other wire takes them there.
Status add_result(JsonReader& json, const JsonPath& path, const Block& block,
                  std::vector<Message>& results, Message& rest) {
    if (block.id.empty()) return json.wrong(JsonPath{&path, "tool_use_id", -1}, "is missing");
    Message& result = results.emplace_back();
    result.role = Role::tool;
    result.tool_call_id = block.id;
    result.tool_error = block.is_error;
    for (const Block& inner : block.content) {
        auto part = part_of(inner);
        if (!part)
            return json.wrong(JsonPath{&path, "content", -1},
                              "a block of type '" + inner.type + "' is not served here");
        (part->kind == Part::Kind::text ? result : rest).parts.push_back(std::move(*part));
    }
    if (result.parts.empty()) result.parts.emplace_back();
    if (result.parts.back().cache_control.empty())
        result.parts.back().cache_control = block.cache_control;
    return Done{};
}

Status add_user_turn(JsonReader& json, const JsonPath& path, std::vector<Block>& blocks,
                     std::vector<Message>& messages) {
    std::vector<Message> results;
    Message rest;
    std::int64_t index = 0;
    for (Block& block : blocks) {
        JsonPath block_path{&path, {}, index++};
        if (block.type == "tool_result") {
            Status status = add_result(json, block_path, block, results, rest);
            if (!status) return status;
        } else if (auto part = part_of(block)) {
            rest.parts.push_back(std::move(*part));
        } else {
            return json.wrong(
                JsonPath{&block_path, "type", -1},
                "expected text, image, document or tool_result, got '" + block.type + "'");
        }
    }
    for (Message& result : results) messages.push_back(std::move(result));
    if (!rest.parts.empty()) messages.push_back(std::move(rest));
    return Done{};
}

Status add_assistant_turn(JsonReader& json, const JsonPath& path, std::vector<Block>& blocks,
                          std::vector<Message>& messages) {
    Message message;
    message.role = Role::assistant;
    std::int64_t index = 0;
    for (Block& block : blocks) {
        JsonPath block_path{&path, {}, index++};
        if (block.type == "text") {
            message.parts.push_back(std::move(*part_of(block)));
        } else if (block.type == "thinking" || block.type == "redacted_thinking") {
            add_thought(message.reasoning, message.thought_ends,
                        {block.text, block.signature, block.data});
        } else if (block.type == "tool_use") {
            if (block.id.empty()) return json.wrong(JsonPath{&block_path, "id", -1}, "is missing");
            if (block.name.empty())
                return json.wrong(JsonPath{&block_path, "name", -1}, "is missing");
            if (block.input.empty()) block.input = "{}";
            message.tool_calls.push_back(
                ToolCall{std::move(block.id), std::move(block.name), std::move(block.input)});
        } else {
            return json.wrong(JsonPath{&block_path, "type", -1},
                              "expected text, thinking or tool_use, got '" + block.type + "'");
        }
    }
    messages.push_back(std::move(message));
    return Done{};
}

}  // namespace

Status read_turns(JsonReader& json, JsonValue value, const JsonPath& path,
                  std::vector<Message>& messages) {
    return json.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
        JsonPath item_path{&path, {}, index};
        std::string role;
        std::vector<Block> blocks;
        Status status =
            json.members(item, item_path, [&](std::string_view key, JsonValue member) -> Status {
                JsonPath member_path{&item_path, key, -1};
                if (key == "role") return json.text(member, member_path, role);
                if (key == "content") return read_blocks(json, member, member_path, blocks, false);
                return json.wrong(member_path, "unknown key in a message");
            });
        if (!status) return status;
        JsonPath content_path{&item_path, "content", -1};
        if (blocks.empty()) return json.wrong(content_path, "expected at least one content block");
        if (role == "user") return add_user_turn(json, content_path, blocks, messages);
        if (role == "assistant") return add_assistant_turn(json, content_path, blocks, messages);
        return json.wrong(JsonPath{&item_path, "role", -1},
                          "expected user or assistant, got '" + role + "'");
    });
}

Status read_system(JsonReader& json, JsonValue value, const JsonPath& path, Message& message) {
    message.role = Role::system;
    std::vector<Block> blocks;
    Status status = read_blocks(json, value, path, blocks, true);
    if (!status) return status;
    std::int64_t index = 0;
    for (Block& block : blocks) {
        JsonPath block_path{&path, {}, index++};
        if (block.type != "text")
            return json.wrong(JsonPath{&block_path, "type", -1},
                              "expected text, got '" + block.type + "'");
        message.parts.push_back(std::move(*part_of(block)));
    }
    return status;
}

}  // namespace sluice
