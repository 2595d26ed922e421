// As much of JSON Schema as our schemas use, for tests of them.
#pragma once

#include <simdjson.h>
#include <yaml-cpp/yaml.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::testing {

using Element = simdjson::dom::element;

inline std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

inline simdjson::dom::object object_of(Element element) {
    simdjson::dom::object out;
    REQUIRE(element.get(out) == simdjson::SUCCESS);
    return out;
}
inline simdjson::dom::array array_of(Element element) {
    simdjson::dom::array out;
    REQUIRE(element.get(out) == simdjson::SUCCESS);
    return out;
}
inline std::string_view string_of(Element element) {
    std::string_view out;
    if (element.get(out) != simdjson::SUCCESS) return "";
    return out;
}

// Gives the first fault, or "".
class Validator {
public:
    explicit Validator(const std::string& schema) {
        REQUIRE(parser_.parse(schema).get(root_) == simdjson::SUCCESS);
    }

    std::string fault(const YAML::Node& node) const { return check(node, root_, ""); }

    void keys(Element at, std::set<std::string>& out) const {
        if (at.is_object())
            for (auto field : object_of(at)) {
                if (field.key == "properties")
                    for (auto property : object_of(field.value))
                        out.insert(std::string(property.key));
                keys(field.value, out);
            }
        if (at.is_array())
            for (Element one : array_of(at)) keys(one, out);
    }
    Element root() const { return root_; }

private:
    static bool is_type(const YAML::Node& node, std::string_view type) {
        double number = 0;
        bool flag = false;
        bool is_number = node.IsScalar() && YAML::convert<double>::decode(node, number);
        if (type == "object") return node.IsMap();
        if (type == "array") return node.IsSequence();
        if (type == "string") return node.IsScalar();
        if (type == "number") return is_number;
        if (type == "integer")
            return is_number && number == static_cast<double>(static_cast<long>(number));
        return node.IsScalar() && YAML::convert<bool>::decode(node, flag);
    }

    std::string check(const YAML::Node& node, Element schema, const std::string& path) const {
        std::string_view ref;
        if (schema["$ref"].get(ref) == simdjson::SUCCESS) {
            std::string pointer(ref.substr(1));
            Element named;
            REQUIRE(root_.at_pointer(pointer).get(named) == simdjson::SUCCESS);
            if (std::string fault = check(node, named, path); !fault.empty()) return fault;
        }
        Element part;
        if (schema["type"].get(part) == simdjson::SUCCESS) {
            bool fits = false;
            if (part.is_string()) fits = is_type(node, string_of(part));
            if (part.is_array())
                for (Element one : array_of(part)) fits = fits || is_type(node, string_of(one));
            if (!fits) return path + ": not of its type";
        }
        if (schema["enum"].get(part) == simdjson::SUCCESS) {
            bool listed = false;
            for (Element one : array_of(part))
                listed = listed || (node.IsScalar() && string_of(one) == node.Scalar());
            if (!listed) return path + ": not one of the enum";
        }
        if (schema["const"].get(part) == simdjson::SUCCESS &&
            !(node.IsScalar() &&
              simdjson::minify(part) ==
                  (part.is_string() ? "\"" + node.Scalar() + "\"" : node.Scalar())))
            return path + ": not the constant";
        if (schema["pattern"].get(part) == simdjson::SUCCESS && node.IsScalar() &&
            !std::regex_search(node.Scalar(), std::regex(std::string(string_of(part)))))
            return path + ": not of the pattern";
        double bound = 0, value = 0;
        bool number = node.IsScalar() && YAML::convert<double>::decode(node, value);
        if (schema["minimum"].get(bound) == simdjson::SUCCESS && number && value < bound)
            return path + ": under the minimum";
        if (schema["maximum"].get(bound) == simdjson::SUCCESS && number && value > bound)
            return path + ": over the maximum";
        std::int64_t least = 0;
        bool few = schema["minItems"].get(least) == simdjson::SUCCESS ||
                   schema["minProperties"].get(least) == simdjson::SUCCESS;
        if (few && !node.IsScalar() && node.size() < static_cast<std::size_t>(least))
            return path + ": too few";
        if (schema["minLength"].get(least) == simdjson::SUCCESS && node.IsScalar() &&
            node.Scalar().size() < static_cast<std::size_t>(least))
            return path + ": too short";
        bool many = schema["maxItems"].get(least) == simdjson::SUCCESS ||
                    schema["maxProperties"].get(least) == simdjson::SUCCESS;
        if (many && !node.IsScalar() && node.size() > static_cast<std::size_t>(least))
            return path + ": too many";
        if (std::string fault = check_logic(node, schema, path); !fault.empty()) return fault;
        for (const char* word : {"anyOf", "oneOf"})
            if (schema[word].get(part) == simdjson::SUCCESS) {
                int fitting = 0;
                for (Element one : array_of(part))
                    fitting += check(node, one, path).empty() ? 1 : 0;
                if (fitting == 0 || (fitting > 1 && word[0] == 'o')) return path + ": " + word;
            }
        return node.IsMap() ? check_map(node, schema, path) : check_items(node, schema, path);
    }

