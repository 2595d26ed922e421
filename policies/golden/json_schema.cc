#include "policies/golden/json_schema.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "providers/json_fault.h"

namespace sluice {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr int depth_max = 32;

constexpr std::array<std::string_view, 14> describing = {
    "title", "description", "default", "examples", "example",   "format",     "$schema",
    "$id",   "$comment",    "$anchor", "readOnly", "writeOnly", "deprecated", "strict"};
constexpr std::array<std::string_view, 7> type_names = {"object",  "array",   "string", "number",
                                                        "integer", "boolean", "null"};

class SchemaReader {
public:
    Result<JsonSchema> read(const element& json) {
        out_.shape = schema_at(json, "$", 1);
        if (!fault_.empty()) return Error(Errc::invalid_request, fault_, "response_format");
        return std::move(out_);
    }

private:
    void wrong(const std::string& path, const std::string& expected) {
        if (fault_.empty()) fault_ = path + ": expected " + expected;
    }
    void leave_out(const std::string& path, std::string_view keyword) {
        if (out_.left_out.empty())
            out_.left_out = path + ": '" + std::string(keyword) + "' is not understood";
    }

    JsonShape schema_at(const element& json, const std::string& path, int depth) {
        JsonShape shape;
        bool any = false;
        if (depth > depth_max || ++schemas_ > schemas_max)
            wrong(path, "at most 32 schemas deep and 2,000 in all");
        if (!fault_.empty()) return shape;
        if (!json.get_bool().get(any)) {  // true: any value; false: none at all
            if (!any) shape.one_of.emplace();
            return shape;
        }
        object members;
        if (json.get_object().get(members)) {
            wrong(path, "a schema, which is an object");
            return shape;
        }
        // Of a document of its own, in which "#" is another place, nothing is read.
        for (const char* name : {"$id", "id"})
            if (depth > 1 && !members[name].error()) {
                leave_out(path, name);
                return shape;
            }
        for (auto member : members) keyword(member.key, member.value, shape, path, depth);
        // Neighbours that are not understood change what these two are said of.
        if (!members["patternProperties"].error()) shape.others_allowed = true;
        if (!members["prefixItems"].error()) shape.items.reset();
        return shape;
    }

    void keyword(std::string_view name, const element& value, JsonShape& shape,
                 const std::string& path, int depth) {
        if (std::find(describing.begin(), describing.end(), name) != describing.end()) return;
        std::string inner = path + "." + std::string(name.substr(0, 64));
        if (name == "type") return types(value, shape, inner);
        if (name == "properties") return schemas(value, shape.properties, inner, depth);
        if (name == "required") return names(value, shape.required, inner);
        if (name == "items") {
            shape.items = std::make_shared<JsonShape>(schema_at(value, inner, depth + 1));
            return;
        }
        if (name == "enum" || name == "const") return scalars(name, value, shape, path);
        if (name == "minimum") return number(value, shape.minimum, inner);
        if (name == "maximum") return number(value, shape.maximum, inner);
        if (name == "minLength") return count(value, shape.length_min, inner);
        if (name == "maxLength") return count(value, shape.length_max, inner);
        if (name == "minItems") return count(value, shape.items_min, inner);
        if (name == "maxItems") return count(value, shape.items_max, inner);
        if (name == "anyOf") return alternatives(value, shape, inner, depth);
        if (name == "additionalProperties") {
            if (value.get_bool().get(shape.others_allowed)) leave_out(path, name);
            return;
        }
        if (name == "$ref") return reference(value, shape, path);
        if (depth == 1 && (name == "$defs" || name == "definitions"))
            return schemas(value, shape.definitions, inner, depth);
        leave_out(path, name);
    }

    void types(const element& value, JsonShape& shape, const std::string& path) {
        auto one = [&](const element& item) {
            std::string_view word;
            bool known = !item.get_string().get(word) &&
                         std::find(type_names.begin(), type_names.end(), word) != type_names.end();
            if (!known) return wrong(path, "a JSON type");
            shape.types.emplace_back(word);
        };
        simdjson::dom::array list;
        if (value.get_array().get(list)) return one(value);
        for (auto item : list) one(item);
    }

    void schemas(const element& value, std::map<std::string, JsonShape, std::less<>>& out,
                 const std::string& path, int depth) {
        object members;
        if (value.get_object().get(members)) return wrong(path, "an object of schemas");
        for (auto member : members)
            out[std::string(member.key)] = schema_at(
                member.value, path + "." + std::string(member.key.substr(0, 64)), depth + 1);
    }

    void alternatives(const element& value, JsonShape& shape, const std::string& path, int depth) {
        simdjson::dom::array list;
        if (value.get_array().get(list) || list.size() == 0)
            return wrong(path, "a list of schemas");
        for (auto item : list) shape.any_of.push_back(schema_at(item, path, depth + 1));
    }

    void names(const element& value, std::vector<std::string>& out, const std::string& path) {
        simdjson::dom::array list;
        if (value.get_array().get(list)) return wrong(path, "a list of names");
        for (auto item : list) {
            std::string_view name;
            if (item.get_string().get(name)) return wrong(path, "a list of names");
            out.emplace_back(name);
        }
    }

