#include <simdjson.h>
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <sstream>

#include "providers/local/chat_template.h"
#include "providers/local/jinja_eval.h"
#include "providers/local/jinja_json.h"
#include "providers/local/jinja_parser.h"

using namespace sluice;

namespace {

const std::string folder = SLUICE_SOURCE_DIR "/tests/providers/chat_templates/";
constexpr std::int64_t golden_now = 1'795'339'800;  // make_golden.py's NOW

std::string file_text(const std::string& name) {
    std::ifstream in(folder + name, std::ios::binary);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string text_at(const simdjson::dom::element& object, const char* key) {
    std::string_view text;
    if (object[key].get(text) != simdjson::SUCCESS) return {};
    return std::string(text);
}

struct Conversation {
    std::vector<Message> messages;
    std::vector<Tool> tools;
    bool generation = true;
};

Message read_message(const simdjson::dom::element& row) {
    static const std::map<std::string, Role> roles = {{"system", Role::system},
                                                      {"user", Role::user},
                                                      {"assistant", Role::assistant},
                                                      {"tool", Role::tool}};
    Message message;
    message.role = roles.at(text_at(row, "role"));
    message.tool_call_id = text_at(row, "tool_call_id");
    Part part;
    part.text = text_at(row, "content");
    if (!row["content"].is_null()) message.parts.push_back(part);
    simdjson::dom::array calls;
    if (row["tool_calls"].get(calls) == simdjson::SUCCESS) {
        for (const auto call : calls) {
            const simdjson::dom::element function = call["function"];
            message.tool_calls.push_back(
                {text_at(call, "id"), text_at(function, "name"), text_at(function, "arguments")});
        }
    }
    return message;
}

std::map<std::string, Conversation> read_conversations() {
    std::map<std::string, Conversation> conversations;
    simdjson::dom::parser parser;
    const std::string json = file_text("conversations.json");
    const simdjson::dom::array rows = parser.parse(json);
    for (const auto row : rows) {
        Conversation& conversation = conversations[text_at(row, "name")];
        bool generation = true;
        if (row["generation"].get(generation) == simdjson::SUCCESS) {
            conversation.generation = generation;
        }
        const simdjson::dom::array messages = row["messages"];
        for (const auto message : messages) {
            conversation.messages.push_back(read_message(message));
        }
        simdjson::dom::array tools;
        if (row["tools"].get(tools) != simdjson::SUCCESS) continue;
        for (const auto tool : tools) {
            const simdjson::dom::element function = tool["function"];
            Tool read;
            read.name = text_at(function, "name");
            read.description = text_at(function, "description");
            read.parameters = simdjson::minify(function["parameters"]);
            conversation.tools.push_back(read);
        }
    }
    return conversations;
}

Result<jinja::Text> render_snippet(std::string_view source, std::string_view variables_json) {
    auto body = jinja::parse(source);
    if (!body) return std::move(body).error();
    auto variables = jinja::from_json(variables_json);
    REQUIRE(variables);
    jinja::Variables named;
    for (const auto& [key, value] : variables->as_mapping()->entries) {
        named.emplace_back(key.bytes(), value);
    }
    return jinja::render(*body, std::move(named), 64U << 20, golden_now);
}

}  // namespace

TEST_CASE("the real chat templates render every conversation as jinja2 does", "[chat_template]") {
    const auto conversations = read_conversations();
    simdjson::dom::parser parser;
    const std::string json = file_text("golden.json");
    const simdjson::dom::array rows = parser.parse(json);
    std::map<std::string, std::shared_ptr<const ChatTemplate>> templates;
    int compared = 0;
    for (const auto row : rows) {
        const std::string name = text_at(row, "template");
        if (!templates.contains(name)) {
            auto parsed = ChatTemplate::parse(file_text(name + ".jinja"), text_at(row, "bos"),
                                              text_at(row, "eos"));
            INFO(name << ": " << (parsed ? "" : parsed.error().message));
            REQUIRE(parsed);
            templates[name] = *parsed;
        }
        const std::string which = text_at(row, "conversation");
        const Conversation& conversation = conversations.at(which);
        const auto rendered = templates[name]->render(conversation.messages, conversation.tools,
                                                      conversation.generation, golden_now);
        INFO(name << " over '" << which << "': " << (rendered ? "" : rendered.error().message));
        const bool refused = row["text"].error() != simdjson::SUCCESS;
        CHECK(rendered.has_value() != refused);
        if (rendered && !refused) CHECK(rendered->bytes() == text_at(row, "text"));
        ++compared;
    }
    CHECK(compared >= 120);
}

TEST_CASE("each construct of the language gives what jinja2 gives", "[chat_template]") {
    simdjson::dom::parser parser;
    const std::string json = file_text("golden_snippets.json");
    const simdjson::dom::element golden = parser.parse(json);
    const std::string variables = simdjson::minify(golden["variables"]);
    const simdjson::dom::array rows = golden["snippets"];
    for (const auto row : rows) {
        const std::string source = text_at(row, "source");
        const auto rendered = render_snippet(source, variables);
        INFO(source << "\n" << (rendered ? "" : rendered.error().message));
        const bool refused = row["text"].error() != simdjson::SUCCESS;
        CHECK(rendered.has_value() != refused);
        if (rendered && !refused) CHECK(rendered->bytes() == text_at(row, "text"));
    }
}
