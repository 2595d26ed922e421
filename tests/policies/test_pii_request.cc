// Where in a request personal data is found, and where it is not looked for.
#include "policies/pii_request.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

ChatRequest with_arguments(const std::string& json) {
    ChatRequest request;
    request.messages.emplace_back();
    request.messages[0].tool_calls.push_back({"c", "send", json});
    return request;
}

ChatRequest with_part(const std::string& json, Part::Kind kind = Part::Kind::image) {
    ChatRequest request;
    request.messages.emplace_back();
    request.messages[0].parts.emplace_back();
    request.messages[0].parts[0].kind = kind;
    request.messages[0].parts[0].json = json;
    return request;
}

}  // namespace

TEST_CASE("a tool call's arguments are read without the escapes of JSON", "[pii]") {
    CHECK(find_pii(with_arguments(R"({"to":"ann\u0040example.com"})"), pii_all) == pii_email);
    CHECK(find_pii(with_arguments(R"({"to":"Ann\nann@example.com"})"), pii_all) == pii_email);
    CHECK(find_pii(with_arguments(R"({"note":"pay\n4111 1111 1111 1111"})"), pii_card) == pii_card);
    CHECK(find_pii(with_arguments(R"({"tel":"030\/1234567"})"), pii_phone) == pii_phone);
    CHECK(find_pii(with_arguments(R"({"tel":"\u002b49 30 1234567"})"), pii_phone) == pii_phone);
    CHECK(find_pii(with_arguments(R"({"path":"C:\\new\\1","n":12})"), pii_all) == 0);
    for (const char* cut : {R"({"a":"\)", R"({"a":"\u)", R"({"a":"\u00)", R"(\uZZZZ)"})
        CHECK(find_pii(with_arguments(cut), pii_all) == 0);
}

TEST_CASE("schemas and what is passed on unread are read likewise", "[pii]") {
    ChatRequest request;
    request.response_format = R"({"description":"for\nann@example.com"})";
    CHECK(find_pii(request, pii_all) == pii_email);
    ChatRequest kept;
    kept.extra.emplace_back("metadata", R"({"by":"ann\u0040example.com"})");
    CHECK(find_pii(kept, pii_all) == pii_email);
    ChatRequest tool;
    tool.tools.emplace_back();
    tool.tools[0].parameters = R"({"default":"ann\u0040example.com"})";
    CHECK(find_pii(tool, pii_all) == pii_email);
}

TEST_CASE("an image's address and a file's name are looked at, what they hold is not", "[pii]") {
    const std::string image = R"({"type":"image_url","image_url":{"url":")";
    CHECK(find_pii(with_part(image + R"(https://x.org/?who=ann@example.com"}})"), pii_all) ==
          pii_email);
    CHECK(find_pii(with_part(image + R"(https:\/\/x.org\/?who=ann%40example.com"}})"), pii_all) ==
          pii_email);
    CHECK(find_pii(with_part(image + R"(data:image/png;base64,/030/1234567/ann@example.com"}})"),
                   pii_all) == 0);
    CHECK(find_pii(with_part(R"({"type":"input_audio","input_audio":{"data":"/030/1234567/",)"
                             R"("format":"wav"}})",
                             Part::Kind::audio),
                   pii_all) == 0);
    CHECK(find_pii(with_part(R"({"type":"file","file":{"filename":"ann@example.com.pdf",)"
                             R"("file_data":"data:x"}})",
                             Part::Kind::file),
                   pii_all) == pii_email);
    for (const char* cut : {R"({"a":")", R"({"a":"\)", R"(")", ""})
        CHECK(find_pii(with_part(cut), pii_all) == 0);
}

TEST_CASE("what a part holds is told by its place, not by how its text begins", "[pii]") {
    for (const char* json :
         {R"({"type":"file","file":{"filename":"data:ann@example.com","file_data":"data:x,eA"}})",
          R"({"type":"file","file":{"filename":"data","file_id":"ann@example.com"}})",
          R"({"type":"file","file":{"file_id":"file_data" , "filename":"ann@example.com"}})",
          R"({"type":"image_url","image_url":{"url":"data:ann@example.com"}})",
          R"({"type":"image_url","image_url":{"url":"data:ann@example.com;base64,eA"}})",
          R"({"type":"image_url","image_url":{"url":"data:,x","detail":"data:,ann@example.com"}})",
          R"({"type":"input_audio","input_audio":{"data":"ann@example.com"}})",
          R"({"ann@example.com":"data:,x"})"}) {
        INFO(json);
        CHECK(find_pii(with_part(json, Part::Kind::file), pii_all) == pii_email);
    }
    CHECK(find_pii(with_part(R"({"file" : {"file_data" : "data:text/plain,ann@example.com"}})",
                             Part::Kind::file),
                   pii_all) == 0);
    CHECK(find_pii(with_part(R"({"input_audio":{"data":"\/030\/1234567\/"}})", Part::Kind::audio),
                   pii_all) == 0);
}

}  // namespace sluice
