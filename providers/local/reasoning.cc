#include "providers/local/reasoning.h"

#include <algorithm>

namespace sluice {

namespace {

constexpr std::string_view open_tag = "<think>";
constexpr std::string_view close_tag = "</think>";

// How many bytes at the end of `text` may be the start of `tag`.
std::size_t tag_start_at_end(std::string_view text, std::string_view tag) {
    for (std::size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size) {
        if (text.ends_with(tag.substr(0, size))) return size;
    }
    return 0;
}

}  // namespace

bool opens_thought(std::string_view prompt_end) {
    const std::size_t open = prompt_end.rfind(open_tag);
    const std::size_t close = prompt_end.rfind(close_tag);
    return open != std::string_view::npos && (close == std::string_view::npos || close < open);
}

ReasoningSplitter::ReasoningSplitter(Start start)
    : state_(start == Start::off      ? State::text
             : start == Start::detect ? State::detect
                                      : State::opened) {}

std::size_t ReasoningSplitter::push(std::string_view bytes, Split& out) {
    if (state_ == State::text && held_.empty()) {
        out.text += bytes;
        return 0;
    }
    held_ += bytes;
    std::size_t thought = 0;
    bool more = true;
    while (more) {
        switch (state_) {
            case State::detect:
                more = detect();
                break;
            case State::opened:
                more = skip_newlines();
                if (more) state_ = State::inside;
                thought = bytes.size();
                break;
            case State::inside:
                more = find_end(out);
                // What is left after the tag is not the thought's.
                thought = more ? bytes.size() - std::min(bytes.size(), held_.size()) : bytes.size();
                break;
            case State::closed:
                more = skip_newlines();
                if (more) state_ = State::text;
                break;
            case State::text:
                out.text += held_;
                held_.clear();
                more = false;
                break;
        }
    }
    return thought;
}

// True when decided.
bool ReasoningSplitter::detect() {
    const std::size_t word = std::min(held_.find_first_not_of(" \t\r\n"), held_.size());
    const std::string_view rest = std::string_view(held_).substr(word);
    if (rest.starts_with(open_tag)) {
        held_.erase(0, word + open_tag.size());
        state_ = State::opened;
        return true;
    }
    if (open_tag.starts_with(rest)) return false;
    state_ = State::text;
    return true;
}

// True when something else follows the newlines.
bool ReasoningSplitter::skip_newlines() {
    held_.erase(0, std::min(held_.find_first_not_of("\r\n"), held_.size()));
    return !held_.empty();
}

// True when the thought's end was found.
bool ReasoningSplitter::find_end(Split& out) {
    const std::size_t end = held_.find(close_tag);
    if (end != std::string::npos) {
        out.reasoning.append(held_, 0, end);
        held_.erase(0, end + close_tag.size());
        state_ = State::closed;
        return true;
    }
    const std::size_t keep = tag_start_at_end(held_, close_tag);
    out.reasoning.append(held_, 0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return false;
}

void ReasoningSplitter::finish(Split& out) {
    (thinking() ? out.reasoning : out.text) += held_;
    held_.clear();
    if (state_ == State::detect) state_ = State::text;
}

}  // namespace sluice
