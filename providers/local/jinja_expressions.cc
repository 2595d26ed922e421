#include <array>
#include <cmath>
#include <ctime>

#include "providers/local/jinja_filters.h"
#include "providers/local/jinja_methods.h"
#include "providers/local/jinja_renderer.h"
#include "providers/local/jinja_tests.h"

namespace sluice::jinja {

using Kind = Expression::Kind;

void Scopes::set(const std::string& name, Value value) {
    Variables& variables = frames_.back().variables;
    for (auto& [known, held] : variables) {
        if (known == name) {
            held = std::move(value);
            return;
        }
    }
    variables.emplace_back(name, std::move(value));
}

const Value* Scopes::find(std::string_view name) const {
    for (std::size_t i = frames_.size(); i-- > 0;) {
        for (const auto& [known, held] : frames_[i].variables) {
            if (known == name) return &held;
        }
        if (frames_[i].closed) i = 1;
    }
    return nullptr;
}

Evaluator::~Evaluator() {
    for (const auto& space : namespaces_) space->entries.clear();
}

Evaluator::Level::Level(Evaluator& evaluator, Position at)
    : evaluator_(evaluator), before_(evaluator.context_.position()) {
    if (!evaluator_.context_.failed()) evaluator_.context_.at(at);
    evaluator_.context_.spend(step_cost);
    if (++evaluator_.levels_ > evaluation_depth_max) {
        evaluator_.context_.fail("macros or expressions nested too deeply");
    }
}

Evaluator::Level::~Level() {
    --evaluator_.levels_;
    evaluator_.context_.at(before_);
}

Value Evaluator::evaluate(const Expression& expression) {
    const Level level(*this, expression.at);
    return level ? dispatch(expression) : Value();
}

Value Evaluator::dispatch(const Expression& e) {
    const auto child = [&](std::size_t i) { return evaluate(*e.children[i]); };
    switch (e.kind) {
        case Kind::constant:
            return e.value;
        case Kind::name:
            return name(e);
        case Kind::list: {
            std::vector<Value> items;
            for (const auto& item : e.children) items.push_back(evaluate(*item));
            return context_.list(std::move(items));
        }
        case Kind::mapping:
            return mapping(e);
        case Kind::negate: {
            const Value value = child(0);
            if (value.as_real() != nullptr) return reals("-", 0, *value.as_real());
            return integers("-", 0, context_.integer_of(value, "what '-' stands before"));
        }
        case Kind::plus: {
            Value value = child(0);
            double number = 0;
            if (!value.number(number)) context_.fail("'+' stands before something not a number");
            return value;
        }
        case Kind::logical_not:
            return Value::boolean(!child(0).truthy());
        case Kind::logical_and: {
            Value left = child(0);
            return left.truthy() ? child(1) : left;
        }
        case Kind::logical_or: {
            Value left = child(0);
            return left.truthy() ? left : child(1);
        }
        case Kind::arithmetic:
            return arithmetic(e);
        case Kind::concat:
            return concat(e);
        case Kind::compare:
            return compare(e);
        case Kind::conditional:
            if (child(1).truthy()) return child(0);
            return e.children.size() > 2 ? child(2) : Value::undefined("the missing else");
        case Kind::attribute:
            return attribute(child(0), e.text);
        case Kind::item: {
            const Value of = child(0);
            return item(of, child(1));
        }
        case Kind::slice:
            return slice(e);
        case Kind::call:
            return call(e);
        case Kind::filter: {
            const Value input = child(0);
            const Arguments given = arguments(e);
            return context_.failed() ? Value() : e.filter->apply(context_, input, given);
        }
        case Kind::test:
            return Value::boolean(test(e));
    }
    return Value();
}

bool Evaluator::test(const Expression& e) {
    const Value input = evaluate(*e.children[0]);
    const Arguments given = arguments(e);
    return !context_.failed() && e.test->holds(context_, input, given) != e.negated;
}

Value Evaluator::name(const Expression& e) {
    if (const Value* value = scopes_.find(e.text)) return *value;
    for (const std::string_view function :
         {"namespace", "range", "raise_exception", "strftime_now", "dict"}) {
        if (function != e.text) continue;
        auto callable = std::make_shared<Callable>();
        callable->name = e.text;
        return Value(Value::Any(std::shared_ptr<const Callable>(std::move(callable))));
    }
    return Value::undefined(e.text);
}

Value Evaluator::mapping(const Expression& e) {
    std::vector<std::pair<Text, Value>> entries;
    for (std::size_t i = 0; i + 1 < e.children.size(); i += 2) {
        const Value key = evaluate(*e.children[i]);
        Value value = evaluate(*e.children[i + 1]);
        if (key.as_text() == nullptr) return context_.fail("the keys of a mapping are strings");
        std::erase_if(entries, [&](const auto& entry) {
            return entry.first.bytes() == key.as_text()->bytes();
        });
        entries.emplace_back(*key.as_text(), std::move(value));
    }
    return context_.mapping(std::move(entries));
}

Value Evaluator::repeated(const Text& text, std::int64_t times) {
    Text out;
    for (std::int64_t i = 0; i < times && context_.spend(text.size() + 1); ++i) out.append(text);
    return context_.text(std::move(out));
}

Value Evaluator::arithmetic(const Expression& e) {
    const Value a = evaluate(*e.children[0]);
    const Value b = evaluate(*e.children[1]);
    if (context_.failed()) return Value();
    std::int64_t i = 0;
    std::int64_t j = 0;
    double x = 0;
    double y = 0;
    const bool whole = a.whole_number(i) && b.whole_number(j);
    if (whole && e.text != "/" && !(e.text == "**" && j < 0)) return integers(e.text, i, j);
    if (a.number(x) && b.number(y)) return reals(e.text, x, y);
    if (e.text == "+" && a.as_text() != nullptr && b.as_text() != nullptr) {
        if (!context_.spend(a.as_text()->size() + b.as_text()->size())) return Value();
        Text both = *a.as_text();
        both.append(*b.as_text());
        return Value::text(std::move(both));
    }
    if (e.text == "+" && a.as_list() != nullptr && b.as_list() != nullptr) {
        std::vector<Value> both = context_.items_of(a);
        const std::vector<Value> more = context_.items_of(b);
        both.insert(both.end(), more.begin(), more.end());
        return context_.list(std::move(both));
    }
    if (e.text == "*" && a.as_text() != nullptr && b.whole_number(j)) {
        return repeated(*a.as_text(), j);
    }
    if (e.text == "*" && b.as_text() != nullptr && a.whole_number(i)) {
        return repeated(*b.as_text(), i);
    }
    std::string undefined;
    for (const Value* side : {&a, &b}) {
        if (const auto* missing = std::get_if<Undefined>(&side->any())) {
            undefined = " ('" + missing->name + "' is undefined)";
        }
    }
    return context_.fail("'" + e.text + "' between " + std::string(a.type_name()) + " and " +
                         std::string(b.type_name()) + undefined);
}

Value Evaluator::integers(std::string_view how, std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    bool overflow = false;
    if (how == "+") {
        overflow = __builtin_add_overflow(a, b, &out);
    } else if (how == "-") {
        overflow = __builtin_sub_overflow(a, b, &out);
    } else if (how == "*") {
        overflow = __builtin_mul_overflow(a, b, &out);
    } else if (how == "**") {
        out = 1;
        for (std::int64_t i = 0; i < b && !overflow && context_.spend(step_cost); ++i) {
            overflow = __builtin_mul_overflow(out, a, &out);
        }
    } else if (b == 0) {
        return context_.fail("division by zero");
    } else if (b == -1) {
        overflow = how == "//" && __builtin_sub_overflow(std::int64_t{0}, a, &out);
    } else {  // Python rounds down
        const std::int64_t down = a % b != 0 && ((a < 0) != (b < 0)) ? 1 : 0;
        out = how == "//" ? a / b - down : a % b + down * b;
    }
    return overflow ? context_.fail("integer overflow") : Value::integer(out);
}

Value Evaluator::reals(std::string_view how, double a, double b) {
    if (how == "+") return Value::real(a + b);
    if (how == "-") return Value::real(a - b);
    if (how == "*") return Value::real(a * b);
    if (how == "**") return Value::real(std::pow(a, b));
    if (b == 0) return context_.fail("division by zero");
    if (how == "/") return Value::real(a / b);
    const double floor = std::floor(a / b);
    return Value::real(how == "//" ? floor : a - floor * b);
}

Value Evaluator::concat(const Expression& e) {
    const Value left = evaluate(*e.children[0]);
    const Value right = evaluate(*e.children[1]);
    Text both = context_.printed(left);
    both.append(context_.printed(right));
    return Value::text(std::move(both));
}

bool Evaluator::holds(std::string_view how, const Value& left, const Value& right) {
    if (how == "==") return context_.equal(left, right);
    if (how == "!=") return !context_.equal(left, right);
    if (how == "in") return context_.contains(right, left);
    if (how == "not in") return !context_.contains(right, left);
    if (how == "<") return context_.less(left, right);
    if (how == ">") return context_.less(right, left);
    if (how == "<=") return !context_.less(right, left);
    return !context_.less(left, right);
}

Value Evaluator::compare(const Expression& e) {
    Value left = evaluate(*e.children[0]);
    for (std::size_t i = 0; i < e.names.size(); ++i) {
        Value right = evaluate(*e.children[i + 1]);
        if (context_.failed() || !holds(e.names[i], left, right)) return Value::boolean(false);
        left = std::move(right);
    }
    return Value::boolean(true);
}

Value Evaluator::loop_attribute(const Loop& loop, std::string_view name) {
    const auto& items = loop.items->items;
    const auto number = [](std::size_t n) { return Value::integer(static_cast<std::int64_t>(n)); };
    const std::size_t i = loop.index0;
    if (name == "index0") return number(i);
    if (name == "index") return number(i + 1);
    if (name == "first") return Value::boolean(i == 0);
    if (name == "last") return Value::boolean(i + 1 == items.size());
    if (name == "length") return number(items.size());
    if (name == "revindex") return number(items.size() - i);
    if (name == "revindex0") return number(items.size() - i - 1);
    if (name == "previtem") return i == 0 ? Value::undefined("loop.previtem") : items[i - 1];
    if (name == "nextitem") {
        return i + 1 < items.size() ? items[i + 1] : Value::undefined("loop.nextitem");
    }
    if (name == "depth" || name == "depth0") return number(name == "depth" ? 1 : 0);
    return Value::undefined(name);
}

Value Evaluator::attribute(const Value& of, const std::string& name) {
    if (const auto* missing = std::get_if<Undefined>(&of.any())) {
        if (context_.failed()) return Value();
        return context_.fail("'" + missing->name + "' is undefined, so it has no '" + name + "'");
    }
    const bool loop_method = of.as_loop() != nullptr && (name == "cycle" || name == "changed");
    if (loop_method || has_method(of, name)) {
        auto method = std::make_shared<Callable>();
        method->kind = Callable::Kind::method;
        method->name = name;
        method->receiver = of;
        return Value(Value::Any(std::shared_ptr<const Callable>(std::move(method))));
    }
    if (of.as_loop() != nullptr) return loop_attribute(*of.as_loop(), name);
    const Value* found = nullptr;
    if (const Mapping* mapping = of.as_mapping()) {
        context_.spend(mapping->entries.size());
        found = mapping->find(name);
    } else if (const Namespace* space = of.as_namespace()) {
        found = space->find(name);
    }
    return found == nullptr ? Value::undefined(name) : *found;
}

Value Evaluator::item(const Value& of, const Value& key) {
    std::int64_t index = 0;
    if (context_.failed()) return Value();
    if (key.as_text() != nullptr) {
        const Mapping* mapping = of.as_mapping();
        const std::string& name = key.as_text()->bytes();
        const Value* found = mapping == nullptr ? nullptr : mapping->find(name);
        if (found != nullptr) {
            context_.spend(mapping->entries.size());
            return *found;
        }
        return attribute(of, name);
    }
    if (!of.is_undefined() && !key.whole_number(index)) return Value::undefined("an item");
    if (const List* list = of.as_list()) {
        const auto size = static_cast<std::int64_t>(list->items.size());
        if (index < 0) index += size;
        if (index < 0 || index >= size) return Value::undefined("an item past the end");
        return list->items[static_cast<std::size_t>(index)];
    }
    if (const Text* text = of.as_text()) {
        context_.spend(2 * text->size());
        if (index < 0) index += static_cast<std::int64_t>(char_count(text->bytes()));
        if (index < 0) return Value::undefined("a character before the start");
        const std::size_t from = char_offset(text->bytes(), static_cast<std::size_t>(index));
        if (from >= text->size()) return Value::undefined("a character past the end");
        std::size_t to = from;
        next_char(text->bytes(), to);
        return context_.text(text->slice(from, to - from));
    }
    return attribute(of, "[...]");
}

// Python's rules for the parts of a slice.
Value Evaluator::slice(const Expression& e) {
    const Value of = evaluate(*e.children[0]);
    std::array<std::int64_t, 3> part = {0, 0, 1};
    std::array<bool, 3> given = {};
    for (std::size_t i = 0; i < 3; ++i) {
        if (!e.children[i + 1]) continue;
        const Value value = evaluate(*e.children[i + 1]);
        given[i] = !value.is_none();
        if (given[i]) part[i] = context_.integer_of(value, "a part of a slice");
    }
    if (context_.failed()) return Value();
    if (of.as_list() == nullptr && of.as_text() == nullptr) {
        return context_.fail(std::string(of.type_name()) + " cannot be cut into a slice");
    }
    const std::vector<Value> items = context_.items_of(of);
    const auto size = static_cast<std::int64_t>(items.size());
    const std::int64_t step = part[2];
    if (step == 0 || step < -size - 1)
        return context_.fail("a slice's step must be a small number");
    const std::int64_t least = step < 0 ? -1 : 0;
    const std::int64_t most = step < 0 ? size - 1 : size;
    const auto bound = [&](std::size_t i, std::int64_t otherwise) {
        if (!given[i]) return otherwise;
        const std::int64_t at = part[i] < 0 && part[i] >= -size ? part[i] + size
                                : part[i] < 0                   ? least
                                                                : part[i];
        return std::min(std::max(at, least), most);
    };
    const std::int64_t from = bound(0, step < 0 ? most : least);
    const std::int64_t to = bound(1, step < 0 ? least : most);
    std::vector<Value> cut;
    for (std::int64_t at = from; step < 0 ? at > to : at < to;) {
        cut.push_back(items[static_cast<std::size_t>(at)]);
        if (step > 0 && at > to - step) break;
        at += step;
    }
    if (of.as_list() != nullptr) return context_.list(std::move(cut));
    Text text;
    for (const Value& c : cut) text.append(*c.as_text());
    return context_.text(std::move(text));
}

}  // namespace sluice::jinja
