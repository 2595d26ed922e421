#include "providers/local/jinja_value.h"

#include <algorithm>

namespace sluice::jinja {

Value Value::text(Text text) { return Value(Any(std::make_shared<const Text>(std::move(text)))); }

Value Value::text(std::string_view bytes, bool trusted) {
    return text(Text(std::string(bytes), trusted));
}

Value Value::list(std::vector<Value> items) {
    auto list = std::make_shared<List>();
    for (const Value& item : items) list->depth = std::max(list->depth, 1 + item.depth());
    list->items = std::move(items);
    return Value(Any(std::shared_ptr<const List>(std::move(list))));
}

Value Value::mapping(std::vector<std::pair<Text, Value>> entries) {
    auto mapping = std::make_shared<Mapping>();
    for (const auto& [key, value] : entries) {
        mapping->depth = std::max(mapping->depth, 1 + value.depth());
    }
    mapping->entries = std::move(entries);
    return Value(Any(std::shared_ptr<const Mapping>(std::move(mapping))));
}

bool Value::truthy() const {
    if (is_undefined() || is_none()) return false;
    if (const bool* b = as_boolean()) return *b;
    if (const auto* i = as_integer()) return *i != 0;
    if (const auto* d = as_real()) return *d != 0;
    if (const Text* t = as_text()) return !t->empty();
    if (const List* l = as_list()) return !l->items.empty();
    if (const Mapping* m = as_mapping()) return !m->entries.empty();
    return true;
}

int Value::depth() const {
    if (const List* l = as_list()) return l->depth;
    if (const Mapping* m = as_mapping()) return m->depth;
    if (const Loop* l = as_loop()) return std::max(l->items->depth, l->changed.depth()) + 1;
    if (const Callable* c = as_callable()) return c->receiver.depth() + 1;
    return 0;
}

std::string_view Value::type_name() const {
    if (is_undefined()) return "undefined";
    if (is_none()) return "none";
    if (as_boolean() != nullptr) return "a boolean";
    if (as_integer() != nullptr) return "an integer";
    if (as_real() != nullptr) return "a float";
    if (as_text() != nullptr) return "a string";
    if (as_list() != nullptr) return "a list";
    if (as_mapping() != nullptr) return "a mapping";
    if (as_namespace() != nullptr) return "a namespace";
    if (as_loop() != nullptr) return "a loop";
    return "a function";
}

bool Value::whole_number(std::int64_t& out) const {
    if (const bool* b = as_boolean()) {
        out = *b ? 1 : 0;
        return true;
    }
    if (const auto* i = as_integer()) {
        out = *i;
        return true;
    }
    return false;
}

bool Value::number(double& out) const {
    if (const auto* d = as_real()) {
        out = *d;
        return true;
    }
    std::int64_t whole = 0;
    if (!whole_number(whole)) return false;
    out = static_cast<double>(whole);
    return true;
}

const Value* Mapping::find(std::string_view key) const {
    for (const auto& [name, value] : entries) {
        if (name.bytes() == key) return &value;
    }
    return nullptr;
}

void Namespace::set(const std::string& name, Value value) {
    for (auto& [known, held] : entries) {
        if (known == name) {
            held = std::move(value);
            return;
        }
    }
    entries.emplace_back(name, std::move(value));
}

const Value* Namespace::find(std::string_view name) const {
    for (const auto& [known, held] : entries) {
        if (known == name) return &held;
    }
    return nullptr;
}

}  // namespace sluice::jinja
