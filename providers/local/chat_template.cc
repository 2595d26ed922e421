#include "providers/local/chat_template.h"

#include <cassert>
#include <optional>
#include <utility>

#include "providers/local/jinja_eval.h"
#include "providers/local/jinja_json.h"
#include "providers/local/jinja_parser.h"

namespace sluice {

namespace {

using jinja::Text;
using jinja::Value;
using Entries = std::vector<std::pair<Text, Value>>;

constexpr std::uint64_t budget_base = 64U << 20;
constexpr std::uint64_t budget_of_probe = 2U << 20;
constexpr std::uint64_t budget_per_byte = 32;
constexpr std::uint64_t budget_per_message = 64U << 10;

constexpr std::string_view chatml_source =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

void add(Entries& entries, std::string_view key, Value value) {
    entries.emplace_back(Text(std::string(key), true), std::move(value));
}

Value guest(std::string_view text) { return Value::text(text, false); }

// The names that templates know: developer is OpenAI's newer word for system.
std::string_view role_name(Role role) {
    switch (role) {
        case Role::system:
        case Role::developer:
            return "system";
        case Role::user:
            return "user";
        case Role::assistant:
            return "assistant";
        case Role::tool:
            return "tool";
    }
    return "user";
}

Value call_value(const ToolCall& call, bool argument_objects) {
    Entries function;
    add(function, "name", guest(call.name));
    std::optional<Value> arguments;
    if (argument_objects) arguments = jinja::from_json(call.arguments);
    add(function, "arguments", arguments ? *std::move(arguments) : guest(call.arguments));
    Entries entries;
    if (!call.id.empty()) add(entries, "id", guest(call.id));
    add(entries, "type", Value::text("function", true));
    add(entries, "function", Value::mapping(std::move(function)));
    return Value::mapping(std::move(entries));
}

Value tool_value(const Tool& tool) {
    Entries function;
    add(function, "name", guest(tool.name));
    if (!tool.description.empty()) add(function, "description", guest(tool.description));
    if (!tool.parameters.empty()) {
        std::optional<Value> parameters = jinja::from_json(tool.parameters);
        add(function, "parameters", parameters ? *std::move(parameters) : guest(tool.parameters));
    }
    if (tool.strict) add(function, "strict", Value::boolean(*tool.strict));
    Entries entries;
    add(entries, "type", Value::text("function", true));
    add(entries, "function", Value::mapping(std::move(function)));
    return Value::mapping(std::move(entries));
}

std::uint64_t bytes_of(const std::vector<Message>& messages, const std::vector<Tool>& tools) {
    std::uint64_t bytes = 0;
    for (const Message& message : messages) {
        for (const Part& part : message.parts) bytes += part.text.size();
        for (const ToolCall& call : message.tool_calls) {
            bytes += call.name.size() + call.arguments.size();
        }
        bytes += message.reasoning.size() + message.name.size();
    }
    for (const Tool& tool : tools) {
        bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
    }
    return bytes;
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(std::string_view source,
                                                                std::string bos, std::string eos) {
    auto body = jinja::parse(source);
    if (!body) return std::move(body).error();
    std::shared_ptr<ChatTemplate> parsed(new ChatTemplate);
    parsed->body_ = *std::move(body);
    parsed->bos_ = std::move(bos);
    parsed->eos_ = std::move(eos);
    parsed->probe();
    return std::shared_ptr<const ChatTemplate>(std::move(parsed));
}

std::shared_ptr<const ChatTemplate> ChatTemplate::chatml() {
    auto parsed = parse(chatml_source, {}, {});
    assert(parsed);
    return *parsed;
}

// Templates disagree on the arguments of an earlier call: some add the text to other text, some ask
// tojson for it. What prints the JSON text unchanged takes text; otherwise what renders at all.
void ChatTemplate::probe() {
    static const std::string json = R"({"probe_key": "probe_value"})";
    Message asked;
    asked.parts.push_back(Part{Part::Kind::text, "probe", {}, {}});
    Message called;
    called.role = Role::assistant;
    called.tool_calls.push_back(ToolCall{"call00000", "probe", json});
    Message answered;
    answered.role = Role::tool;
    answered.tool_call_id = "call00000";
    answered.parts.push_back(Part{Part::Kind::text, "probe", {}, {}});
    const std::vector<Message> messages = {asked, called, answered};
    for (const bool null_content : {true, false}) {
        null_content_ = null_content;
        argument_objects_ = false;
        const auto as_text = render(messages, {}, true, 0, budget_of_probe);
        if (as_text && as_text->bytes().find(json) != std::string::npos) return;
        argument_objects_ = true;
        const auto as_object = render(messages, {}, true, 0, budget_of_probe);
        if (as_object) return;
        if (as_text) {
            argument_objects_ = false;
            return;
        }
    }
    argument_objects_ = false;  // no calls in this template's conversations
    null_content_ = true;
}

Result<Text> ChatTemplate::render(const std::vector<Message>& messages,
                                  const std::vector<Tool>& tools, bool add_generation_prompt,
                                  std::int64_t now_unix_s) const {
    const std::uint64_t budget = budget_base + budget_per_byte * bytes_of(messages, tools) +
                                 budget_per_message * messages.size();
    return render(messages, tools, add_generation_prompt, now_unix_s, budget);
}

Result<Text> ChatTemplate::render(const std::vector<Message>& messages,
                                  const std::vector<Tool>& tools, bool add_generation_prompt,
                                  std::int64_t now_unix_s, std::uint64_t budget) const {
    std::vector<Value> turns;
    for (const Message& message : messages) {
        Entries entries;
        add(entries, "role", Value::text(role_name(message.role), true));
        const std::string text = message.text();
        const bool calls_only = text.empty() && !message.tool_calls.empty();
        add(entries, "content", calls_only && null_content_ ? Value::none() : guest(text));
        if (!message.reasoning.empty()) {
            add(entries, "reasoning_content", guest(message.reasoning));
        }
        if (!message.name.empty()) add(entries, "name", guest(message.name));
        if (!message.tool_calls.empty()) {
            std::vector<Value> calls;
            for (const ToolCall& call : message.tool_calls) {
                calls.push_back(call_value(call, argument_objects_));
            }
            add(entries, "tool_calls", Value::list(std::move(calls)));
        }
        if (!message.tool_call_id.empty()) {
            add(entries, "tool_call_id", guest(message.tool_call_id));
        }
        turns.push_back(Value::mapping(std::move(entries)));
    }
    std::vector<Value> tool_values;
    for (const Tool& tool : tools) tool_values.push_back(tool_value(tool));

    jinja::Variables variables;
    variables.emplace_back("messages", Value::list(std::move(turns)));
    variables.emplace_back("tools",
                           tools.empty() ? Value::none() : Value::list(std::move(tool_values)));
    variables.emplace_back("documents", Value::none());
    variables.emplace_back("add_generation_prompt", Value::boolean(add_generation_prompt));
    variables.emplace_back("bos_token", Value::text(bos_, true));
    variables.emplace_back("eos_token", Value::text(eos_, true));
    return jinja::render(body_, std::move(variables), budget, now_unix_s);
}

}  // namespace sluice
