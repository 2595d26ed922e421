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
    CHECK(keeps_format(R"({"type":"json_object"})", "[]") == true);
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