    void scalars(std::string_view name, const element& value, JsonShape& shape,
                 const std::string& path) {
        if (shape.one_of) return leave_out(path, name);  // both of enum and const
        std::vector<JsonScalar> all;
        bool plain = true;
        simdjson::dom::array list;
        if (name == "const") {
            plain = scalar(value, all);
        } else if (value.get_array().get(list)) {
            return wrong(path, "a list as 'enum'");
        } else {
            for (auto item : list) plain = scalar(item, all) && plain;
        }
        if (!plain) return leave_out(path, name);  // with lists or objects in it
        shape.one_of = std::move(all);
    }

    static bool scalar(const element& value, std::vector<JsonScalar>& out) {
        std::string_view text;
        bool flag = false;
        double number = 0;
        if (value.is_null())
            out.emplace_back(nullptr);
        else if (!value.get_bool().get(flag))
            out.emplace_back(flag);
        else if (!value.get_string().get(text))
            out.emplace_back(std::string(text));
        else if (!value.get_double().get(number))
            out.emplace_back(number);
        else
            return false;
        return true;
    }

    void number(const element& value, std::optional<double>& out, const std::string& path) {
        if (value.get_double().get(out.emplace())) wrong(path, "a number");
    }

    void count(const element& value, std::optional<std::int64_t>& out, const std::string& path) {
        double number = 0;
        bool whole = !value.get_double().get(number) && number >= 0 && number <= 1e15 &&
                     std::floor(number) == number;
        if (!whole) return wrong(path, "a whole number from 0");
        out = static_cast<std::int64_t>(number);
    }

    void reference(const element& value, JsonShape& shape, const std::string& path) {
        std::string_view to;
        if (value.get_string().get(to)) return wrong(path, "a text as '$ref'");
        for (std::string_view place : {"#/$defs/", "#/definitions/"}) {
            bool plain = to.starts_with(place) && to.find_first_of("/~%", place.size()) == to.npos;
            if (plain) shape.definition = to.substr(place.size());
        }
        if (to == "#") shape.definition = "#";
        if (shape.definition.empty()) leave_out(path, "$ref");
    }

    JsonSchema out_;
    std::string fault_;
    int schemas_ = 0;
};

// Definitions that are named and not there.
std::string undefined(const JsonShape& shape, const JsonShape& root) {
    const std::string& name = shape.definition;
    if (!name.empty() && name != "#" && !root.definitions.contains(name))
        return "there is no definition '" + name + "'";
    std::string found = shape.items ? undefined(*shape.items, root) : "";
    for (const JsonShape& one : shape.any_of)
        if (found.empty()) found = undefined(one, root);
    for (const auto* all : {&shape.properties, &shape.definitions})
        for (const auto& [key, one] : *all)
            if (found.empty()) found = undefined(one, root);
    return found;
}

std::optional<bool> said(std::optional<bool> kept, std::string reason, std::string* why) {
    if (why != nullptr) *why = std::move(reason);
    return kept;
}

}  // namespace

Result<JsonSchema> read_json_schema(std::string_view json) {
    if (json.size() > schema_bytes_max)
        return Error(Errc::invalid_request, "the schema has more than 64 KiB", "response_format");
    simdjson::dom::parser parser;
    element root;
    if (parser.parse(simdjson::padded_string(json)).get(root))
        return Error(Errc::invalid_request, "the schema is not JSON", "response_format");
    auto schema = SchemaReader().read(root);
    if (!schema) return schema;
    std::string missing = undefined(schema->shape, schema->shape);
    if (!missing.empty())
        return Error(Errc::invalid_request, "$ref: " + missing, "response_format");
    return schema;
}

std::optional<bool> keeps_format(std::string_view response_format, std::string_view answer,
                                 std::string* why) {
    if (auto fault = find_json_fault(answer))
        return said(
            false, "not JSON: " + fault->message + " at " + json_place(answer, fault->offset), why);
    simdjson::dom::parser parser;
    element format, schema;
    if (response_format.size() > schema_bytes_max + 1'024)
        return said({}, "the schema has more than 64 KiB", why);
    if (parser.parse(simdjson::padded_string(response_format)).get(format))
        return said({}, "response_format is not JSON", why);
    if (format["json_schema"].error()) {  // any object will do
        const bool object = answer.substr(answer.find_first_not_of(" \t\r\n")).starts_with('{');
        return object ? said(true, "", why) : said(false, "no JSON object", why);
    }
    if (format["json_schema"]["schema"].get(schema)) return said(true, "", why);
    auto read = read_json_schema(simdjson::minify(schema));
    if (!read) return said({}, read.error().message, why);
    JsonVerdict verdict = judge_json(read->shape, answer);
    if (!verdict.fault.empty()) return said(false, verdict.fault, why);
    if (!read->left_out.empty()) return said({}, read->left_out, why);
    if (!verdict.whole) return said({}, "the schema takes too many steps", why);
    return said(true, "", why);
}

}  // namespace sluice
