#include "providers/local/jinja_json.h"

#include <simdjson.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::jinja {

namespace {

std::optional<Value> convert(const simdjson::dom::element& element, int depth);

std::optional<Value> convert_object(const simdjson::dom::object& object, int depth) {
    std::vector<std::pair<Text, Value>> entries;
    std::unordered_map<std::string_view, std::size_t> seen;
    for (const auto& [key, element] : object) {
        std::optional<Value> value = convert(element, depth);
        if (!value) return std::nullopt;
        const auto [at, fresh] = seen.try_emplace(key, entries.size());
        if (fresh) {
            entries.emplace_back(Text(std::string(key), false), *std::move(value));
        } else {
            entries[at->second].second = *std::move(value);  // as Python: the last one counts
        }
    }
    return Value::mapping(std::move(entries));
}

std::optional<Value> convert(const simdjson::dom::element& element, int depth) {
    using simdjson::dom::element_type;
    if (depth >= json_depth_max) return std::nullopt;
    switch (element.type()) {
        case element_type::NULL_VALUE:
            return Value::none();
        case element_type::BOOL:
            return Value::boolean(element.get_bool().value_unsafe());
        case element_type::INT64:
            return Value::integer(element.get_int64().value_unsafe());
        case element_type::UINT64:
            return Value::real(static_cast<double>(element.get_uint64().value_unsafe()));
        case element_type::DOUBLE:
            return Value::real(element.get_double().value_unsafe());
        case element_type::STRING:
            return Value::text(element.get_string().value_unsafe(), false);
        case element_type::OBJECT: {
            const simdjson::dom::object object = element.get_object().value_unsafe();
            return convert_object(object, depth + 1);
        }
        case element_type::ARRAY:
            break;
    }
    std::vector<Value> items;
    const simdjson::dom::array array = element.get_array().value_unsafe();
    for (const auto item : array) {
        std::optional<Value> value = convert(item, depth + 1);
        if (!value) return std::nullopt;
        items.push_back(*std::move(value));
    }
    return Value::list(std::move(items));
}

}  // namespace

std::optional<Value> from_json(std::string_view json) {
    simdjson::dom::parser parser;
    const simdjson::padded_string padded(json);
    const auto document = parser.parse(padded);
    if (document.error() != simdjson::SUCCESS) return std::nullopt;
    return convert(document.value_unsafe(), 0);
}

}  // namespace sluice::jinja
