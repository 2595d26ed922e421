// What of an answer is looked into once it has ended: its text where JSON was asked for or a shadow
// answer will be compared with it, and its tool calls' arguments. A streamed answer's pieces go out
// as they come, so that these are kept beside, and only where something will be looked into.
// One io thread. bytes_max of text and as much of arguments, calls_max calls; of an answer with
// more nothing is kept.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "gateway/walk.h"

namespace sluice {

class KeptAnswer {
public:
    static constexpr std::size_t bytes_max = 256U << 10;
    static constexpr std::size_t calls_max = 256;

    KeptAnswer() = default;  // keeps nothing
    KeptAnswer(bool text, bool calls) : keeps_text_(text), keeps_calls_(calls) {}

    void add(const Delta& piece) {
        answered_ = answered_ || !piece.text.empty() || !piece.tool_calls.empty();
        if (keeps_text_ || keeps_calls_) keep(piece);
    }

    bool answered() const { return answered_; }  // beyond a thought
    bool called() const { return called_; }      // a tool; told only where something is kept
    bool text_too_long() const { return text_too_long_; }
    bool calls_too_long() const { return calls_too_long_; }
    const std::string& text() const { return whole_.text; }
    const std::vector<ToolCallDelta>& calls() const { return whole_.tool_calls; }

private:
    void keep(const Delta& piece);

    bool keeps_text_ = false, keeps_calls_ = false;
    bool answered_ = false, called_ = false;
    bool text_too_long_ = false, calls_too_long_ = false;
    std::size_t argument_bytes_ = 0;
    Delta whole_;
};

// What the request's answer shows by itself: whether it keeps to the format that was asked for
// (`schema`), and whether its calls' arguments are JSON (`calls`). Nothing where it was not asked
// for, or where that cannot be said; `..._too_long` where it was too long to look into.
struct ShownByItself {
    std::optional<bool> schema, calls;
    bool schema_too_long = false, calls_too_long = false;
};
ShownByItself shown_by_itself(const ChatRequest& chat, const KeptAnswer& answer);

}  // namespace sluice
