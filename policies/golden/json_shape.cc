#include "policies/golden/json_shape.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "providers/json_fault.h"

namespace sluice {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string_view without_fence(std::string_view text) {
    auto trim = [](std::string_view one) {
        std::size_t first = one.find_first_not_of(" \t\r\n");
        if (first == std::string_view::npos) return std::string_view();
        return one.substr(first, one.find_last_not_of(" \t\r\n") - first + 1);
    };
    text = trim(text);
    if (text.size() < 6 || !text.starts_with("```") || !text.ends_with("```")) return text;
    std::size_t line = text.find('\n');
    if (line == std::string_view::npos || line + 3 > text.size()) return text;
    return trim(text.substr(line, text.size() - 3 - line));
}

const char* type_name(element_type type) {
    switch (type) {
        case element_type::ARRAY:
            return "array";
        case element_type::OBJECT:
            return "object";
        case element_type::INT64:
        case element_type::UINT64:
        case element_type::DOUBLE:
            return "number";
        case element_type::STRING:
            return "string";
        case element_type::BOOL:
            return "boolean";
        case element_type::NULL_VALUE:
            return "null";
    }
    return "?";
}

bool is_number(const element& value) {
    return value.type() == element_type::INT64 || value.type() == element_type::UINT64 ||
           value.type() == element_type::DOUBLE;
}

double number_of(const element& value) {
    double out = 0;
    return value.get_double().get(out) ? 0 : out;
}

bool of_type(const element& value, const std::string& type) {
    if (type == "integer")
        return is_number(value) && std::floor(number_of(value)) == number_of(value);
    return type == type_name(value.type());
}

bool same(const element& value, const JsonScalar& wanted) {
    if (std::holds_alternative<std::nullptr_t>(wanted)) return value.is_null();
    if (auto* flag = std::get_if<bool>(&wanted)) {
        bool is = false;
        return !value.get_bool().get(is) && is == *flag;
    }
    if (auto* number = std::get_if<double>(&wanted))
        return is_number(value) && number_of(value) == *number;
    std::string_view text;
    return !value.get_string().get(text) && text == std::get<std::string>(wanted);
}

std::string bound_fault(const std::string& path, const std::string& what, double got,
                        std::optional<double> low, std::optional<double> high) {
    char text[96];
    if (low && got < *low) {
        std::snprintf(text, sizeof text, "%s %g is below %g", what.c_str(), got, *low);
        return path + ": " + text;
    }
    if (high && got > *high) {
        std::snprintf(text, sizeof text, "%s %g is above %g", what.c_str(), got, *high);
        return path + ": " + text;
    }
    return "";
}

std::optional<double> as_double(const std::optional<std::int64_t>& count) {
    if (!count) return {};
    return static_cast<double>(*count);
}

std::string text_fault(const JsonShape& shape, std::string_view text, const std::string& path) {
    auto starts =
        std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
    std::string fault = bound_fault(path, "its length", static_cast<double>(starts),
                                    as_double(shape.length_min), as_double(shape.length_max));
    if (fault.empty() && shape.pattern && !shape.pattern->found_in(text))
        return path + ": does not match the pattern";
    return fault;
}

constexpr std::int64_t steps_max = 200'000;
constexpr int definitions_deep_max = 64;  // without a step down into the value between

// One look at a value. All keywords of a shape hold at once, so the first fault is the answer.
class Look {
public:
    explicit Look(const JsonShape& root) : root_(root) {}
    bool whole() const { return steps_left_ > 0 && !in_circles_; }

