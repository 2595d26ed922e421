#include "policies/golden/json_shape.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <utility>

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

std::string bound_fault(const char* what, double got, std::optional<double> low,
                        std::optional<double> high) {
    char text[96];
    text[0] = 0;
    if (low && got < *low)
        std::snprintf(text, sizeof text, "%s %g is below %g", what, got, *low);
    else if (high && got > *high)
        std::snprintf(text, sizeof text, "%s %g is above %g", what, got, *high);
    return text;
}

std::optional<double> as_double(const std::optional<std::int64_t>& count) {
    if (!count) return {};
    return static_cast<double>(*count);
}

constexpr int deep_max = 512;  // all steps together: into the value, a definition, an alternative
constexpr std::size_t key_bytes_max = 64;  // of a fault's path
constexpr std::size_t path_bytes_max = 1'024;

// One look at a value. All keywords of a shape hold at once, so the first fault is the answer. Work
// is paid for in steps before it is done; once they are spent nothing is a fault any more. Texts
// are made of a fault that stands only: those of alternatives that fail are many.
class Look {
public:
    Look(const JsonShape& root, std::int64_t steps) : root_(root), steps_left_(steps) {}
    bool whole() const { return steps_left_ > 0; }
    std::string take_fault() { return std::move(fault_); }

    bool fails(const JsonShape& shape, const element& value, int deep = 1) {
        if (deep > deep_max) steps_left_ = 0;  // in circles, or too deep to say
        if (!spend(1)) return false;
        if (own_fails(shape, value, deep)) return true;
        if (!shape.definition.empty() && definition_fails(shape.definition, value, deep))
            return true;
        return !shape.any_of.empty() && all_fail(shape.any_of, value, deep);
    }

private:
    struct Place {
        std::string_view key;     // of an object, or
        std::int64_t index = -1;  // of an array
    };

    bool spend(std::size_t steps) {
        std::int64_t left = steps_left_ - static_cast<std::int64_t>(steps);
        steps_left_ = left > 0 ? left : 0;
        return left > 0;
    }

    std::string path() const {
        std::string out = "$";
        for (const Place& place : places_) {
            if (out.size() > path_bytes_max) return out + "...";
            if (place.index >= 0)
                out += "[" + std::to_string(place.index) + "]";
            else
                out += "." + std::string(place.key.substr(0, key_bytes_max));
        }
        return out;
    }
    template <class Text>
    bool wrong(Text&& what) {
        if (!quiet_) fault_ = path() + ": " + what();
        return true;
    }
    bool out_of_bounds(const char* what, double got, std::optional<double> low,
                       std::optional<double> high) {
        if (!(low && got < *low) && !(high && got > *high)) return false;
        return wrong([&] { return bound_fault(what, got, low, high); });
    }

    bool definition_fails(const std::string& name, const element& value, int deep) {
        if (name == "#") return fails(root_, value, deep + 1);
        auto known = root_.definitions.find(name);
        return known != root_.definitions.end() && fails(known->second, value, deep + 1);
    }

    bool all_fail(const std::vector<JsonShape>& shapes, const element& value, int deep) {
        bool quiet = std::exchange(quiet_, true);
        for (const JsonShape& shape : shapes)
            if (!fails(shape, value, deep + 1)) {
                quiet_ = quiet;
                return false;
            }
        quiet_ = quiet;
        if (quiet_) return true;
        std::string what = "none of " + std::to_string(shapes.size()) + " alternatives holds";
        if (fails(shapes[0], value, deep + 1))  // as far as the steps go
            what += ", the first one because of " + fault_.substr(0, path_bytes_max);
        return wrong([&] { return what; });
    }

    bool own_fails(const JsonShape& shape, const element& value, int deep) {
        if (!shape.types.empty() && type_fails(shape.types, value)) return true;
        std::string_view text;
        bool is_text = !value.get_string().get(text);
        if (is_text && !spend(text.size() / 64)) return false;
        if (shape.one_of && none_fits(*shape.one_of, value)) return true;
        if (is_number(value))
            return out_of_bounds("the number", number_of(value), shape.minimum, shape.maximum);
        if (is_text) return text_fails(shape, text);
        simdjson::dom::object object;
        if (!value.get_object().get(object)) return object_fails(shape, object, deep);
        simdjson::dom::array array;
        if (!value.get_array().get(array)) return array_fails(shape, array, deep);
        return false;
    }

