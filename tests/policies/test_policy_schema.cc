// The schema that editors use: it takes every good policy, and knows every key that the reader
// does.
#include <simdjson.h>
#include <yaml-cpp/yaml.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace {

using Element = simdjson::dom::element;

std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

simdjson::dom::object object_of(Element element) {
    simdjson::dom::object out;
    REQUIRE(element.get(out) == simdjson::SUCCESS);
    return out;
}
simdjson::dom::array array_of(Element element) {
    simdjson::dom::array out;
    REQUIRE(element.get(out) == simdjson::SUCCESS);
    return out;
}
std::string_view string_of(Element element) {
    std::string_view out;
    if (element.get(out) != simdjson::SUCCESS) return "";
    return out;
}

// As much of JSON Schema as the file uses. Gives the first fault, or "".
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
            return check(node, named, path);
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
        for (const char* word : {"anyOf", "oneOf"})
            if (schema[word].get(part) == simdjson::SUCCESS) {
                int fitting = 0;
                for (Element one : array_of(part))
                    fitting += check(node, one, path).empty() ? 1 : 0;
                if (fitting == 0 || (fitting > 1 && word[0] == 'o')) return path + ": " + word;
            }
        return node.IsMap() ? check_map(node, schema, path) : check_items(node, schema, path);
    }

    std::string check_items(const YAML::Node& node, Element schema, const std::string& path) const {
        Element items;
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

const std::filesystem::path source = SLUICE_SOURCE_DIR;

}  // namespace

TEST_CASE("the schema takes every good policy and every example", "[schema]") {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    int read = 0;
    for (const char* folder : {"tests/policies/yaml", "policies/examples"})
        for (const auto& entry : std::filesystem::directory_iterator(source / folder)) {
            std::string name = entry.path().filename();
            if (!name.ends_with(".good.yaml") && !name.ends_with(".policy.yaml")) continue;
            INFO(name);
            CHECK(schema.fault(YAML::Load(text_of(entry.path()))).empty());
            CHECK(schema.fault(YAML::Load(text_of(entry.path()))) == "");
            ++read;
        }
    CHECK(read > 20);
}

TEST_CASE("the schema refuses what an author mistypes", "[schema]") {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    for (const char* name : {"unknown_keys", "rule_effect", "effort", "canary", "confine", "nested",
                             "pii", "shadow", "time"}) {
        INFO(name);
        std::string file = "tests/policies/yaml/" + std::string(name) + ".bad.yaml";
        CHECK_FALSE(schema.fault(YAML::Load(text_of(source / file))).empty());
    }
}

TEST_CASE("every key that the policy's reader takes is in the schema", "[schema]") {
    Validator schema(text_of(source / "policies/policy.schema.json"));
    std::set<std::string> known;
    schema.keys(schema.root(), known);
    std::set<std::string> taken;
    const std::regex key(R"((?:find|need|read_flag|read_number)\((?:[a-z_]+, )?"([a-z_]+)\")");
    const std::regex word(R"(\{"([a-z_]+)\", Field::)");
    for (const char* file :
         {"policy_yaml.cc", "rules_yaml.cc", "match_yaml.cc", "scoring_yaml.cc", "pace_yaml.cc"}) {
        std::string text = text_of(source / "policies" / file);
        for (const std::regex* form : {&key, &word})
            for (std::sregex_iterator at(text.begin(), text.end(), *form), end; at != end; ++at)
                taken.insert((*at)[1]);
    }
    CHECK(taken.size() > 40);
    taken.erase("shadow");  // refused with words of its own
    for (const std::string& one : taken) {
        INFO(one);
        CHECK(known.contains(one));
    }
    for (const char* nested : {"any", "not"}) CHECK(known.contains(nested));
}
