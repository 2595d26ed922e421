// What a rendering may use up, what went wrong in it, and the operations on values that need to
// know either. A template and a conversation are both untrusted input: every step and every byte
// made is paid from one budget, and the first failure stops the rendering. One rendering, one
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "providers/local/jinja_lexer.h"
#include "providers/local/jinja_value.h"

namespace sluice::jinja {

constexpr std::uint64_t step_cost = 64;  // of one expression or statement; a byte costs 1
constexpr std::uint64_t item_cost = 32;  // of one item of a list or mapping made
constexpr int value_depth_max = 64;      // containers in containers
constexpr std::int64_t range_items_max = 100'000;

class Context {
public:
    explicit Context(std::uint64_t budget) : left_(budget) {}

    bool failed() const { return fault_.has_value(); }
    Error take_fault() { return *std::move(fault_); }
    // The statement or expression being evaluated, for messages.
    void at(Position position) { at_ = position; }
    Position position() const { return at_; }
    // Fails the rendering, at the current position; gives undefined. The first failure is kept.
    Value fail(const std::string& message);
    // raise_exception: the template refuses the conversation.
    Value refuse(const std::string& message);
    // False when the budget is gone, which fails the rendering.
    bool spend(std::uint64_t cost);

    Value text(Text text);
    Value text(std::string_view bytes, bool trusted) {
        return this->text(Text(std::string(bytes), trusted));
    }
    Value list(std::vector<Value> items);
    Value mapping(std::vector<std::pair<Text, Value>> entries);

    // Python's ==, <, in, str() and repr(), and json.dumps.
    bool equal(const Value& a, const Value& b);
    bool less(const Value& a, const Value& b);
    bool contains(const Value& container, const Value& what);
    Text printed(const Value& value);
    void append_repr(std::string& out, const Value& value);
    // indent < 0: on one line.
    void append_json(std::string& out, const Value& value, int indent, int level = 0);
    // What `for x in value` goes over; fails for what cannot be gone over.
    std::vector<Value> items_of(const Value& value);
    // An integer argument; fails with `what` in the message.
    std::int64_t integer_of(const Value& value, std::string_view what);
    // A string argument; lives as long as `value`.
    std::string_view string_of(const Value& value, std::string_view what);
    // Like find and rfind of std::string_view, paid for; npos when the budget does not allow it.
    std::size_t find(std::string_view text, std::string_view what, std::size_t from = 0);
    std::size_t rfind(std::string_view text, std::string_view what);
    // The characters that trim and strip were told to take; "" = white space.
    std::string_view strip_set(const Value* given);

private:
    void append_break(std::string& out, int indent, int level);

    std::uint64_t left_;
    Position at_;
    std::optional<Error> fault_;
};

// Python's repr of a float.
std::string float_text(double d);

// The arguments of a filter, test, method or function.
struct Arguments {
    std::vector<Value> plain;
    std::vector<std::pair<std::string, Value>> named;
    // The argument at `index` or called `name`; nullptr when not given.
    const Value* find(std::size_t index, std::string_view name) const;
};

}  // namespace sluice::jinja
