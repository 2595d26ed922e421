#include "providers/dialects/openai_chat.h"
#include "providers/error_table.h"
#include "providers/json_write.h"

namespace sluice {
namespace {

std::string_view finish_name(Finish finish) {
    switch (finish) {
        case Finish::none:
            return "null";
        case Finish::stop:
            return "\"stop\"";
        case Finish::length:
            return "\"length\"";
        case Finish::tool_calls:
            return "\"tool_calls\"";
        case Finish::content_filter:
            return "\"content_filter\"";
    }
    return "null";
}

void append_usage(std::string& out, const Usage& usage, const AnswerTail& tail) {
    auto count = [&](std::string_view opening, std::int64_t tokens) {
        out += opening;
        append_json_number(out, tokens);
    };
    count("{\"prompt_tokens\":", usage.input());
    count(",\"completion_tokens\":", usage.output());
    count(",\"total_tokens\":", usage.input() + usage.output());
    count(",\"prompt_tokens_details\":{\"cached_tokens\":", usage.in_cache_read);
    std::int64_t written = usage.in_cache_write + usage.in_cache_write_1h;
    if (written > 0) count(",\"cache_write_tokens\":", written);
    count("},\"completion_tokens_details\":{\"reasoning_tokens\":", usage.out_reasoning);
    out += "},\"cost_usd\":";
    out += usd_text(tail.cost);  // a JSON number, exact
    out += ",\"tier\":";
    append_json_string(out, tail.tier);
    out += ",\"upstream\":";
    append_json_string(out, tail.upstream);
    if (usage.estimated) out += ",\"estimated\":true";
    if (tail.simulated) out += ",\"simulated\":true";
    out += '}';
}

void append_logprob(std::string& out, const LogprobEntry& entry, bool with_top) {
    out += "{\"token\":";
    append_json_string(out, entry.token);
    out += ",\"logprob\":";
    append_json_number(out, entry.logprob);
    out += ",\"bytes\":[";
    for (std::size_t i = 0; i < entry.bytes.size(); ++i) {
        if (i > 0) out += ',';
        append_json_number(out, static_cast<int>(static_cast<unsigned char>(entry.bytes[i])));
    }
    out += ']';
    if (with_top) {
        out += ",\"top_logprobs\":[";
        for (const LogprobEntry& top : entry.top) {
            if (&top != &entry.top.front()) out += ',';
            append_logprob(out, top, false);
        }
        out += ']';
    }
    out += '}';
}

void append_logprobs(std::string& out, const std::vector<LogprobEntry>& logprobs) {
    out += "{\"content\":[";
    for (const LogprobEntry& entry : logprobs) {
        if (&entry != &logprobs.front()) out += ',';
        append_logprob(out, entry, true);
    }
    out += "],\"refusal\":null}";
}

void append_error(std::string& out, const Error& error) {
    const ErrorRow& row = error_row(error.code);
    out += "{\"error\":{\"message\":";
    append_json_string(out, error.message);
    out += ",\"type\":";
    append_json_string(out, row.openai_type);
    out += ",\"param\":";
    if (error.param.empty())
        out += "null";
    else
        append_json_string(out, error.param);
    out += ",\"code\":";
    if (row.openai_code.empty())
        out += "null";
    else
        append_json_string(out, row.openai_code);
    out += "}}";
}

// One delta is one append into `out`, between two texts made when the stream begins.
class ChunkWriter final : public EventWriter {
public:
    explicit ChunkWriter(const AnswerHead& head) : include_usage_(head.include_usage) {
        opening_ = "data: {\"id\":";
        append_json_string(opening_, head.id);
        opening_ += ",\"object\":\"chat.completion.chunk\",\"created\":";
        append_json_number(opening_, head.created);
        opening_ += ",\"model\":";
        append_json_string(opening_, head.model);
        delta_opening_ = opening_ + ",\"choices\":[{\"index\":0,\"delta\":{";
        closing_ = include_usage_ ? "}],\"usage\":null}\n\n" : "}]}\n\n";
    }

    void write(const Delta& delta, const AnswerTail* tail, std::string& out) override {
        if (!delta.has_answer() && delta.finish == Finish::none) return;
        if (!begun_) {
            begun_ = true;
            out += delta_opening_;
            out +=
                "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"finish_reason\":null";
            out += closing_;
        }
        write_pieces(delta, out);
        if (delta.finish != Finish::none && !finished_) {
            finished_ = true;
            out += delta_opening_;
            out += "},\"finish_reason\":";
            out += finish_name(delta.finish);
            out += closing_;
        }
        if (!delta.last) return;
        if (include_usage_ && tail) {
            out += opening_;
            if (tail->simulated) out += ",\"system_fingerprint\":\"simulated\"";
            out += ",\"choices\":[],\"usage\":";
            append_usage(out, delta.usage, *tail);
            out += "}\n\n";
        }
        out += "data: [DONE]\n\n";
    }

