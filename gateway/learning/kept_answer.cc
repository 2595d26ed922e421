#include "gateway/learning/kept_answer.h"

#include "policies/golden/json_schema.h"
#include "providers/json_fault.h"

namespace sluice {
namespace {

bool is_json(const std::string& text) { return !find_json_fault(text); }

}  // namespace

void KeptAnswer::keep(const Delta& piece) {
    if (keeps_text_ && !text_too_long_) {
        text_too_long_ = whole_.text.size() + piece.text.size() > bytes_max;
        if (text_too_long_)
            std::string().swap(whole_.text);
        else
            whole_.text += piece.text;
    }
    if (piece.tool_calls.empty()) return;
    called_ = true;
    if (!keeps_calls_ || calls_too_long_) return;
    Delta calls;
    calls.tool_calls = piece.tool_calls;
    for (const ToolCallDelta& call : calls.tool_calls) argument_bytes_ += call.arguments.size();
    append_delta(whole_, std::move(calls));
    calls_too_long_ = argument_bytes_ > bytes_max || whole_.tool_calls.size() > calls_max;
    if (calls_too_long_) std::vector<ToolCallDelta>().swap(whole_.tool_calls);
}

ShownByItself shown_by_itself(const ChatRequest& chat, const KeptAnswer& answer) {
    ShownByItself out;
    if (answer.called()) {
        out.calls_too_long = answer.calls_too_long();
        if (out.calls_too_long || answer.calls().empty()) return out;
        out.calls = true;
        for (const ToolCallDelta& call : answer.calls())
            out.calls = *out.calls && is_json(call.arguments);
        return out;
    }
    if (!chat.wants_json_schema()) return out;
    out.schema_too_long = answer.text_too_long();
    if (!out.schema_too_long) out.schema = keeps_format(chat.response_format, answer.text());
    return out;
}

}  // namespace sluice
