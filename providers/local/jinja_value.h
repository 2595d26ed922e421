// The values of a chat template: what Python's would be, as far as templates use them. Lists and
// mappings are immutable once made, so only a namespace can close a cycle; the evaluator owns the
// namespaces and empties them. Every container knows its depth, which the Context limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "providers/local/jinja_text.h"

namespace sluice::jinja {

struct List;
struct Mapping;
struct Namespace;
struct Loop;
struct Callable;
struct MacroStatement;

struct Undefined {
    std::string name;  // what was looked up, for messages
};
struct None {};

class Value {
public:
    using Any = std::variant<Undefined, None, bool, std::int64_t, double,
                             std::shared_ptr<const Text>, std::shared_ptr<const List>,
                             std::shared_ptr<const Mapping>, std::shared_ptr<Namespace>,
                             std::shared_ptr<Loop>, std::shared_ptr<const Callable>>;

    Value() = default;  // undefined
    explicit Value(Any any) : any_(std::move(any)) {}

    static Value none() { return Value(Any(None())); }
    static Value undefined(std::string_view name) {
        return Value(Any(Undefined{std::string(name)}));
    }
    static Value boolean(bool b) { return Value(Any(b)); }
    static Value integer(std::int64_t i) { return Value(Any(i)); }
    static Value real(double d) { return Value(Any(d)); }
    static Value text(Text text);
    static Value text(std::string_view bytes, bool trusted);
    static Value list(std::vector<Value> items);
    static Value mapping(std::vector<std::pair<Text, Value>> entries);

    bool is_undefined() const { return std::holds_alternative<Undefined>(any_); }
    bool is_none() const { return std::holds_alternative<None>(any_); }
    const bool* as_boolean() const { return std::get_if<bool>(&any_); }
    const std::int64_t* as_integer() const { return std::get_if<std::int64_t>(&any_); }
    const double* as_real() const { return std::get_if<double>(&any_); }
    const Text* as_text() const { return pointee<const Text>(); }
    const List* as_list() const { return pointee<const List>(); }
    const Mapping* as_mapping() const { return pointee<const Mapping>(); }
    Namespace* as_namespace() const { return pointee<Namespace>(); }
    Loop* as_loop() const { return pointee<Loop>(); }
    const Callable* as_callable() const { return pointee<const Callable>(); }
    const Any& any() const { return any_; }

    bool truthy() const;
    int depth() const;                   // 0 for what holds nothing
    std::string_view type_name() const;  // in words a template's author knows
    // The number in a bool, int or float.
    bool number(double& out) const;
    // The integer in a bool or int.
    bool whole_number(std::int64_t& out) const;

private:
    template <class T>
    T* pointee() const {
        const auto* held = std::get_if<std::shared_ptr<T>>(&any_);
        return held == nullptr ? nullptr : held->get();
    }
    Any any_;
};

struct List {
    std::vector<Value> items;
    int depth = 1;
};

struct Mapping {
    std::vector<std::pair<Text, Value>> entries;  // in order, keys unique
    int depth = 1;
    const Value* find(std::string_view key) const;
};

struct Namespace {
    std::vector<std::pair<std::string, Value>> entries;
    void set(const std::string& name, Value value);
    const Value* find(std::string_view name) const;
};

// The `loop` of a for statement.
struct Loop {
    std::shared_ptr<const List> items;
    std::size_t index0 = 0;
    Value changed;  // arguments of the last loop.changed()
};

struct Callable {
    enum class Kind { function, method, macro };
    Kind kind = Kind::function;
    std::string name;
    Value receiver;                         // method
    const MacroStatement* macro = nullptr;  // of the template, which outlives the rendering
};

}  // namespace sluice::jinja
