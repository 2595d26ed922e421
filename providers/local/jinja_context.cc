#include "providers/local/jinja_context.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/log.h"

namespace sluice::jinja {

const Value* Arguments::find(std::size_t index, std::string_view name) const {
    if (index < plain.size()) return &plain[index];
    for (const auto& [known, value] : named) {
        if (known == name) return &value;
    }
    return nullptr;
}

Value Context::fail(const std::string& message) {
    if (!fault_) fault_ = template_fault(at_, message);
    return Value();
}

Value Context::refuse(const std::string& message) {
    if (!fault_) {
        fault_ =
            Error(Errc::invalid_request,
                  "the model's chat template refuses the conversation: " + message, "messages");
    }
    return Value();
}

bool Context::spend(std::uint64_t cost) {
    if (cost <= left_ && !fault_) {
        left_ -= cost;
        return true;
    }
    left_ = 0;
    fail("the template does more work than a conversation of this size allows");
    return false;
}

Value Context::text(Text text) {
    return spend(text.size()) ? Value::text(std::move(text)) : Value();
}

Value Context::list(std::vector<Value> items) {
    if (!spend(items.size() * item_cost)) return Value();
    Value list = Value::list(std::move(items));
    if (list.depth() > value_depth_max) return fail("lists or mappings nested too deeply");
    return list;
}

Value Context::mapping(std::vector<std::pair<Text, Value>> entries) {
    if (!spend(entries.size() * item_cost)) return Value();
    Value mapping = Value::mapping(std::move(entries));
    if (mapping.depth() > value_depth_max) return fail("lists or mappings nested too deeply");
    return mapping;
}

bool Context::equal(const Value& a, const Value& b) {
    if (!spend(8)) return false;
    double x = 0;
    double y = 0;
    std::int64_t i = 0;
    std::int64_t j = 0;
    if (a.whole_number(i) && b.whole_number(j)) return i == j;
    if (a.number(x) && b.number(y)) return x == y;
    if (a.as_text() != nullptr && b.as_text() != nullptr) {
        return a.as_text()->size() == b.as_text()->size() && spend(a.as_text()->size()) &&
               a.as_text()->bytes() == b.as_text()->bytes();
    }
    if (a.as_list() != nullptr && b.as_list() != nullptr) {
        const auto& left = a.as_list()->items;
        const auto& right = b.as_list()->items;
        if (left.size() != right.size()) return false;
        for (std::size_t k = 0; k < left.size(); ++k) {
            if (!equal(left[k], right[k])) return false;
        }
        return true;
    }
    if (a.as_mapping() != nullptr && b.as_mapping() != nullptr) {
        const auto& left = a.as_mapping()->entries;
        if (left.size() != b.as_mapping()->entries.size()) return false;
        for (const auto& [key, value] : left) {
            const Value* other = b.as_mapping()->find(key.bytes());
            if (other == nullptr || !spend(left.size()) || !equal(value, *other)) return false;
        }
        return true;
    }
    if (a.is_none() || a.is_undefined()) return a.any().index() == b.any().index();
    if (a.as_namespace() != nullptr) return a.as_namespace() == b.as_namespace();
    return false;
}

bool Context::less(const Value& a, const Value& b) {
    double x = 0;
    double y = 0;
    if (a.number(x) && b.number(y)) return x < y;
    if (a.as_text() != nullptr && b.as_text() != nullptr) {
        return spend(a.as_text()->size() + 8) && a.as_text()->bytes() < b.as_text()->bytes();
    }
    fail(std::string(a.type_name()) + " and " + std::string(b.type_name()) + " have no order");
    return false;
}

bool Context::contains(const Value& container, const Value& what) {
    if (const Text* text = container.as_text()) {
        if (what.as_text() == nullptr) {
            fail("'in' a string needs a string on its left, not " + std::string(what.type_name()));
            return false;
        }
        return find(text->bytes(), what.as_text()->bytes()) != std::string_view::npos;
    }
    if (const Mapping* mapping = container.as_mapping()) {
        return spend(mapping->entries.size()) && what.as_text() != nullptr &&
               mapping->find(what.as_text()->bytes()) != nullptr;
    }
    if (const List* list = container.as_list()) {
        for (const Value& item : list->items) {
            if (equal(item, what)) return true;
        }
        return false;
    }
    if (!container.is_undefined()) {
        fail("'in' needs a string, a list or a mapping on its right, not " +
             std::string(container.type_name()));
    }
    return false;
}

std::string float_text(double d) {
    if (std::isnan(d)) return "nan";
    if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
    const double size = std::fabs(d);
    char buffer[512];
    const auto format = size != 0 && (size < 1e-4 || size >= 1e16) ? std::chars_format::scientific
                                                                   : std::chars_format::fixed;
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, d, format);
    std::string text(buffer, end.ptr);
    if (format == std::chars_format::fixed && text.find('.') == std::string::npos) text += ".0";
    return text;
}

Text Context::printed(const Value& value) {
    if (const Text* text = value.as_text()) {
        return spend(text->size()) ? *text : Text();
    }
    std::string out;
    if (!value.is_undefined()) append_repr(out, value);
    return Text(std::move(out), false);
}

namespace {

void append_python_string(std::string& out, std::string_view text) {
    const bool doubled =
        text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = doubled ? '"' : '\'';
    out += quote;
    for (const char c : text) {
        if (c == quote || c == '\\') out += '\\';
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            static constexpr char hex[] = "0123456789abcdef";
            out += "\\x";
            out += hex[static_cast<unsigned char>(c) >> 4U];
            out += hex[static_cast<unsigned char>(c) & 0xFU];
        } else {
            out += c;
        }
    }
    out += quote;
}

}  // namespace

