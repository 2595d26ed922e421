#include "providers/local/jinja_tests.h"

namespace sluice::jinja {

namespace {

using Args = Arguments;

const Value* operand(Context& context, const Args& arguments) {
    const Value* value = arguments.find(0, "other");
    if (value == nullptr) context.fail("the test needs something to compare with");
    return value;
}

std::int64_t integer(Context& context, const Value& value) {
    return context.integer_of(value, "what the test looks at");
}

bool is_defined(Context&, const Value& value, const Args&) { return !value.is_undefined(); }
bool is_undefined(Context&, const Value& value, const Args&) { return value.is_undefined(); }
bool is_none(Context&, const Value& value, const Args&) { return value.is_none(); }
bool is_string(Context&, const Value& value, const Args&) { return value.as_text() != nullptr; }
bool is_mapping(Context&, const Value& value, const Args&) { return value.as_mapping() != nullptr; }
bool is_iterable(Context&, const Value& value, const Args&) {
    return value.as_text() != nullptr || value.as_list() != nullptr ||
           value.as_mapping() != nullptr || value.is_undefined();
}
bool is_number(Context&, const Value& value, const Args&) {
    double number = 0;
    return value.number(number);
}
bool is_integer(Context&, const Value& value, const Args&) { return value.as_integer() != nullptr; }
bool is_float(Context&, const Value& value, const Args&) { return value.as_real() != nullptr; }
bool is_boolean(Context&, const Value& value, const Args&) { return value.as_boolean() != nullptr; }
bool is_true(Context&, const Value& value, const Args&) {
    return value.as_boolean() != nullptr && *value.as_boolean();
}
bool is_false(Context&, const Value& value, const Args&) {
    return value.as_boolean() != nullptr && !*value.as_boolean();
}
bool is_callable(Context&, const Value& value, const Args&) {
    return value.as_callable() != nullptr;
}
bool is_even(Context& context, const Value& value, const Args&) {
    return integer(context, value) % 2 == 0;
}
bool is_odd(Context& context, const Value& value, const Args&) {
    return integer(context, value) % 2 != 0;
}
bool is_divisible(Context& context, const Value& value, const Args& arguments) {
    const Value* by = operand(context, arguments);
    const std::int64_t divisor = by == nullptr ? 0 : integer(context, *by);
    if (divisor == 0) {
        context.fail("division by zero");
        return false;
    }
    return divisor == -1 || integer(context, value) % divisor == 0;
}
bool is_lower(Context&, const Value& value, const Args&) {
    bool letter = false;
    for (const char c : value.as_text() == nullptr ? "" : value.as_text()->bytes()) {
        if (c >= 'A' && c <= 'Z') return false;
        letter = letter || (c >= 'a' && c <= 'z');
    }
    return letter;
}
bool is_upper(Context&, const Value& value, const Args&) {
    bool letter = false;
    for (const char c : value.as_text() == nullptr ? "" : value.as_text()->bytes()) {
        if (c >= 'a' && c <= 'z') return false;
        letter = letter || (c >= 'A' && c <= 'Z');
    }
    return letter;
}
bool is_equal(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && context.equal(value, *other);
}
bool is_not_equal(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && !context.equal(value, *other);
}
bool is_same(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && value.any().index() == other->any().index() &&
           context.equal(value, *other);
}
bool is_less(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && context.less(value, *other);
}
bool is_greater(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && context.less(*other, value);
}
bool is_at_most(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && !context.less(*other, value);
}
bool is_at_least(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && !context.less(value, *other);
}
bool is_in(Context& context, const Value& value, const Args& arguments) {
    const Value* other = operand(context, arguments);
    return other != nullptr && context.contains(*other, value);
}

constexpr Test tests[] = {
    {"boolean", is_boolean},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"even", is_even},
    {"false", is_false},
    {"float", is_float},
    {"ge", is_at_least},
    {"greaterthan", is_greater},
    {"gt", is_greater},
    {"in", is_in},
    {"integer", is_integer},
    {"iterable", is_iterable},
    {"le", is_at_most},
    {"lessthan", is_less},
    {"lower", is_lower},
    {"lt", is_less},
    {"mapping", is_mapping},
    {"ne", is_not_equal},
    {"none", is_none},
    {"number", is_number},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", is_iterable},
    {"string", is_string},
    {"true", is_true},
    {"undefined", is_undefined},
    {"upper", is_upper},
};

}  // namespace

const Test* find_test(std::string_view name) {
    for (const Test& test : tests) {
        if (test.name == name) return &test;
    }
    if (name == "==") return find_test("eq");  // as select and reject name them
    if (name == "!=") return find_test("ne");
    return nullptr;
}

std::string test_names() {
    std::string names;
    for (const Test& test : tests) {
        names += (names.empty() ? "" : ", ") + std::string(test.name);
    }
    return names;
}

}  // namespace sluice::jinja
