#include "policies/golden/json_schema.h"

#include <catch2/catch.hpp>

using namespace sluice;

namespace {

std::string format_of(const std::string& schema) {
    return R"({"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":)" + schema +
           "}}";
}

// "yes", "no: WHY" or "?: WHY".
std::string kept(const std::string& schema, const std::string& answer) {
    std::string why;
    auto keeps = keeps_format(format_of(schema), answer, &why);
    if (!keeps) return "?: " + why;
    return *keeps ? "yes" : "no: " + why;
}

constexpr const char* person =
    R"({"$schema":"x","title":"Person","type":"object","required":["name","age"],
        "additionalProperties":false,"properties":{
          "name":{"type":"string","minLength":1,"description":"d"},
          "age":{"type":"integer","minimum":0,"maximum":150},
          "mood":{"anyOf":[{"enum":["good","bad"]},{"type":"null"}],"default":null},
          "friends":{"type":"array","maxItems":2,"items":{"$ref":"#"}}}})";

}  // namespace

TEST_CASE("an answer is held against the schema that came with its request", "[schema]") {
    CHECK(kept(person, R"({"name":"Ann","age":7})") == "yes");
    CHECK(kept(person, R"( {"name":"Ann","age":7.0,"mood":null,
                            "friends":[{"name":"B","age":1,"mood":"bad"}]} )") == "yes");
    CHECK(kept(person, R"({"name":"Ann"})") == "no: $: missing 'age'");
    CHECK(kept(person, R"({"name":"Ann","age":"7"})") == "no: $.age: expected integer, got string");
    CHECK(kept(person, R"({"name":"Ann","age":151})") == "no: $.age: the number 151 is above 150");
    CHECK(kept(person, R"({"name":"","age":1})") == "no: $.name: its length 0 is below 1");
    CHECK(kept(person, R"({"name":"A","age":1,"tall":true})") == "no: $.tall: not expected");
    CHECK(kept(person, R"({"name":"A","age":1,"mood":"so"})")
              .starts_with("no: $.mood: none of 2 alternatives holds"));
    CHECK(kept(person, R"({"name":"A","age":1,"friends":[{"name":"B"}]})") ==
          "no: $.friends[0]: missing 'age'");
    CHECK(kept(person, R"([1])") == "no: $: expected object, got array");
}

TEST_CASE("an answer that is no JSON keeps to nothing, and a code fence is no JSON", "[schema]") {
    CHECK(kept(person, "Sure: {}").starts_with("no: not JSON"));
    CHECK(kept(person, "").starts_with("no: not JSON"));
    CHECK(kept(person, "```json\n{\"name\":\"A\",\"age\":1}\n```").starts_with("no: not JSON"));
    CHECK(keeps_format(R"({"type":"json_object"})", " {}") == true);
    CHECK(keeps_format(R"({"type":"json_object"})", "[]") == false);
    CHECK(keeps_format(R"({"type":"json_object"})", "[") == false);
    CHECK(keeps_format(R"({"type":"json_schema","json_schema":{"name":"x"}})", "1") == true);
}

TEST_CASE("what of a schema is not understood is named and never held against an answer",
          "[schema]") {
    const std::string odd =
        R"({"type":"object","properties":{"id":{"type":"string","pattern":"^a$"}}})";
    CHECK(kept(odd, R"({"id":"b"})") == "?: $.properties.id: 'pattern' is not understood");
    CHECK(kept(odd, R"({"id":1})") == "no: $.id: expected string, got number");
    for (const char* schema :
         {R"({"oneOf":[{"type":"string"}]})", R"({"not":{}})", R"({"$ref":"other.json#/x"})",
          R"({"additionalProperties":{"type":"string"}})", R"({"enum":[[1]]})", R"({"allOf":[{}]})",
          R"({"multipleOf":2})"}) {
        INFO(schema);
        CHECK(kept(schema, "{}").starts_with("?: $: '"));
    }
}

