#include <charconv>
#include <cmath>

#include "providers/local/jinja_filters.h"

namespace sluice::jinja {

namespace {

using Args = Arguments;

Value to_int(Context&, const Value& input, const Args& arguments) {
    const Value* otherwise = arguments.find(0, "default");
    std::int64_t whole = 0;
    double real = 0;
    if (input.whole_number(whole)) return Value::integer(whole);
    if (const Text* text = input.as_text()) {
        const Span span = stripped(text->bytes(), {}, true, true);
        const char* begin = text->bytes().data() + span.from;
        const char* end = text->bytes().data() + span.to;
        if (begin != end && *begin == '+') ++begin;
        const auto read = std::from_chars(begin, end, whole);
        if (read.ec == std::errc() && read.ptr == end) return Value::integer(whole);
        const auto as_real = std::from_chars(begin, end, real);
        if (as_real.ec != std::errc() || as_real.ptr != end) real = std::nan("");
    } else if (!input.number(real)) {
        real = std::nan("");
    }
    if (std::fabs(real) < 9e18) return Value::integer(static_cast<std::int64_t>(real));
    return otherwise == nullptr ? Value::integer(0) : *otherwise;
}

Value to_float(Context&, const Value& input, const Args& arguments) {
    const Value* otherwise = arguments.find(0, "default");
    double real = 0;
    if (input.number(real)) return Value::real(real);
    if (const Text* text = input.as_text()) {
        const Span span = stripped(text->bytes(), {}, true, true);
        const char* end = text->bytes().data() + span.to;
        const auto read = std::from_chars(text->bytes().data() + span.from, end, real);
        if (read.ec == std::errc() && read.ptr == end) return Value::real(real);
    }
    return otherwise == nullptr ? Value::real(0) : *otherwise;
}

Value absolute(Context& context, const Value& input, const Args&) {
    std::int64_t whole = 0;
    if (input.whole_number(whole)) {
        if (whole == INT64_MIN) return context.fail("integer overflow");
        return Value::integer(whole < 0 ? -whole : whole);
    }
    if (const double* real = input.as_real()) return Value::real(std::fabs(*real));
    return context.fail("abs needs a number, not " + std::string(input.type_name()));
}

constexpr Filter filters[] = {{"abs", absolute}, {"float", to_float}, {"int", to_int}};

}  // namespace

std::span<const Filter> number_filters() { return filters; }

}  // namespace sluice::jinja
