// Splits a stream of text at <think>...</think> into reasoning and answer. The tags may be cut
// anywhere; the newlines right after a tag are dropped with it. One per stream, one thread.
//
// Only the start of an answer can be a thought: it begins inside one when the prompt ended with an
// open <think>, or it opens one itself as its first word. Tags elsewhere are text that talks about
// tags. A thought that never closes is reasoning to its end.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

class ReasoningSplitter {
public:
    enum class Start {
        off,     // everything is answer
        detect,  // a thought if the first word is <think>
        inside,  // the prompt opened the thought
    };
    explicit ReasoningSplitter(Start start);

    struct Split {
        std::string text;
        std::string reasoning;
    };
    // Appends what is known by now of `bytes` and of what was held. Gives how many of `bytes`
    // belong to the thought, tags included; while undecided() that is not known and 0.
    std::size_t push(std::string_view bytes, Split& out);
    // The stream ended: what is held comes out.
    void finish(Split& out);

    bool undecided() const { return state_ == State::detect; }
    bool thinking() const { return state_ == State::opened || state_ == State::inside; }

private:
    enum class State { detect, opened, inside, closed, text };
    bool detect();
    bool skip_newlines();
    bool find_end(Split& out);

    State state_;
    std::string held_;
};

// The state after a prompt: inside when its end opened a thought that it did not close.
bool opens_thought(std::string_view prompt_end);

}  // namespace sluice
