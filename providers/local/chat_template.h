// A model's chat template: a conversation to the prompt that the model was trained on. Parsed once,
// rendered per request. Immutable: any thread. A template comes out of a model file and is
// untrusted: it is limited in time, memory and depth, and a fault in it is an Error with line and
// column.
//
// The rendered text knows which bytes the template wrote and which the conversation did, so that
// PromptEncoder can keep callers from spelling control tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "providers/chat.h"
#include "providers/local/jinja_ast.h"
#include "providers/local/jinja_text.h"

namespace sluice {

class ChatTemplate {
public:
    // Errors: bad_file, "chat template:LINE:COLUMN: what".
    static Result<std::shared_ptr<const ChatTemplate>> parse(std::string_view source,
                                                             std::string bos, std::string eos);
    // ChatML, for a model that has <|im_start|> but carries no template.
    static std::shared_ptr<const ChatTemplate> chatml();

    // Errors: invalid_request when the template refuses the conversation (roles out of order, ...),
    // bad_file when the template itself fails. `now_unix_s` dates the prompt of templates that ask.
    Result<jinja::Text> render(const std::vector<Message>& messages, const std::vector<Tool>& tools,
                               bool add_generation_prompt, std::int64_t now_unix_s) const;

private:
    ChatTemplate() = default;
    void probe();
    Result<jinja::Text> render(const std::vector<Message>& messages, const std::vector<Tool>& tools,
                               bool add_generation_prompt, std::int64_t now_unix_s,
                               std::uint64_t budget) const;

    jinja::Body body_;
    std::string bos_;
    std::string eos_;
    // What the template wants where OpenAI's form leaves a choice; found out by trying.
    bool argument_objects_ = false;  // a call's arguments as a mapping, not as JSON text
    bool null_content_ = true;       // a turn of calls only has content none, not ""
};

}  // namespace sluice
