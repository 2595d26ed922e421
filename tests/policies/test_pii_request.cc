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
    CHECK(find_pii(with_part(image + R"(data:image/png;base64,iVBORw0KGgo/030/1234567/"}})"),
                   pii_all) == 0);
    CHECK(find_pii(with_part(image + R"(data:image/png;base64,/ann@example.com"}})"), pii_all) ==
          pii_email);  // that is no base64
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
          R"({"file" : {"file_data" : "data:text/plain,ann@example.com"}})",
          R"({"file":{"file_data":"data:text/plain,ann%40example.com"}})",
          R"({"ann@example.com":"data:,x"})"}) {
        INFO(json);
        CHECK(find_pii(with_part(json, Part::Kind::file), pii_all) == pii_email);
    }
    CHECK(find_pii(with_part(R"({"input_audio":{"data":"\/030\/1234567\/"}})", Part::Kind::audio),
                   pii_all) == 0);
}

TEST_CASE("a part's texts are looked at however long they are, and its numbers", "[pii]") {
    const std::string padding(100'000, 'x');
    for (const std::string& json :
         {R"({"type":"file","file":{"filename":")" + padding + R"( ann@example.com"}})",
          R"({"type":"image_url","image_url":{"url":"https://x.org/)" + padding +
              R"(?who=ann%40example.com"}})",
          R"({"type":"image_url","image_url":{"url":"data:image/png;base64,eA==","detail":")" +
              padding + R"(\nann@example.com"}})"}) {
        INFO(json.substr(0, 60));
        CHECK(find_pii(with_part(json), pii_all) == pii_email);
    }
    CHECK(find_pii(with_part(R"({"image_url":{"url":"data:image/png;base64,eA==",)"
                             R"("detail":4111111111111111}})"),
                   pii_all) == pii_card);
}

TEST_CASE("a text that a part holds as base64 is looked at, other bytes are not", "[pii]") {
    auto file = [](const std::string& data) {
        return with_part(R"({"type":"file","file":{"filename":"f","file_data":")" + data + R"("}})",
                         Part::Kind::file);
    };
    // "name,mail\nAnn,ann@example.com\n", as it is and with JSON's way to write '/' and lines.
    CHECK(find_pii(file("data:text/csv;base64,bmFtZSxtYWlsCkFubixhbm5AZXhhbXBsZS5jb20K"),
                   pii_all) == pii_email);
    CHECK(find_pii(file("bmFtZSxtYWlsCkFu\\nbixhbm5AZXhhbXBsZS5jb20K"), pii_all) == pii_email);
    // "??? ann@example.com", whose base64 has a '/'.
    CHECK(find_pii(file("Pz8\\/IGFubkBleGFtcGxlLmNvbQ=="), pii_all) == pii_email);
    // The same behind a byte of nought, as an image has, and behind "%PDF-".
    CHECK(find_pii(file("AG5hbWUsbWFpbApBbm4sYW5uQGV4YW1wbGUuY29tCg=="), pii_all) == 0);
    CHECK(find_pii(file("JVBERi0gYW5uQGV4YW1wbGUuY29t"), pii_all) == 0);
}

TEST_CASE("what a text hides behind escapes is found, in every text of a request", "[pii]") {
    for (const std::string hidden :
         {R"(ann\u0040example.com)", R"({\"to\":\"{\\\"a\\\":\\\"ann\\\\u0040example.com\\\"}\"})",
          "ann%40example.com", "ann&#64;example.com", "ann&#x40;example.com"}) {
        INFO(hidden);
        ChatRequest text;
        text.messages.emplace_back().parts.emplace_back().text = hidden;
        CHECK(find_pii(text, pii_all) == pii_email);
        CHECK(find_pii(with_arguments(hidden), pii_all) == pii_email);
        ChatRequest thought;
        thought.messages.emplace_back().reasoning = hidden;
        CHECK(find_pii(thought, pii_all) == pii_email);
        ChatRequest tool;
        tool.tools.emplace_back().description = hidden;
        CHECK(find_pii(tool, pii_all) == pii_email);
        ChatRequest stop;
        stop.stop.push_back(hidden);
        CHECK(find_pii(stop, pii_all) == pii_email);
    }
}

TEST_CASE("every field that an upstream is sent is looked at", "[pii]") {
    const std::string mail = "ann@example.com";
    std::vector<ChatRequest> requests(13);
    requests[0].messages.emplace_back().name = mail;
    requests[1].messages.emplace_back().refusal = mail;
    requests[2].messages.emplace_back().tool_call_id = mail;
    requests[3].messages.emplace_back().tool_calls.push_back({mail, "f", "{}"});
    requests[4].messages.emplace_back().tool_calls.push_back({"c", mail, "{}"});
    requests[5].messages.emplace_back().thought_ends.push_back({0, mail, ""});
    requests[6].messages.emplace_back().thought_ends.push_back({0, "", mail});
    requests[7].messages.emplace_back().parts.emplace_back().cache_control =
        "{\"a\":\"" + mail + "\"}";
    requests[8].tools.emplace_back().name = mail;
    requests[9].tools.emplace_back().cache_control = "{\"a\":\"" + mail + "\"}";
    requests[10].tool_choice = "{\"name\":\"" + mail + "\"}";
    requests[11].user = mail;
    requests[12].messages.emplace_back().role = Role::system;
    requests[12].messages[0].parts.emplace_back().text = mail;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        INFO(i);
        CHECK(find_pii(requests[i], pii_all) == pii_email);
    }
}

TEST_CASE("what is split over a message's parts is found as models read it", "[pii]") {
    ChatRequest request;
    request.messages.emplace_back();
    for (const char* piece : {"write to ann", "@exam", "ple.com"})
        request.messages[0].parts.emplace_back().text = piece;
    CHECK(find_pii(request, pii_all) == pii_email);
    // Joined, the number would be part of a word.
    request.messages[0].parts.clear();
    for (const char* piece : {"x", "4111111111111111", "y"})
        request.messages[0].parts.emplace_back().text = piece;
    CHECK(find_pii(request, pii_all) == pii_card);
}

TEST_CASE("a vendor's sealed thoughts and ids are not taken for numbers", "[pii]") {
    ChatRequest request;
    request.messages.emplace_back().thought_ends.push_back(
        {0, "Ab/030/1234567/+4==", "/4111111111111111/"});
    request.messages[0].tool_calls.push_back({"1f0c2a6e-0301-4123-8123-fa0b1c2d3e4f", "f", "{}"});
    request.messages[0].tool_call_id = "toolu_01A09q90qw90lq917835lq9";
    CHECK(find_pii(request, pii_all) == 0);
    CHECK(find_pii(with_arguments("call 0301-4123-8123"), pii_all) == pii_phone);
}

}  // namespace sluice