void Context::append_repr(std::string& out, const Value& value) {
    const std::size_t before = out.size();
    if (const Text* text = value.as_text()) {
        append_python_string(out, text->bytes());
    } else if (const bool* b = value.as_boolean()) {
        out += *b ? "True" : "False";
    } else if (const auto* i = value.as_integer()) {
        out += std::to_string(*i);
    } else if (const auto* d = value.as_real()) {
        out += float_text(*d);
    } else if (value.is_none()) {
        out += "None";
    } else if (value.is_undefined()) {
        out += "Undefined";
    } else if (value.as_list() != nullptr || value.as_mapping() != nullptr) {
        const List* list = value.as_list();
        out += list != nullptr ? '[' : '{';
        const std::size_t size =
            list != nullptr ? list->items.size() : value.as_mapping()->entries.size();
        for (std::size_t k = 0; k < size && !failed(); ++k) {
            if (k > 0) out += ", ";
            if (list != nullptr) {
                append_repr(out, list->items[k]);
            } else {
                const auto& [key, item] = value.as_mapping()->entries[k];
                append_python_string(out, key.bytes());
                out += ": ";
                append_repr(out, item);
            }
        }
        out += list != nullptr ? ']' : '}';
        spend(2);
        return;
    } else {
        fail(std::string(value.type_name()) + " cannot be printed");
    }
    spend(1 + out.size() - before);
}

void Context::append_break(std::string& out, int indent, int level) {
    if (indent < 0) return;
    const auto spaces = static_cast<std::size_t>(indent) * static_cast<std::size_t>(level);
    if (!spend(spaces + 1)) return;
    out += '\n';
    out.append(spaces, ' ');
}

void Context::append_json(std::string& out, const Value& value, int indent, int level) {
    const std::size_t before = out.size();
    if (const Text* text = value.as_text()) {
        append_json_string(out, text->bytes());
    } else if (const bool* b = value.as_boolean()) {
        out += *b ? "true" : "false";
    } else if (const auto* i = value.as_integer()) {
        out += std::to_string(*i);
    } else if (const auto* d = value.as_real()) {
        out += std::isnan(*d)   ? "NaN"
               : std::isinf(*d) ? (*d > 0 ? "Infinity" : "-Infinity")
                                : float_text(*d);
    } else if (value.is_none()) {
        out += "null";
    } else if (value.as_list() != nullptr || value.as_mapping() != nullptr) {
        const List* list = value.as_list();
        const std::size_t size =
            list != nullptr ? list->items.size() : value.as_mapping()->entries.size();
        out += list != nullptr ? '[' : '{';
        for (std::size_t k = 0; k < size && !failed(); ++k) {
            if (k > 0) out += indent < 0 ? ", " : ",";
            append_break(out, indent, level + 1);
            if (list != nullptr) {
                append_json(out, list->items[k], indent, level + 1);
            } else {
                const auto& [key, item] = value.as_mapping()->entries[k];
                append_json_string(out, key.bytes());
                out += ": ";
                spend(key.size());
                append_json(out, item, indent, level + 1);
            }
        }
        if (size > 0) append_break(out, indent, level);
        out += list != nullptr ? ']' : '}';
        spend(4);
        return;
    } else {
        fail(std::string(value.type_name()) + " has no form in JSON");
    }
    spend(1 + out.size() - before);
}

std::vector<Value> Context::items_of(const Value& value) {
    std::vector<Value> items;
    if (const List* list = value.as_list()) {
        if (spend(list->items.size() * item_cost)) items = list->items;
    } else if (const Mapping* mapping = value.as_mapping()) {
        if (!spend(mapping->entries.size() * item_cost)) return items;
        for (const auto& entry : mapping->entries) items.push_back(text(entry.first));
    } else if (const Text* string = value.as_text()) {
        for (std::size_t at = 0; at < string->size() && spend(step_cost);) {
            const std::size_t from = at;
            next_char(string->bytes(), at);
            items.push_back(Value::text(string->slice(from, at - from)));
        }
    } else if (!value.is_undefined()) {
        fail(std::string(value.type_name()) + " cannot be gone over");
    }
    return items;
}

std::int64_t Context::integer_of(const Value& value, std::string_view what) {
    std::int64_t integer = 0;
    if (!value.whole_number(integer)) {
        fail(std::string(what) + " must be an integer, not " + std::string(value.type_name()));
    }
    return integer;
}

std::string_view Context::string_of(const Value& value, std::string_view what) {
    if (const Text* text = value.as_text()) return text->bytes();
    fail(std::string(what) + " must be a string, not " + std::string(value.type_name()));
    return {};
}

std::size_t Context::find(std::string_view text, std::string_view what, std::size_t from) {
    const std::size_t rest = text.size() - std::min(from, text.size());
    const std::size_t effort = 1 + what.size() / 64;  // the search compares at every byte
    if (rest * effort > left_) {
        spend(rest * effort);
        return std::string_view::npos;
    }
    const std::size_t at = text.find(what, from);
    spend((at == std::string_view::npos ? rest : at - from) * effort + what.size());
    return at;
}

std::size_t Context::rfind(std::string_view text, std::string_view what) {
    if (!spend(text.size() * (1 + what.size() / 64))) return std::string_view::npos;
    return text.rfind(what);
}

std::string_view Context::strip_set(const Value* given) {
    if (given == nullptr || given->is_none()) return {};
    const std::string_view set = string_of(*given, "the characters to strip");
    if (set.size() > 64) fail("at most 64 bytes of characters to strip");
    return set;
}

}  // namespace sluice::jinja