    std::string fault_at(const JsonShape& shape, const element& value, const std::string& path,
                         int deep = 0) {
        if (--steps_left_ <= 0) return "";
        std::string fault = own_fault(shape, value, path);
        if (fault.empty() && !shape.definition.empty())
            fault = definition_fault(shape.definition, value, path, deep + 1);
        if (fault.empty() && !shape.any_of.empty())
            fault = any_of_fault(shape.any_of, value, path, deep + 1);
        return fault;
    }

private:
    std::string definition_fault(const std::string& name, const element& value,
                                 const std::string& path, int deep) {
        auto known = root_.definitions.find(name);
        if (deep > definitions_deep_max) in_circles_ = true;
        if (deep > definitions_deep_max || (name != "#" && known == root_.definitions.end()))
            return "";
        return fault_at(name == "#" ? root_ : known->second, value, path, deep);
    }

    std::string any_of_fault(const std::vector<JsonShape>& shapes, const element& value,
                             const std::string& path, int deep) {
        std::string first;
        for (const JsonShape& shape : shapes) {
            std::string fault = fault_at(shape, value, path, deep);
            if (fault.empty()) return "";
            if (first.empty()) first = std::move(fault);
        }
        return path + ": none of " + std::to_string(shapes.size()) +
               " alternatives holds, the first one because of " + first;
    }

    std::string own_fault(const JsonShape& shape, const element& value, const std::string& path) {
        bool typed = shape.types.empty() || std::any_of(shape.types.begin(), shape.types.end(),
                                                        [&value](const std::string& type) {
                                                            return of_type(value, type);
                                                        });
        if (!typed) {
            std::string wanted;
            for (const std::string& type : shape.types)
                wanted += (wanted.empty() ? "" : " or ") + type;
            return path + ": expected " + wanted + ", got " + type_name(value.type());
        }
        if (shape.one_of && std::none_of(shape.one_of->begin(), shape.one_of->end(),
                                         [&value](const auto& one) { return same(value, one); }))
            return path + ": not one of the values that are right";
        if (is_number(value))
            return bound_fault(path, "the number", number_of(value), shape.minimum, shape.maximum);
        std::string_view text;
        if (!value.get_string().get(text)) return text_fault(shape, text, path);
        simdjson::dom::object object;
        if (!value.get_object().get(object)) return object_fault(shape, object, path);
        simdjson::dom::array array;
        if (!value.get_array().get(array)) return array_fault(shape, array, path);
        return "";
    }

    std::string object_fault(const JsonShape& shape, const simdjson::dom::object& object,
                             const std::string& path) {
        for (const std::string& name : shape.required)
            if (object.at_key(name).error()) return path + ": missing '" + name + "'";
        for (auto field : object) {
            auto known = shape.properties.find(field.key);
            std::string inner = path + "." + std::string(field.key);
            if (known == shape.properties.end()) {
                if (!shape.others_allowed) return inner + ": not expected";
                continue;
            }
            std::string fault = fault_at(known->second, field.value, inner);
            if (!fault.empty()) return fault;
        }
        return "";
    }

    std::string array_fault(const JsonShape& shape, const simdjson::dom::array& array,
                            const std::string& path) {
        std::int64_t index = 0;
        for (auto item : array) {
            std::string inner = path + "[" + std::to_string(index++) + "]";
            std::string fault = shape.items ? fault_at(*shape.items, item, inner) : "";
            if (!fault.empty()) return fault;
        }
        return bound_fault(path, "its number of items", static_cast<double>(index),
                           as_double(shape.items_min), as_double(shape.items_max));
    }

    const JsonShape& root_;
    std::int64_t steps_left_ = steps_max;
    bool in_circles_ = false;
};

}  // namespace

std::string json_shape_fault(const JsonShape& shape, std::string_view text) {
    return judge_json(shape, text).fault;
}

JsonVerdict judge_json(const JsonShape& shape, std::string_view text) {
    std::string_view json = without_fence(text);
    if (auto fault = find_json_fault(json))
        return {"not JSON: " + fault->message + " at " + json_place(json, fault->offset)};
    simdjson::dom::parser parser;
    element root;
    if (parser.parse(simdjson::padded_string(json)).get(root)) return {"not JSON"};
    Look look(shape);
    std::string fault = look.fault_at(shape, root, "$");
    return {std::move(fault), look.whole()};
}

}  // namespace sluice