TEST_CASE("what is no schema says so and judges nothing", "[schema]") {
    CHECK(kept("7", "7") == "?: $: expected a schema, which is an object");
    CHECK(kept(R"({"type":"text"})", "7") == "?: $.type: expected a JSON type");
    CHECK(kept(R"({"anyOf":[]})", "7") == "?: $.anyOf: expected a list of schemas");
    CHECK(kept(R"({"minLength":-1})", "7") == "?: $.minLength: expected a whole number from 0");
    CHECK(kept(R"({"$ref":"#/$defs/none"})", "7") == "?: $ref: there is no definition 'none'");
    CHECK(kept("true", "7") == "yes");
    CHECK(kept("false", "7").starts_with("no: "));
    std::string deep = "{}";
    for (int i = 0; i < 40; ++i) deep = "{\"items\":" + deep + "}";
    CHECK(kept(deep, "7").starts_with("?: "));
    CHECK(kept("{\"title\":\"" + std::string(70'000, 'x') + "\"}", "7") ==
          "?: the schema has more than 64 KiB");
}

TEST_CASE("definitions that go round or multiply end all the same", "[schema]") {
    CHECK(kept(R"({"$ref":"#"})", "7") == "?: the schema takes too many steps");
    CHECK(
        kept(R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})",
             "7") == "?: the schema takes too many steps");
    // Sixteen alternatives at each of 24 levels that all fail at the last one.
    std::string branch = R"({"type":"array","items":{"$ref":"#/$defs/tree"}})", all = branch;
    for (int i = 1; i < 16; ++i) all += "," + branch;
    std::string tree = R"({"$ref":"#/$defs/tree","$defs":{"tree":{"anyOf":[)" + all + "]}}}";
    CHECK(kept(tree, std::string(24, '[') + "1" + std::string(24, ']')) ==
          "?: the schema takes too many steps");
    CHECK(kept(tree, "[[[]]]") == "yes");
}

TEST_CASE("what a neighbour that is not understood allows is held against no answer", "[schema]") {
    const char* extra =
        R"({"type":"object","patternProperties":{"^x-":{}},"additionalProperties":false})";
    CHECK(kept(extra, R"({"x-a":1})") == "?: $: 'patternProperties' is not understood");
    CHECK(kept(R"({"additionalProperties":false,"patternProperties":{"^x-":{}}})", R"({"x-a":1})")
              .starts_with("?: "));
    const char* tuple = R"({"prefixItems":[{"type":"string"}],"items":{"type":"number"}})";
    CHECK(kept(tuple, R"(["a",1])") == "?: $: 'prefixItems' is not understood");
    CHECK(kept(R"({"items":false,"prefixItems":[{"type":"string"}]})", R"(["a"])")
              .starts_with("?: "));
    // "#" is the inner schema there, which allows 7.
    const char* inner =
        R"({"type":"object","properties":{"a":{"$id":"http://x/a","anyOf":[{"type":"number"},
            {"type":"array","items":{"$ref":"#"}}]}}})";
    CHECK(kept(inner, R"({"a":[7]})") == "?: $.properties.a: '$id' is not understood");
    CHECK(kept(R"({"$id":"http://x/a","type":"object","properties":{"id":{"type":"number"}}})",
               R"({"id":1})") == "yes");
}

TEST_CASE("a schema that goes deep in itself and in the answer is given up", "[schema]") {
    std::string names;
    for (int i = 0; i < 59; ++i)
        names +=
            "\"d" + std::to_string(i) + "\":{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"},";
    const std::string schema = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{" + names +
                               R"("d59":{"items":{"$ref":"#/$defs/d0"},"maxItems":9}}})";
    auto nested = [](std::size_t deep, const std::string& in) {
        return std::string(deep, '[') + in + std::string(deep, ']');
    };
    CHECK(kept(schema, nested(6, "")) == "yes");
    CHECK(kept(schema, nested(6, "1,2,3,4,5,6,7,8,9,0")).starts_with("no: $[0][0][0][0][0]: its"));
    CHECK(kept(schema, nested(200, "")) == "?: the schema takes too many steps");
    // One that names itself follows an answer as deep as they come.
    const std::string self = R"({"type":"array","maxItems":1,"items":{"$ref":"#"}})";
    CHECK(kept(self, nested(200, "")) == "yes");
    CHECK(kept(self, nested(200, "[],[]")).starts_with("no: $[0][0]"));
}

TEST_CASE("a look at an answer ends after as many steps, whatever they are spent on", "[schema]") {
    auto repeated = [](int times, const std::string& one) {
        std::string out;
        for (int i = 0; i < times; ++i) out += (i == 0 ? "" : ",") + one;
        return out;
    };
    const std::string too_many = "?: the schema takes too many steps";
    const std::string numbers = repeated(16'000, "7");
    CHECK(kept("{\"items\":{\"enum\":[" + numbers + "]}}", "[7,7]") == too_many);
    CHECK(kept("{\"items\":{\"type\":\"number\"}}", "[" + repeated(30'000, "7") + "]") == too_many);
    std::string fields;
    for (int i = 0; i < 20'000; ++i) fields += "\"" + std::to_string(i) + "\":0,";
    CHECK(kept("{\"required\":[" + repeated(6'000, "\"last\"") + "]}",
               "{" + fields + "\"last\":0}") == too_many);
    CHECK(kept(R"({"properties":{"last":{}}})", "{" + fields + "\"last\":0}") == too_many);
    CHECK(kept("{\"anyOf\":[" + repeated(1'000, R"({"enum":["x"]})") + "]}",
               "\"" + std::string(100'000, 'y') + "\"") == too_many);
    CHECK(kept("{\"type\":[" + repeated(6'000, "\"null\"") + "],\"items\":{}}", "null") == "yes");
    // The number of items is known without a look at each.
    CHECK(kept("{\"anyOf\":[" + repeated(1'990, R"({"maxItems":0})") + "]}",
               "[" + repeated(120'000, "0") + "]")
              .starts_with("no: $: none of 1990 alternatives holds"));
}

TEST_CASE("why no alternative holds is told by the first of them", "[schema]") {
    const char* nested =
        R"({"items":{"anyOf":[{"properties":{"a":{"anyOf":[{"type":"null"},{"enum":[1]}]}}},
                              {"type":"null"}]}})";
    CHECK(kept(nested, R"([{"a":1},{"a":2}])") ==
          "no: $[1]: none of 2 alternatives holds, the first one because of $[1].a: none of 2 "
          "alternatives holds, the first one because of $[1].a: expected null, got number");
    // Deep within each other they are told in bounded time, too.
    std::string deep = R"({"type":"null"})";
    for (int i = 0; i < 25; ++i) deep = "{\"anyOf\":[" + deep + "]}";
    CHECK(kept(deep, "7").starts_with("no: $: none of 1 alternatives"));
}
