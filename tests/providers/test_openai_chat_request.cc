#include <catch2/catch.hpp>

#include "chat_samples.h"
#include "providers/dialect.h"

using namespace sluice;

namespace {

const Dialect& openai() { return *find_dialect("openai_chat"); }

// A good request with `more` before its closing brace.
std::string body_with(const std::string& more) {
    return R"({"model":"auto","messages":[{"role":"user","content":"hi"}])" + more + "}";
}

std::string body_of_messages(const std::string& messages) {
    return R"({"model":"auto","messages":[)" + messages + "]}";
}

std::string biases(int count) {
    std::string out = R"(,"logit_bias":{)";
    for (int token = 0; token < count; ++token)
        out += (token == 0 ? "\"" : ",\"") + std::to_string(token) + "\":1";
    return out + "}";
}

}  // namespace

TEST_CASE("a plain request is read", "[openai_chat]") {
    auto request = openai().read_request(body_with(
        R"(,"stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":7,
           "temperature":0.25,"stop":"END","logit_bias":{"50256":-100},"seed":-3,"n":1,
           "logprobs":true,"top_logprobs":2,"service_tier":"auto","user":null,
           "metadata":{"a":"b"},"store":false,"top_k":-1)"));
    REQUIRE(request);
    CHECK(request->model == "auto");
    REQUIRE(request->messages.size() == 1);
    CHECK(request->messages[0].text() == "hi");
    CHECK(request->stream);
    CHECK(request->include_usage);
    CHECK(*request->max_tokens == 7);
    CHECK(*request->temperature == 0.25);
    CHECK(request->stop == std::vector<std::string>{"END"});
    CHECK(request->logit_bias.at(0) == std::pair<std::int32_t, double>(50256, -100));
    CHECK(*request->seed == -3);
    CHECK(request->top_logprobs == 2);
    CHECK_FALSE(request->top_k);
    REQUIRE(request->extra.size() == 3);
    CHECK(request->extra[0].second == "\"auto\"");
    CHECK(request->extra[1].second == R"({"a":"b"})");
}

TEST_CASE("a conversation with images, tools and an earlier thought is read", "[openai_chat]") {
    auto request = openai().read_request(R"({
      "messages": [
        {"content": [{"text": "be brief", "type": "text"}], "role": "developer"},
        {"role": "user", "content": [{"type": "text", "text": "what is it?"},
           {"image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}, "type": "image_url"}]},
        {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
         "annotations": [], "tool_calls": [{"id": "c1", "type": "function", "index": 0,
            "function": {"name": "look", "arguments": "{\"x\": 1}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"}],
      "model": "auto",
      "tools": [{"type": "function", "function": {"name": "look", "description": "looks",
         "parameters": {"type": "object", "n": 1.50}, "strict": true}}],
      "tool_choice": {"type": "function", "function": {"name": "look"}},
      "parallel_tool_calls": false,
      "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    })");
    REQUIRE(request);
    REQUIRE(request->messages.size() == 4);
    CHECK(request->messages[0].role == Role::developer);
    CHECK(request->has(Part::Kind::image));
    CHECK(request->wants_json_schema());
    CHECK(
        request->messages[1].parts[1].json ==
        R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}})");
    CHECK(request->messages[2].parts.empty());
    CHECK(request->messages[2].reasoning == "hm");
    CHECK(request->messages[2].tool_calls[0].arguments == "{\"x\": 1}");
    CHECK(request->messages[3].tool_call_id == "c1");
    CHECK(request->tools[0].parameters == R"({"type": "object", "n": 1.50})");
    CHECK(request->tool_choice == R"({"type":"function","function":{"name":"look"}})");
}

TEST_CASE("a wrong request names the field and says what would be right", "[openai_chat]") {
    struct Case {
        std::string body;
        const char* param;
        const char* message;
        Errc code = Errc::invalid_request;
    };
    constexpr Errc unsupported = Errc::unsupported_parameter;
    const Case cases[] = {
        {R"({"messages":[{"role":"user","content":"x"}]})", "model", "is missing"},
        {R"({"model":"a"})", "messages", "is missing"},
        {R"({"model":"","messages":[]})", "model", "expected 1 to 256 bytes"},
        {R"({"model":7,"messages":[]})", "model", "expected a string, got a number"},
        {R"({"model":null,"messages":[]})", "model", "expected a string, got null"},
        {body_of_messages(""), "messages", "expected at least one message"},
        {R"({"model":"a","messages":"hi"})", "messages", "expected a list, got a string"},
        {body_of_messages("7"), "messages[0]", "expected an object, got a number"},
        {body_of_messages(R"({"content":"x"})"), "messages[0].role", "is missing"},
        {body_of_messages(R"({"role":"usr","content":"x"})"), "messages[0].role",
         "expected system, developer, user, assistant or tool, got 'usr'"},
        {body_of_messages(R"({"role":"function","content":"x"})"), "messages[0].role",
         "role 'tool'", unsupported},
        {body_of_messages(R"({"role":"user"})"), "messages[0].content", "is missing"},
        {body_of_messages(R"({"role":"user","content":null})"), "messages[0].content",
         "is missing"},
        {body_of_messages(R"({"role":"user","content":[]})"), "messages[0].content",
         "at least one part"},
        {body_of_messages(R"({"role":"user","content":5})"), "messages[0].content",
         "expected a string or a list of parts, got a number"},
        {body_of_messages(R"({"role":"user","content":[{"type":"text","text":5}]})"),
         "messages[0].content[0].text", "expected a string, got a number"},
        {body_of_messages(R"({"role":"user","content":[{"type":"text"}]})"),
         "messages[0].content[0].text", "is missing"},
        {body_of_messages(R"({"role":"user","content":[{"type":"video"}]})"),
         "messages[0].content[0].type", "got 'video'"},
        {body_of_messages(R"({"role":"user","content":[{"type":"image_url","image_url":"u"}]})"),
         "messages[0].content[0].image_url", "expected an object, got a string"},
        {body_of_messages(R"({"role":"user","content":[{"type":"image_url","image_url":{}}]})"),
         "messages[0].content[0].image_url.url", "is missing"},
        {body_of_messages(
             R"({"role":"system","content":[{"type":"image_url","image_url":{"url":"u"}}]})"),
         "messages[0].content", "only the role 'user'"},
        {body_of_messages(R"({"role":"tool","content":"x"})"), "messages[0].tool_call_id",
         "is missing"},
        {body_of_messages(R"({"role":"user","content":"x","function_call":{}})"),
         "messages[0].function_call", "use tool_calls", unsupported},
        {body_of_messages(R"({"role":"user","content":"x","colour":1})"), "messages[0].colour",
         "unknown key"},
        {body_with(R"(,"temperature":2.5)"), "temperature", "a number from 0 to 2, got 2.5"},
        {body_with(R"(,"temperature":"hot")"), "temperature", "got a string"},
        {body_with(R"(,"temperature":1e999)"), "temperature", "expected a number from 0 to 2"},
        {body_with(R"(,"top_p":-0.1)"), "top_p", "from 0 to 1"},
        {body_with(R"(,"presence_penalty":3)"), "presence_penalty", "from -2 to 2"},
        {body_with(R"(,"max_tokens":0)"), "max_tokens", "a whole number from 1"},
        {body_with(R"(,"max_tokens":1.5)"), "max_tokens", "a whole number from 1"},
        {body_with(R"(,"max_tokens":99999999999999999999)"), "max_tokens", "a whole number"},
        {body_with(R"(,"max_tokens":1,"max_completion_tokens":2)"), "max_tokens", "another number"},
        {body_with(R"(,"n":2)"), "n", "only 1 answer", unsupported},
        {body_with(R"(,"n":0)"), "n", "a whole number from 1"},
        {body_with(R"(,"stop":["a","b","c","d","e"])"), "stop", "at most 4"},
        {body_with(R"(,"stop":[7])"), "stop[0]", "expected a string"},
        {body_with(R"(,"stop":"")"), "stop", "is empty"},
        {body_with(R"(,"logit_bias":{"x":1})"), "logit_bias.x", "token id"},
        {body_with(R"(,"logit_bias":{"1":101})"), "logit_bias.1", "from -100 to 100"},
        {body_with(biases(1025)), "logit_bias", "at most 1024 tokens"},
        {body_with(R"(,"top_logprobs":2)"), "top_logprobs", "needs logprobs"},
        {body_with(R"(,"logprobs":true,"top_logprobs":21)"), "top_logprobs", "0 to 20"},
        {body_with(R"(,"stream":"yes")"), "stream", "true or false"},
        {body_with(R"(,"stream_options":{"usage":true})"), "stream_options.usage", "unknown key"},
        {body_with(R"(,"tool_choice":"auto")"), "tool_choice", "needs tools"},
        {body_with(R"(,"tools":[{"type":"web"}])"), "tools[0].type", "only 'function'",
         unsupported},
        {body_with(R"(,"tools":[{"type":"function"}])"), "tools[0].function.name", "is missing"},
        {body_with(R"(,"tools":[{"function":{"name":"f","parameters":"x"}}])"),
         "tools[0].function.parameters", "a JSON schema (an object), got a string"},
        {body_with(R"(,"response_format":{"type":"xml"})"), "response_format.type", "got 'xml'"},
        {body_with(R"(,"response_format":{"type":"json_schema"})"), "response_format.json_schema",
         "is missing"},
        {body_with(R"(,"reasoning_effort":"huge")"), "reasoning_effort", "got 'huge'"},
        {body_with(R"(,"functions":[])"), "functions", "use tools", unsupported},
        {body_with(R"(,"modalities":["text","audio"])"), "modalities", "only text", unsupported},
        {body_with(R"(,"prediction":{})"), "prediction", "not served", unsupported},
        {body_with(R"(,"web_search_options":{})"), "web_search_options", "not served", unsupported},
        {body_with(R"(,"service_tier":"flex")"), "service_tier", "auto or default", unsupported},
        {body_with(R"(,"temprature":1)"), "temprature", "Did you mean 'temperature'?"},
        {body_with(R"(,"foo":1)"), "foo", "Unrecognized request argument supplied: foo"},
        {body_with(R"(,"stream":true,"stream":false)"), "stream", "is there twice"},
        {body_of_messages(R"({"role":"user","content":"a","content":"b"})"), "messages[0].content",
         "is there twice"},
        {body_of_messages(R"({"role":"user","role":"system","content":"a"})"), "messages[0].role",
         "is there twice"},
    };
    for (const Case& one : cases) {
        INFO(one.body);
        auto request = openai().read_request(one.body);
        REQUIRE_FALSE(request);
        INFO(request.error().message);
        CHECK(request.error().param == one.param);
        CHECK(request.error().message.find(one.message) != std::string::npos);
        CHECK(request.error().message.find("\n") == std::string::npos);
        CHECK((request.error().code == one.code));
    }
}

TEST_CASE("a body that is not JSON is refused with the place of the fault", "[openai_chat]") {
    struct Case {
        std::string body;
        const char* message;
    };
    const Case cases[] = {
        {"", "line 1, column 1 (byte 0): expected a value, got the end of the text"},
        {"   ", "(byte 3): expected a value"},
        {"[]", "expected a JSON object"},
        {"\"x\"", "expected a JSON object"},
        {"7", "expected a JSON object"},
        {"null", "expected a JSON object"},
        {"{\"model\":\"a\"\n \"messages\":[]}",
         "line 2, column 2 (byte 14): expected ',' or '}' after a value, got '\"'"},
        {"{\"model\":\"a\",}", "(byte 13): expected a key in double quotes, got '}'"},
        {"{\"model\":\"a", "(byte 9): the string that starts here has no end"},
        {"{\"model\" \"a\"}", "expected ':' after a key"},
        {"{\"model\":\"a\"} x", "expected the end of the text, got 'x'"},
        {"{\"model\":\"a\"}{}", "expected the end of the text, got '{'"},
        {"{\"model\":tru}", "expected true"},
        {"{\"model\":\"\\ud800\"}", "both halves of a surrogate pair"},
        {"{\"model\":\"\\ud800\\u0041\"}", "both halves of a surrogate pair"},
        {"{\"model\":\"\\x\"}", "expected one of"},
        {"{\"model\":\"\xff\"}", "expected UTF-8"},
        {"{\"model\":\"a\nb\"}", "expected control characters to be escaped"},
        {body_with(",\"metadata\":{]"), "expected a key in double quotes, got ']'"},
        {body_with(",\"metadata\":{\"a\" 1}"), "expected ':' after a key"},
        {body_with(",\"metadata\":[1,2"), "expected ',' or ']' after a value"},
        {body_with(",\"metadata\":01"), "after a leading 0"},
        {body_with(",\"metadata\":" + std::string(1000, '[') + std::string(1000, ']')),
         "expected at most 256 levels"},
        {body_with(",\"metadata\":" + std::string(100'000, '[')), "expected at most 256 levels"},
    };
    for (const Case& one : cases) {
        INFO(one.body.substr(0, 200));
        auto request = openai().read_request(one.body);
        REQUIRE_FALSE(request);
        INFO(request.error().message);
        CHECK(request.error().message.find(one.message) != std::string::npos);
        CHECK((request.error().code == Errc::invalid_request));
    }
}

TEST_CASE("what is written for an upstream reads back the same", "[openai_chat]") {
    Upstream upstream = plain_upstream("openai_chat");
    for (unsigned seed = 0; seed < 300; ++seed) {
        Samples samples(seed);
        ChatRequest request = samples.request();
        std::string body = openai().write_request(request, upstream);
        INFO(body);
        auto again = openai().read_request(body);
        if (!again) FAIL(again.error().message);
        REQUIRE(shown(*again) == shown(request));
    }
}

TEST_CASE("a vendor is sent what it understands", "[openai_chat]") {
    Upstream upstream = plain_upstream("openai_chat");
    upstream.model = "vendor/model";
    upstream.vendor.max_tokens_field = "max_completion_tokens";
    upstream.vendor.developer_role = false;
    upstream.vendor.drop_parameters = {"top_k", "metadata"};
    ChatRequest request;
    request.model = "auto";
    request.stream = true;  // the client did not ask for usage; we do
    request.max_tokens = 9;
    request.top_k = 5;
    request.temperature = 0.7;
    request.extra = {{"metadata", "{}"}, {"store", "false"}};
    Message& system = request.messages.emplace_back();
    system.role = Role::developer;
    system.parts.emplace_back().text = "s";
    Message& thought = request.messages.emplace_back();
    thought.role = Role::assistant;
    thought.reasoning = "secret thought";
    thought.parts.emplace_back().text = "a";
    CHECK(openai().write_request(request, upstream) ==
          R"({"model":"vendor/model","messages":[{"role":"system","content":"s"},)"
          R"({"role":"assistant","content":"a"}],"stream":true,)"
          R"("stream_options":{"include_usage":true},"max_completion_tokens":9,)"
          R"("temperature":0.7,"store":false})");
    upstream.vendor.stream_options = false;
    CHECK(openai().write_request(request, upstream).find("stream_options") == std::string::npos);
    UpstreamHttp http = openai().upstream_http(upstream);
    CHECK(http.path == "/chat/completions");
    CHECK(http.headers == std::vector<std::string>{"content-type: application/json",
                                                   "Authorization: Bearer sk-secret"});
}

TEST_CASE("vLLM's budget of a thought is read, and kept from upstreams that may not know it",
          "[openai_chat]") {
    const auto read = [](const std::string& budget) {
        return openai().read_request(body_with(R"(,"thinking_token_budget":)" + budget));
    };
    const auto request = read("512");
    REQUIRE(request);
    CHECK(request->thinking_tokens_max == 512);
    const Upstream upstream = plain_upstream("openai_chat");
    CHECK(openai().write_request(*request, upstream).find("thinking") == std::string::npos);
    CHECK_FALSE(read("null")->thinking_tokens_max);
    const auto wrong = read("-1");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().param == "thinking_token_budget");
}

TEST_CASE("as many biased tokens as OpenAI takes are read", "[openai]") {
    const auto request = openai().read_request(body_with(biases(1024)));
    REQUIRE(request);
    CHECK(request->logit_bias.size() == 1024);
}