    void write_error(const Error& error, const std::string& request_id, std::string& out) override {
        (void)request_id;  // in the header x-request-id; this wire has no other place for it
        out += "data: ";
        append_error(out, error);
        out += "\n\n";
    }

private:
    void write_pieces(const Delta& delta, std::string& out) {
        bool any = !delta.text.empty() || !delta.reasoning.empty() || !delta.refusal.empty() ||
                   !delta.tool_calls.empty() || !delta.logprobs.empty();
        if (!any) return;
        out += delta_opening_;
        std::string_view comma;
        auto piece = [&](std::string_view name, const std::string& text) {
            if (text.empty()) return;
            out += comma;
            comma = ",";
            out += name;
            append_json_string(out, text);
        };
        // Clients look for the one or the other name.
        piece("\"reasoning_content\":", delta.reasoning);
        piece("\"reasoning\":", delta.reasoning);
        piece("\"content\":", delta.text);
        piece("\"refusal\":", delta.refusal);
        if (!delta.tool_calls.empty()) {
            out += comma;
            write_tool_calls(delta.tool_calls, out);
        }
        out += '}';
        if (!delta.logprobs.empty()) {
            out += ",\"logprobs\":";
            append_logprobs(out, delta.logprobs);
        }
        out += ",\"finish_reason\":null";
        out += closing_;
    }

    static void write_tool_calls(const std::vector<ToolCallDelta>& calls, std::string& out) {
        out += "\"tool_calls\":[";
        for (const ToolCallDelta& call : calls) {
            if (&call != &calls.front()) out += ',';
            out += "{\"index\":";
            append_json_number(out, call.index);
            if (!call.id.empty()) {
                out += ",\"id\":";
                append_json_string(out, call.id);
                out += ",\"type\":\"function\"";
            }
            out += ",\"function\":{";
            if (!call.name.empty()) {
                out += "\"name\":";
                append_json_string(out, call.name);
                out += ',';
            }
            out += "\"arguments\":";
            append_json_string(out, call.arguments);
            out += "}}";
        }
        out += ']';
    }

    bool include_usage_;
    bool begun_ = false;
    bool finished_ = false;
    std::string opening_;        // up to the model
    std::string delta_opening_;  // up to the inside of choices[0].delta
    std::string closing_;        // behind choices[0].finish_reason
};

void append_message(std::string& out, const Delta& answer) {
    auto text_or_null = [&](const std::string& text) {
        if (text.empty())
            out += "null";
        else
            append_json_string(out, text);
    };
    out += "{\"role\":\"assistant\",\"content\":";
    bool content_is_null =
        answer.text.empty() && (!answer.tool_calls.empty() || !answer.refusal.empty());
    if (content_is_null)
        out += "null";
    else
        append_json_string(out, answer.text);
    out += ",\"refusal\":";
    text_or_null(answer.refusal);
    if (!answer.reasoning.empty()) {
        out += ",\"reasoning_content\":";
        append_json_string(out, answer.reasoning);
        out += ",\"reasoning\":";
        append_json_string(out, answer.reasoning);
    }
    if (!answer.tool_calls.empty()) {
        out += ",\"tool_calls\":[";
        for (const ToolCallDelta& call : answer.tool_calls) {
            if (&call != &answer.tool_calls.front()) out += ',';
            out += "{\"id\":";
            append_json_string(out, call.id);
            out += ",\"type\":\"function\",\"function\":{\"name\":";
            append_json_string(out, call.name);
            out += ",\"arguments\":";
            append_json_string(out, call.arguments);
            out += "}}";
        }
        out += ']';
    }
    out += '}';
}

}  // namespace

std::unique_ptr<EventWriter> OpenAiChat::event_writer(const AnswerHead& head) const {
    return std::make_unique<ChunkWriter>(head);
}

std::string OpenAiChat::write_answer(const AnswerHead& head, const Delta& answer,
                                     const AnswerTail& tail) const {
    std::string out;
    out.reserve(answer.text.size() + answer.reasoning.size() + 640);
    out += "{\"id\":";
    append_json_string(out, head.id);
    out += ",\"object\":\"chat.completion\",\"created\":";
    append_json_number(out, head.created);
    out += ",\"model\":";
    append_json_string(out, head.model);
    if (tail.simulated) out += ",\"system_fingerprint\":\"simulated\"";
    out += ",\"choices\":[{\"index\":0,\"message\":";
    append_message(out, answer);
    out += ",\"logprobs\":";
    if (answer.logprobs.empty())
        out += "null";
    else
        append_logprobs(out, answer.logprobs);
    out += ",\"finish_reason\":";
    out += finish_name(answer.finish);
    out += "}],\"usage\":";
    append_usage(out, answer.usage, tail);
    out += '}';
    return out;
}

std::string OpenAiChat::write_error(const Error& error, const std::string&) const {
    std::string out;
    append_error(out, error);
    return out;
}

}  // namespace sluice