    std::string check_logic(const YAML::Node& node, Element schema, const std::string& path) const {
        Element part, then;
        if (schema["not"].get(part) == simdjson::SUCCESS && check(node, part, path).empty())
            return path + ": not";
        if (schema["allOf"].get(part) == simdjson::SUCCESS)
            for (Element one : array_of(part))
                if (std::string fault = check(node, one, path); !fault.empty()) return fault;
        if (schema["if"].get(part) == simdjson::SUCCESS && check(node, part, path).empty() &&
            schema["then"].get(then) == simdjson::SUCCESS)
            return check(node, then, path);
        return "";
    }

    std::string check_contains(const YAML::Node& node, Element schema,
                               const std::string& path) const {
        Element part;
        bool unique = false;
        std::set<std::string> seen;
        if (schema["uniqueItems"].get(unique) == simdjson::SUCCESS && unique)
            for (const auto& item : node)
                if (item.IsScalar() && !seen.insert(item.Scalar()).second)
                    return path + ": twice the same";
        if (schema["contains"].get(part) != simdjson::SUCCESS) return "";
        std::int64_t least = 1, most = INT64_MAX, found = 0;
        if (schema["minContains"].get(least) != simdjson::SUCCESS) least = 1;
        if (schema["maxContains"].get(most) != simdjson::SUCCESS) most = INT64_MAX;
        for (const auto& item : node) found += check(item, part, path).empty() ? 1 : 0;
        return found < least || found > most ? path + ": contains" : "";
    }

    std::string check_items(const YAML::Node& node, Element schema, const std::string& path) const {
        Element items;
        if (node.IsSequence())
            if (std::string fault = check_contains(node, schema, path); !fault.empty())
                return fault;
        if (!node.IsSequence() || schema["items"].get(items) != simdjson::SUCCESS) return "";
        for (std::size_t i = 0; i < node.size(); ++i) {
            std::string fault = check(node[i], items, path + "[" + std::to_string(i) + "]");
            if (!fault.empty()) return fault;
        }
        return "";
    }

    std::string check_map(const YAML::Node& node, Element schema, const std::string& path) const {
        Element part;
        if (schema["required"].get(part) == simdjson::SUCCESS)
            for (Element key : array_of(part))
                if (!node[std::string(string_of(key))])
                    return path + ": lacks " + std::string(string_of(key));
        for (auto pair : node) {
            std::string key = pair.first.Scalar(), where = path + "." + key;
            Element properties, own, others;
            bool known = schema["properties"].get(properties) == simdjson::SUCCESS &&
                         properties[key].get(own) == simdjson::SUCCESS;
            bool any = schema["additionalProperties"].get(others) == simdjson::SUCCESS;
            if (!known && any && others.is_bool()) return where + ": unknown key";
            std::string fault;
            if (known) fault = check(pair.second, own, where);
            if (!known && any && others.is_object()) fault = check(pair.second, others, where);
            if (!fault.empty()) return fault;
        }
        return "";
    }

    simdjson::dom::parser parser_;
    Element root_;
};

// The keys that readers take: of find("key") and the like in these files.
inline std::set<std::string> keys_taken(const std::vector<std::filesystem::path>& files,
                                        const std::vector<std::regex>& forms) {
    std::set<std::string> taken;
    for (const auto& file : files) {
        std::string text = text_of(file);
        for (const std::regex& form : forms)
            for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at)
                taken.insert((*at)[1]);
    }
    return taken;
}

}  // namespace sluice::testing
