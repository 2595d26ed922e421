#include "policies/golden/pattern.h"

namespace sluice {
namespace {

bool word_sign(char32_t point) {
    return (point >= '0' && point <= '9') || (point >= 'a' && point <= 'z') ||
           (point >= 'A' && point <= 'Z') || point == '_';
}

char32_t lower(char32_t point) { return point >= 'A' && point <= 'Z' ? point + 32 : point; }

char32_t upper(char32_t point) { return point >= 'a' && point <= 'z' ? point - 32 : point; }

bool at_word_edge(const std::u32string& text, std::size_t at) {
    bool before = at > 0 && word_sign(text[at - 1]);
    bool after = at < text.size() && word_sign(text[at]);
    return before != after;
}

// The length of the code point that begins with this byte, or 0.
std::size_t length_of(unsigned char byte) {
    if (byte < 0x80) return 1;
    if (byte >= 0xC2 && byte < 0xE0) return 2;
    if (byte >= 0xE0 && byte < 0xF0) return 3;
    if (byte >= 0xF0 && byte < 0xF5) return 4;
    return 0;
}

}  // namespace

std::u32string code_points(std::string_view text, std::size_t points_max) {
    std::u32string out;
    for (std::size_t at = 0; at < text.size() && out.size() < points_max;) {
        auto first = static_cast<unsigned char>(text[at]);
        std::size_t length = length_of(first);
        char32_t point = length == 1 ? first : first & (0xFFU >> (length + 1));
        bool good = length > 0 && at + length <= text.size();
        for (std::size_t i = 1; good && i < length; ++i) {
            auto byte = static_cast<unsigned char>(text[at + i]);
            good = (byte & 0xC0U) == 0x80U;
            point = (point << 6U) | (byte & 0x3FU);
        }
        out += good ? point : U'\uFFFD';
        at += good ? length : 1;
    }
    return out;
}

// Which steps are alive at one place of the text, each once.
struct Pattern::Threads {
    explicit Threads(std::size_t steps) : marks(steps, 0) {}
    void clear() {
        alive.clear();
        ++round;
    }
    bool enter(std::size_t step) {
        if (marks[step] == round) return false;
        marks[step] = round;
        return true;
    }
    std::vector<std::size_t> alive;  // at `set` or `match`
    std::vector<std::size_t> stack;
    std::vector<std::size_t> marks;
    std::size_t round = 1;
};

bool Pattern::takes(const Step& step, char32_t point) const {
    auto within = [&step](char32_t one) {
        for (const auto& [low, high] : step.ranges)
            if (one >= low && one <= high) return true;
        return false;
    };
    bool in = within(point) || (ignore_case_ && (within(lower(point)) || within(upper(point))));
    return in != step.negated;
}

// Everything that can be reached from `from` without taking a sign.
void Pattern::follow(Threads& threads, std::size_t from, const std::u32string& text,
                     std::size_t at) const {
    threads.stack.assign(1, from);
    while (!threads.stack.empty()) {
        std::size_t here = threads.stack.back();
        threads.stack.pop_back();
        if (!threads.enter(here)) continue;
        const Step& step = steps_[here];
        bool on = true;
        switch (step.op) {
            case Op::set:
            case Op::match:
                threads.alive.push_back(here);
                on = false;
                break;
            case Op::split:
                threads.stack.push_back(step.or_else);
                threads.stack.push_back(step.to);
                on = false;
                break;
            case Op::jump:
                threads.stack.push_back(step.to);
                on = false;
                break;
            case Op::begin:
                on = at == 0;
                break;
            case Op::end:
                on = at == text.size();
                break;
            case Op::word_edge:
                on = at_word_edge(text, at);
                break;
            case Op::no_word_edge:
                on = !at_word_edge(text, at);
                break;
        }
        if (on) threads.stack.push_back(here + 1);
    }
}

bool Pattern::found_in(std::string_view text) const {
    std::u32string points = code_points(text, text_points_max);
    Threads now(steps_.size()), next(steps_.size());
    for (std::size_t at = 0; at <= points.size(); ++at) {
        follow(now, 0, points, at);  // it may begin here, too
        next.clear();
        for (std::size_t here : now.alive) {
            if (steps_[here].op == Op::match) return true;
            if (at < points.size() && takes(steps_[here], points[at]))
                follow(next, here + 1, points, at + 1);
        }
        std::swap(now, next);
    }
    return false;
}

}  // namespace sluice
