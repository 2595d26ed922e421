#include <utility>

#include "providers/dialects/anthropic_messages.h"
#include "providers/dialects/anthropic_messages_blocks.h"
#include "providers/error_table.h"
#include "providers/json_write.h"

namespace sluice {
namespace {

std::string_view stop_reason(const Delta& delta) {
    if (!delta.stop_sequence.empty()) return "\"stop_sequence\"";
    switch (delta.finish) {
        case Finish::none:
            return "null";
        case Finish::stop:
            return "\"end_turn\"";
        case Finish::length:
            return "\"max_tokens\"";
        case Finish::tool_calls:
            return "\"tool_use\"";
        case Finish::content_filter:
            return "\"refusal\"";
    }
    return "null";
}

void append_stop(std::string& out, const Delta& delta) {
    out += "\"stop_reason\":";
    out += stop_reason(delta);
    out += ",\"stop_sequence\":";
    if (delta.stop_sequence.empty())
        out += "null";
    else
        append_json_string(out, delta.stop_sequence);
}

void append_usage(std::string& out, const Usage& usage, const AnswerTail* tail) {
    auto count = [&](std::string_view opening, std::int64_t tokens) {
        out += opening;
        append_json_number(out, tokens);
    };
    count("{\"input_tokens\":", usage.in_uncached);
    count(",\"cache_creation_input_tokens\":", usage.in_cache_write + usage.in_cache_write_1h);
    count(",\"cache_read_input_tokens\":", usage.in_cache_read);
    count(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":", usage.in_cache_write);
    count(",\"ephemeral_1h_input_tokens\":", usage.in_cache_write_1h);
    count("},\"output_tokens\":", usage.output());
    if (tail) {
        out += ",\"cost_usd\":";
        out += usd_text(tail->cost);  // a JSON number, exact
        out += ",\"tier\":";
        append_json_string(out, tail->tier);
        out += ",\"upstream\":";
        append_json_string(out, tail->upstream);
        if (usage.estimated) out += ",\"estimated\":true";
        if (tail->simulated) out += ",\"simulated\":true";
    }
    out += '}';
}

}  // namespace

void append_thought(std::string& out, const Thought& thought) {
    if (!thought.sealed.empty()) {
        out += "{\"type\":\"redacted_thinking\",\"data\":";
        append_json_string(out, thought.sealed);
    } else {
        out += "{\"type\":\"thinking\",\"thinking\":";
        append_json_string(out, thought.text);
        out += ",\"signature\":";
        append_json_string(out, thought.signature);
    }
    out += '}';
}

namespace {

void append_error(std::string& out, const Error& error, const std::string& request_id) {
    out += "{\"type\":\"error\",\"error\":{\"type\":";
    append_json_string(out, error_row(error.code).anthropic_type);
    out += ",\"message\":";
    append_json_string(out, error.message);
    out += "},\"request_id\":";
    append_json_string(out, request_id);
    out += '}';
}

void append_head(std::string& out, const AnswerHead& head) {
    out += "{\"id\":";
    append_json_string(out, head.id);
    out += ",\"type\":\"message\",\"role\":\"assistant\",\"model\":";
    append_json_string(out, head.model);
    out += ",\"content\":[";
}

class MessageWriter final : public EventWriter {
public:
    explicit MessageWriter(const AnswerHead& head) : head_(head) {}

