// What a template can call: functions, methods, macros, loop.cycle and loop.changed.
#include <ctime>

#include "providers/local/jinja_methods.h"
#include "providers/local/jinja_renderer.h"

namespace sluice::jinja {

Arguments Evaluator::arguments(const Expression& e) {
    Arguments given;
    const std::size_t count = e.children.size() - 1;
    const std::size_t plain = count - e.names.size();
    for (std::size_t i = 0; i < count; ++i) {
        Value value = evaluate(*e.children[i + 1]);
        if (i < plain) {
            given.plain.push_back(std::move(value));
        } else {
            given.named.emplace_back(e.names[i - plain], std::move(value));
        }
    }
    return given;
}

Value Evaluator::call(const Expression& e) {
    const Value function = evaluate(*e.children[0]);
    const Arguments given = arguments(e);
    if (context_.failed()) return Value();
    const Callable* callable = function.as_callable();
    if (callable == nullptr) {
        const auto* missing = std::get_if<Undefined>(&function.any());
        return context_.fail(missing != nullptr
                                 ? "'" + missing->name + "' is undefined and cannot be called"
                                 : std::string(function.type_name()) + " cannot be called");
    }
    switch (callable->kind) {
        case Callable::Kind::macro:
            return call_macro(*callable->macro, given);
        case Callable::Kind::function:
            return call_function(callable->name, given);
        case Callable::Kind::method:
            break;
    }
    if (Loop* loop = callable->receiver.as_loop()) return call_loop(*loop, callable->name, given);
    return call_method(context_, callable->receiver, callable->name, given);
}

Value Evaluator::call_function(std::string_view name, const Arguments& given) {
    if (name == "namespace") return make_namespace(given);
    if (name == "range") return range(given);
    if (name == "strftime_now") return strftime_now(given);
    if (name == "dict") {
        std::vector<std::pair<Text, Value>> entries;
        for (const auto& [key, value] : given.named) entries.emplace_back(Text(key, true), value);
        return context_.mapping(std::move(entries));
    }
    const Value* message = given.find(0, "message");
    return context_.refuse(
        message == nullptr ? std::string() : context_.printed(*message).bytes().substr(0, 1'000));
}

Value Evaluator::call_loop(Loop& loop, std::string_view name, const Arguments& given) {
    if (name == "cycle") {
        if (given.plain.empty()) return context_.fail("cycle needs something to cycle through");
        return given.plain[loop.index0 % given.plain.size()];
    }
    Value now = context_.list(given.plain);
    const bool same = loop.changed.as_list() != nullptr && context_.equal(loop.changed, now);
    if (!same) loop.changed = std::move(now);
    return Value::boolean(!same);
}

Value Evaluator::make_namespace(const Arguments& given) {
    auto space = std::make_shared<Namespace>();
    if (!context_.spend(step_cost)) return Value();
    for (const auto& [key, value] : given.named) space->set(key, value);
    namespaces_.push_back(space);
    return Value(Value::Any(std::move(space)));
}

Value Evaluator::range(const Arguments& given) {
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::int64_t step = 1;
    if (given.plain.empty()) return context_.fail("range needs an end");
    to = context_.integer_of(given.plain[0], "range's argument");
    if (given.plain.size() > 1) {
        from = to;
        to = context_.integer_of(given.plain[1], "range's argument");
    }
    if (given.plain.size() > 2) step = context_.integer_of(given.plain[2], "range's step");
    if (context_.failed()) return Value();
    const bool huge = step == 0 || std::abs(from) > INT32_MAX || std::abs(to) > INT32_MAX ||
                      std::abs(step) > INT32_MAX;
    if (huge || (to - from) / step >= range_items_max) {
        return context_.fail("range of more than " + std::to_string(range_items_max) +
                             " items, or without end");
    }
    std::vector<Value> items;
    for (std::int64_t at = from; step > 0 ? at < to : at > to; at += step) {
        items.push_back(Value::integer(at));
    }
    return context_.list(std::move(items));
}

Value Evaluator::strftime_now(const Arguments& given) {
    const Value* format = given.find(0, "format");
    if (format == nullptr) return context_.fail("strftime_now needs a format");
    const std::string pattern(context_.string_of(*format, "strftime_now's format").substr(0, 200));
    const std::time_t now = now_unix_s_;
    std::tm parts{};
    gmtime_r(&now, &parts);
    char buffer[1024];
    const std::size_t size = std::strftime(buffer, sizeof buffer, pattern.c_str(), &parts);
    return context_.text(std::string_view(buffer, size), false);
}

}  // namespace sluice::jinja
