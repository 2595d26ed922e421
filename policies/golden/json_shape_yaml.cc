#include <charconv>

#include "policies/golden/json_shape.h"

namespace sluice {
namespace {

constexpr int depth_max = 32;

std::optional<JsonScalar> read_scalar(Cursor& at) {
    if (!at.is_scalar()) {
        if (!at.is_map() && !at.is_list()) return JsonScalar(nullptr);  // null, ~ or nothing
        at.fault("expected a text, a number, true, false or null");
        return {};
    }
    std::string text = at.plain();
    if (at.quoted()) return JsonScalar(text);
    if (text == "true" || text == "false") return JsonScalar(text == "true");
    if (text == "null" || text == "~") return JsonScalar(nullptr);
    double number = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed == std::errc() && end == text.data() + text.size()) return JsonScalar(number);
    return JsonScalar(text);
}

void read_number(Cursor& map, const char* key, std::optional<double>& out) {
    if (auto at = map.find(key)) out = at->number(-1e300, 1e300);
}

void read_count(Cursor& map, const char* key, std::optional<std::int64_t>& out) {
    if (auto at = map.find(key)) out = at->integer(0, 1'000'000'000);
}

void read_types(Cursor& map, JsonShape& shape) {
    auto at = map.find("type");
    if (!at) return;
    auto one = [&shape](Cursor& word) {
        if (auto type =
                word.one_of({"object", "array", "string", "number", "integer", "boolean", "null"}))
            shape.types.push_back(*type);
    };
    if (!at->is_list()) return one(*at);
    for (Cursor& item : at->items()) one(item);
}

void read_choice(Cursor& map, JsonShape& shape) {
    if (auto at = map.find("enum")) {
        shape.one_of.emplace();
        for (Cursor& item : at->items())
            if (auto value = read_scalar(item)) shape.one_of->push_back(*value);
    }
    if (auto at = map.find("const")) {
        if (shape.one_of) at->fault("'const' beside 'enum': only one of them");
        if (auto value = read_scalar(*at)) shape.one_of = {*value};
    }
}

JsonShape read_at(Cursor& at, int depth);

void read_parts(Cursor& map, JsonShape& shape, int depth) {
    if (auto at = map.find("properties"))
        for (auto& [name, child] : at->pairs()) shape.properties[name] = read_at(child, depth + 1);
    if (auto at = map.find("required")) {
        if (at->is_list())
            shape.required = at->texts();
        else
            at->fault("expected a list of names");
    }
    if (auto at = map.find("additionalProperties"))
        shape.others_allowed = at->boolean().value_or(true);
    if (auto at = map.find("items"))
        shape.items = std::make_shared<JsonShape>(read_at(*at, depth + 1));
}

JsonShape read_at(Cursor& at, int depth) {
    JsonShape shape;
    if (depth > depth_max) {
        at.fault("nested deeper than 32");
        return shape;
    }
    if (!at.expect_map()) return shape;
    at.find("title");
    at.find("description");
    read_types(at, shape);
    read_parts(at, shape, depth);
    read_choice(at, shape);
    read_number(at, "minimum", shape.minimum);
    read_number(at, "maximum", shape.maximum);
    read_count(at, "minLength", shape.length_min);
    read_count(at, "maxLength", shape.length_max);
    read_count(at, "minItems", shape.items_min);
    read_count(at, "maxItems", shape.items_max);
    if (auto field = at.find("pattern"))
        if (auto text = field->text()) {
            auto pattern = Pattern::compile(*text, false);
            if (pattern)
                shape.pattern = *pattern;
            else
                field->fault(pattern.error().message);
        }
    at.close();
    return shape;
}

}  // namespace

JsonShape read_json_shape(Cursor& at) { return read_at(at, 1); }

}  // namespace sluice