    bool type_fails(const std::vector<std::string>& types, const element& value) {
        if (!spend(types.size())) return false;
        for (const std::string& type : types)
            if (of_type(value, type)) return false;
        return wrong([&] {
            std::string wanted;
            for (const std::string& type : types) wanted += (wanted.empty() ? "" : " or ") + type;
            return "expected " + wanted + ", got " + type_name(value.type());
        });
    }

    bool none_fits(const std::vector<JsonScalar>& values, const element& value) {
        if (!spend(values.size())) return false;
        for (const JsonScalar& one : values)
            if (same(value, one)) return false;
        return wrong([] { return "not one of the values that are right"; });
    }

    bool text_fails(const JsonShape& shape, std::string_view text) {
        if (shape.length_min || shape.length_max) {
            auto starts = std::count_if(text.begin(), text.end(),
                                        [](char byte) { return (byte & 0xC0) != 0x80; });
            if (out_of_bounds("its length", static_cast<double>(starts),
                              as_double(shape.length_min), as_double(shape.length_max)))
                return true;
        }
        if (!shape.pattern || shape.pattern->found_in(text)) return false;
        return wrong([] { return "does not match the pattern"; });
    }

    bool object_fails(const JsonShape& shape, const simdjson::dom::object& object, int deep) {
        for (const std::string& name : shape.required) {
            if (!spend(1 + object.size() / 8)) return false;  // a look-up goes through the fields
            if (object.at_key(name).error())
                return wrong([&] { return "missing '" + name.substr(0, key_bytes_max) + "'"; });
        }
        if (shape.properties.empty() && shape.others_allowed) return false;
        for (auto field : object) {
            if (!spend(1 + field.key.size() / 64)) return false;
            auto known = shape.properties.find(field.key);
            if (known == shape.properties.end() && shape.others_allowed) continue;
            places_.push_back({field.key});
            bool failed = known == shape.properties.end()
                              ? wrong([] { return "not expected"; })
                              : fails(known->second, field.value, deep + 1);
            places_.pop_back();
            if (failed) return true;
        }
        return false;
    }

    bool array_fails(const JsonShape& shape, const simdjson::dom::array& array, int deep) {
        std::int64_t index = 0;
        if (shape.items)
            for (auto item : array) {
                places_.push_back({{}, index++});
                bool failed = fails(*shape.items, item, deep + 1);
                places_.pop_back();
                if (failed) return true;
                if (!whole()) return false;
            }
        return out_of_bounds("its number of items", static_cast<double>(array.size()),
                             as_double(shape.items_min), as_double(shape.items_max));
    }

    const JsonShape& root_;
    std::int64_t steps_left_;
    bool quiet_ = false;  // whether it fails is all that is asked
    std::vector<Place> places_;
    std::string fault_;
};

}  // namespace

std::string json_shape_fault(const JsonShape& shape, std::string_view text) {
    constexpr std::int64_t steps_max = 1'000'000;  // of a run that nobody's answer waits for
    JsonVerdict verdict = judge_json(shape, text, steps_max);
    if (verdict.fault.empty() && !verdict.whole)
        return "it takes too many steps, or has numbers too long, to be checked";
    return std::move(verdict.fault);
}

JsonVerdict judge_json(const JsonShape& shape, std::string_view text, std::int64_t steps_max) {
    std::string_view json = without_fence(text);
    if (auto fault = find_json_fault(json))
        return {"not JSON: " + fault->message + " at " + json_place(json, fault->offset)};
    simdjson::dom::parser parser;
    element root;
    const auto fault = parser.parse(simdjson::padded_string(json)).get(root);
    if (fault == simdjson::NUMBER_ERROR) return {"", false};  // JSON, and not to be held
    if (fault) return {"not JSON"};
    Look look(shape, steps_max);
    if (look.fails(shape, root)) return {look.take_fault()};
    return {"", look.whole()};
}

}  // namespace sluice