    void write(const Delta& delta, const AnswerTail* tail, std::string& out) override {
        if (!delta.has_answer() && delta.thought_ends.empty()) return;
        begin(out);
        write_thoughts(delta, out);
        for (const std::string* text : {&delta.text, &delta.refusal}) {
            if (text->empty()) continue;
            open(Kind::text, -1, "\"type\":\"text\",\"text\":\"\"", out);
            piece("text_delta\",\"text\":", *text, out);
        }
        for (const ToolCallDelta& call : delta.tool_calls) write_call(call, out);
        if (!delta.last) return;
        close(out);
        out += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{";
        append_stop(out, delta);
        out += "},\"usage\":";
        append_usage(out, delta.usage, tail);
        out += "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    }

    void write_error(const Error& error, const std::string& request_id, std::string& out) override {
        out += "event: error\ndata: ";
        append_error(out, error, request_id);
        out += "\n\n";
    }

private:
    enum class Kind { none, text, thinking, sealed, tool };

    void write_thoughts(const Delta& delta, std::string& out) {
        std::string_view reasoning = delta.reasoning;
        std::size_t at = 0;
        for (const ThoughtEnd& end : delta.thought_ends) {
            think("thinking_delta\",\"thinking\":", reasoning.substr(at, end.at - at), out);
            at = end.at;
            think("signature_delta\",\"signature\":", end.signature, out);
            close(out);  // more thinking is a block of its own
            if (end.sealed.empty()) continue;
            std::string block = "\"type\":\"redacted_thinking\",\"data\":";
            append_json_string(block, end.sealed);
            open(Kind::sealed, -1, block, out);
            close(out);
        }
        think("thinking_delta\",\"thinking\":", reasoning.substr(at), out);
    }

    void think(std::string_view opening, std::string_view text, std::string& out) {
        if (text.empty()) return;
        open(Kind::thinking, -1, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"", out);
        piece(opening, text, out);
    }

    void begin(std::string& out) {
        if (begun_) return;
        begun_ = true;
        out += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":";
        append_head(out, head_);
        // The counts are known at the end: message_delta has them all.
        out +=
            "],\"stop_reason\":null,\"stop_sequence\":null,"
            "\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}}\n\n";
    }

    // Goes on with the open block when it is the one wanted, or ends it and starts a new one.
    void open(Kind kind, int tool, std::string_view block, std::string& out) {
        if (kind_ == kind && tool_ == tool) return;
        close(out);
        kind_ = kind;
        tool_ = tool;
        out += "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":";
        append_json_number(out, ++index_);
        out += ",\"content_block\":{";
        out += block;
        out += "}}\n\n";
    }

    void close(std::string& out) {
        if (kind_ == Kind::none) return;
        kind_ = Kind::none;
        out += "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":";
        append_json_number(out, index_);
        out += "}\n\n";
    }

    void piece(std::string_view opening, std::string_view text, std::string& out) {
        out += "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
        append_json_number(out, index_);
        out += ",\"delta\":{\"type\":\"";
        out += opening;
        append_json_string(out, text);
        out += "}}\n\n";
    }

    void write_call(const ToolCallDelta& call, std::string& out) {
        if (kind_ != Kind::tool || tool_ != call.index) {
            std::string block = "\"type\":\"tool_use\",\"id\":";
            append_json_string(block, call.id);
            block += ",\"name\":";
            append_json_string(block, call.name);
            block += ",\"input\":{}";
            open(Kind::tool, call.index, block, out);
        }
        if (!call.arguments.empty())
            piece("input_json_delta\",\"partial_json\":", call.arguments, out);
    }

    AnswerHead head_;
    bool begun_ = false;
    Kind kind_ = Kind::none;  // of the open block
    int tool_ = -1;
    int index_ = -1;
};

}  // namespace

std::unique_ptr<EventWriter> AnthropicMessages::event_writer(const AnswerHead& head) const {
    return std::make_unique<MessageWriter>(head);
}

std::string AnthropicMessages::write_answer(const AnswerHead& head, const Delta& answer,
                                            const AnswerTail& tail) const {
    std::string out;
    append_head(out, head);
    std::string_view comma;
    auto text_block = [&](std::string_view opening, std::string_view text) {
        out += comma;
        comma = ",";
        out += opening;
        append_json_string(out, text);
    };
    for (const Thought& thought : thoughts_of(answer.reasoning, answer.thought_ends)) {
        out += std::exchange(comma, ",");
        append_thought(out, thought);
    }
    for (const std::string* text : {&answer.text, &answer.refusal}) {
        if (text->empty()) continue;
        text_block("{\"type\":\"text\",\"text\":", *text);
        out += '}';
    }
    for (const ToolCallDelta& call : answer.tool_calls) {
        text_block("{\"type\":\"tool_use\",\"id\":", call.id);
        out += ",\"name\":";
        append_json_string(out, call.name);
        out += ",\"input\":";
        append_json_object(out, call.arguments);
        out += '}';
    }
    out += "],";
    append_stop(out, answer);
    out += ",\"usage\":";
    append_usage(out, answer.usage, &tail);
    out += '}';
    return out;
}

std::string AnthropicMessages::write_error(const Error& error,
                                           const std::string& request_id) const {
    std::string out;
    append_error(out, error, request_id);
    return out;
}

}  // namespace sluice
