#include <catch2/catch.hpp>

#include "chat_samples.h"
#include "providers/dialect.h"

using namespace sluice;

namespace {

const Dialect& anthropic() { return *find_dialect("anthropic_messages"); }

Upstream anthropic_upstream() {
    Upstream upstream = plain_upstream("anthropic_messages");
    upstream.vendor.auth_header = "x-api-key";
    upstream.vendor.auth_prefix = "";
    upstream.vendor.headers["anthropic-version"] = "2023-06-01";
    upstream.output_tokens_default = 1000;
    return upstream;
}

Message text_message(Role role, const std::string& text) {
    Message message;
    message.role = role;
    message.parts.emplace_back().text = text;
    return message;
}

std::string body_with(const std::string& more) {
    return R"({"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"hi"}])" + more +
           "}";
}

std::string body_of_messages(const std::string& messages) {
    return R"({"model":"auto","max_tokens":9,"messages":[)" + messages + "]}";
}

}  // namespace

TEST_CASE("a conversation is written in Anthropic's form", "[anthropic]") {
    ChatRequest request;
    request.messages.push_back(text_message(Role::system, "be brief"));
    request.messages.push_back(text_message(Role::user, "look"));
    Part& image = request.messages.back().parts.emplace_back();
    image.kind = Part::Kind::image;
    image.json =
        R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}})";
    Part& link = request.messages.back().parts.emplace_back();
    link.kind = Part::Kind::image;
    link.json = R"({"type":"image_url","image_url":{"url":"https://x.y/a.png"}})";
    request.messages.push_back(text_message(Role::user, "again"));
    Message& call = request.messages.emplace_back();
    call.role = Role::assistant;
    call.reasoning = "hmwell?so";
    call.thought_ends = {{2, "sig", ""}, {7, "", "xx=="}, {9, "gis", ""}};  // "well?" has no proof
    call.tool_calls.push_back(ToolCall{"call:1", "look", R"({"x": 1})"});
    call.tool_calls.push_back(ToolCall{"c2", "look", "oops {"});
    call.tool_calls.push_back(ToolCall{"c3", "look", ""});
    Message& result = request.messages.emplace_back(text_message(Role::tool, "a cat"));
    result.tool_call_id = "call:1";
    Message& failed = request.messages.emplace_back(text_message(Role::tool, "no"));
    failed.tool_call_id = "c2";
    failed.tool_error = true;
    request.messages.push_back(text_message(Role::user, "so?"));
    request.messages.push_back(text_message(Role::developer, "late"));
    request.stream = true;
    request.temperature = 1.5;
    request.stop = {"\n", "END"};
    request.user = "u1";
    request.reasoning_effort = "minimal";
    Tool& tool = request.tools.emplace_back();
    tool.name = "look";
    request.tool_choice = R"({"type":"function","function":{"name":"look"}})";
    request.parallel_tool_calls = false;
    request.extra = {{"store", "true"}, {"thinking", R"({"type":"adaptive"})"}};
    CHECK(anthropic().write_request(request, anthropic_upstream()) ==
          R"({"model":"model-1","max_tokens":1000,)"
          R"("system":[{"type":"text","text":"be brief"},{"type":"text","text":"late"}],)"
          R"("messages":[{"role":"user","content":[{"type":"text","text":"look"},)"
          R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},)"
          R"({"type":"image","source":{"type":"url","url":"https://x.y/a.png"}},)"
          R"({"type":"text","text":"again"}]},)"
          R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"sig"},)"
          R"({"type":"redacted_thinking","data":"xx=="},)"
          R"({"type":"thinking","thinking":"so","signature":"gis"},)"
          R"({"type":"tool_use","id":"call_1","name":"look","input":{"x": 1}},)"
          R"({"type":"tool_use","id":"c2","name":"look","input":{"arguments":"oops {"}},)"
          R"({"type":"tool_use","id":"c3","name":"look","input":{}}]},)"
          R"({"role":"user","content":[)"
          R"({"type":"tool_result","tool_use_id":"call_1","content":"a cat"},)"
          R"({"type":"tool_result","tool_use_id":"c2","content":"no","is_error":true},)"
          R"({"type":"text","text":"so?"}]}],"stream":true,"temperature":1,)"
          R"("stop_sequences":["END"],)"
          R"("tools":[{"name":"look","input_schema":{"type":"object","properties":{}}}],)"
          R"("tool_choice":{"type":"tool","name":"look","disable_parallel_tool_use":true},)"
          R"("metadata":{"user_id":"u1"},"thinking":{"type":"adaptive"},)"
          R"("output_config":{"effort":"low"}})");
}

TEST_CASE("an Anthropic call carries its key and version in headers", "[anthropic]") {
    UpstreamHttp http = anthropic().upstream_http(anthropic_upstream());
    CHECK(http.path == "/messages");
    CHECK(http.headers == std::vector<std::string>{"content-type: application/json",
                                                   "x-api-key: sk-secret",
                                                   "anthropic-version: 2023-06-01"});
}

TEST_CASE("an Anthropic client's request is read into the neutral nouns", "[anthropic]") {
    auto request = anthropic().read_request(R"({
      "model": "auto", "max_tokens": 50, "stream": true, "top_k": 5, "stop_sequences": ["END"],
      "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
      "messages": [
        {"role": "user", "content": [{"type": "text", "text": "look"},
          {"source": {"type": "base64", "media_type": "image/png", "data": "AA=="}, "type": "image"}]},
        {"role": "assistant", "content": [
          {"type": "thinking", "thinking": "hm", "signature": "sig"},
          {"type": "redacted_thinking", "data": "xx=="},
          {"type": "text", "text": "one moment"},
          {"type": "thinking", "thinking": "", "signature": "gis"},
          {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1.50}}]},
        {"role": "user", "content": [
          {"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [
             {"type": "text", "text": "a cat"},
             {"type": "image", "source": {"type": "url", "url": "https://x.y/a.png"}}]},
          {"type": "text", "text": "so?"}]}],
      "tools": [{"name": "look", "input_schema": {"type": "object"}}],
      "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
      "metadata": {"user_id": "u1"}, "thinking": {"type": "adaptive"}})");
    if (!request) FAIL(request.error().message);
    CHECK(request->include_usage);
    CHECK(*request->max_tokens == 50);
    REQUIRE(request->messages.size() == 5);
    CHECK(request->messages[0].role == Role::system);
    CHECK(request->messages[0].parts[0].cache_control == R"({"type": "ephemeral"})");
    CHECK(request->messages[1].parts[1].json ==
          R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}})");
    CHECK(request->messages[2].reasoning == "hm");
    std::string sent_on = anthropic().write_request(*request, anthropic_upstream());
    CHECK_THAT(sent_on, Catch::Contains(R"([{"type":"thinking","thinking":"hm","signature":"sig"},)"
                                        R"({"type":"redacted_thinking","data":"xx=="},)"
                                        R"({"type":"thinking","thinking":"","signature":"gis"},)"
                                        R"({"type":"text","text":"one moment"})"));
    CHECK(request->messages[2].tool_calls[0].arguments == R"({"x": 1.50})");
    CHECK(request->messages[3].role == Role::tool);
    CHECK(request->messages[3].tool_error);
    CHECK(request->messages[3].text() == "a cat");
    CHECK(request->messages[4].parts.size() == 2);
    CHECK(request->tool_choice == "\"required\"");
    CHECK(request->parallel_tool_calls == false);
    CHECK(request->user == "u1");
    CHECK(request->extra.size() == 1);
    // What one dialect read, the other can send.
    Upstream openai = plain_upstream("openai_chat");
    std::string body = find_dialect("openai_chat")->write_request(*request, openai);
    CHECK(body.find("thinking") == std::string::npos);
    CHECK(find_dialect("openai_chat")->read_request(body));
}

TEST_CASE("how long an Anthropic client lets a model think is read and sent on", "[anthropic]") {
    const auto read = [](const std::string& thinking) {
        return anthropic().read_request(
            R"({"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hi"}],)"
            R"("thinking":)" +
            thinking + "}");
    };
    const auto enabled = read(R"({"type": "enabled", "budget_tokens": 2048})");
    REQUIRE(enabled);
    CHECK(enabled->thinking_tokens_max == 2048);
    CHECK_THAT(anthropic().write_request(*enabled, anthropic_upstream()),
               Catch::Contains(R"("thinking":{"type":"enabled","budget_tokens":2048})"));
    CHECK(read(R"({"type":"disabled"})")->thinking_tokens_max == 0);
    CHECK_FALSE(read(R"({"type":"adaptive","display":"omitted"})")->thinking_tokens_max);
    CHECK(read("{}")->extra[0].second == "{}");
    const auto wrong = read(R"({"type":"enabled","budget_tokens":"2k"})");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message.find("thinking.budget_tokens") != std::string::npos);
    CHECK_FALSE(read(R"({"type":"enabled","budget_tokens":-1})"));
    CHECK_FALSE(read(R"({"type":"enabled","budget_tokens":99999999999999999999})"));
    CHECK_FALSE(read("7"));
}

TEST_CASE("a wrong Anthropic request names the field", "[anthropic]") {
    struct Case {
        std::string body;
        const char* param;
        const char* message;
    };
    const Case cases[] = {
        {R"({"model":"a","messages":[{"role":"user","content":"x"}]})", "max_tokens", "is missing"},
        {R"({"max_tokens":1,"messages":[{"role":"user","content":"x"}]})", "model", "is missing"},
        {R"({"model":"a","max_tokens":1,"messages":[]})", "messages", "is missing"},
        {body_of_messages(R"({"role":"system","content":"x"})"), "messages[0].role",
         "expected user or assistant, got 'system'"},
        {body_of_messages(R"({"role":"user","content":[]})"), "messages[0].content",
         "at least one content block"},
        {body_of_messages(R"({"role":"user","content":7})"), "messages[0].content",
         "a string or a list of content blocks, got a number"},
        {body_of_messages(R"({"role":"user","content":[{"type":"video"}]})"),
         "messages[0].content[0].type", "got 'video'"},
        {body_of_messages(R"({"role":"user","content":[{"type":"text"}]})"),
         "messages[0].content[0].text", "is missing"},
        {body_of_messages(R"({"role":"user","content":[{"type":"tool_result","content":"x"}]})"),
         "messages[0].content[0].tool_use_id", "is missing"},
        {body_of_messages(
             R"({"role":"user","content":[{"type":"image","source":{"type":"base64"}}]})"),
         "messages[0].content[0].source", "media_type and data"},
        {body_of_messages(
             R"({"role":"assistant","content":[{"type":"tool_use","id":"a","input":{}}]})"),
         "messages[0].content[0].name", "is missing"},
        {body_with(R"(,"temperature":1.5)"), "temperature", "from 0 to 1"},
        {body_with(R"(,"tools":[{"type":"bash_20250124","name":"bash"}])"), "tools[0]",
         "'bash_20250124' is not served"},
        {body_with(R"(,"tools":[{"name":"x"}])"), "tools[0].input_schema", "is missing"},
        {body_with(R"(,"tool_choice":{"type":"any"})"), "tool_choice", "needs tools"},
        {body_with(R"(,"mcp_servers":[])"), "mcp_servers", "not served"},
        {body_with(R"(,"max_token":5)"), "max_token", "Did you mean 'max_tokens'?"},
        {body_with(R"(,"metadata":{"x":1})"), "metadata.x", "unknown key"},
        {body_with(R"(,"stream":true,"stream":true)"), "stream", "is there twice"},
        {"{\"model\":", "", "not JSON at line 1, column 10 (byte 9)"},
    };
    for (const Case& one : cases) {
        INFO(one.body);
        auto request = anthropic().read_request(one.body);
        REQUIRE_FALSE(request);
        INFO(request.error().message);
        CHECK(request.error().param == one.param);
        CHECK(request.error().message.find(one.message) != std::string::npos);
    }
}

TEST_CASE("what is written for Anthropic reads back and is written the same", "[anthropic]") {
    Upstream upstream = anthropic_upstream();
    for (unsigned seed = 0; seed < 300; ++seed) {
        Samples samples(seed);
        ChatRequest made = samples.request();
        made.reasoning_effort.clear();  // comes back as an extra
        std::string body = anthropic().write_request(made, upstream);
        INFO(body);
        auto request = anthropic().read_request(body);
        if (!request) FAIL(request.error().message);
        std::string again = anthropic().write_request(*request, upstream);
        REQUIRE(again == body);
        auto reread = anthropic().read_request(again);
        REQUIRE(reread);
        REQUIRE(shown(*reread) == shown(*request));
        CHECK(request->tools.size() == made.tools.size());
        CHECK(request->user == made.user);
    }
}

namespace {

// Up to four thoughts more: with and without proof, without words, sealed.
void think_more(Samples& samples, Delta& answer) {
    for (std::uint64_t left = samples.below(5); left > 0; --left) {
        std::string text = samples.text();
        std::string signature = samples.below(3) > 0 ? "sig" + std::to_string(left) : "";
        if (samples.below(4) == 0)
            add_thought(answer.reasoning, answer.thought_ends, {"", "", "sealed="});
        else if (!text.empty() || !signature.empty())
            add_thought(answer.reasoning, answer.thought_ends, {text, signature, ""});
    }
}

}  // namespace

TEST_CASE("an Anthropic answer reads back as it was written, whole and streamed", "[anthropic]") {
    Upstream upstream = anthropic_upstream();
    AnswerHead head{"msg_1", "auto", 1, true};
    AnswerTail tail;
    for (unsigned seed = 0; seed < 300; ++seed) {
        Samples samples(seed);
        Delta answer = samples.answer();
        if (!answer.reasoning.empty()) think_more(samples, answer);
        answer.usage.in_cache_write_1h = static_cast<std::int64_t>(samples.below(100));
        std::string body = anthropic().write_answer(head, answer, tail);
        INFO(body);
        auto again = anthropic().read_answer(body, upstream);
        if (!again) FAIL(again.error().message);
        REQUIRE(shown(*again) == shown(answer));

        auto writer = anthropic().event_writer(head);
        std::string stream;
        writer->write(answer, &tail, stream);
        SseReader sse;
        std::vector<SseEvent> events;
        REQUIRE(sse.feed(stream, events));
        auto reader = anthropic().event_reader(upstream);
        std::vector<Delta> deltas;
        for (const SseEvent& event : events) {
            CHECK(event.data.find("{\"type\":\"" + event.event + "\"") == 0);
            REQUIRE(reader->read(event, deltas));
        }
        REQUIRE(deltas.back().last);
        Delta joined = deltas.back();
        for (const Delta& piece : deltas) {
            if (piece.last) continue;
            joined.text += piece.text;
            for (ThoughtEnd end : piece.thought_ends) {
                end.at += joined.reasoning.size();
                joined.thought_ends.push_back(end);
            }
            joined.reasoning += piece.reasoning;
            for (const ToolCallDelta& call : piece.tool_calls) {
                auto index = static_cast<std::size_t>(call.index);
                if (joined.tool_calls.size() <= index)
                    joined.tool_calls.push_back(call);
                else
                    joined.tool_calls[index].arguments += call.arguments;
            }
        }
        REQUIRE(shown(joined) == shown(answer));
    }
}

TEST_CASE("an Anthropic stream is written as Anthropic writes it", "[anthropic]") {
    auto writer = anthropic().event_writer(AnswerHead{"msg_1", "auto", 1, true});
    std::string out;
    Delta thought;
    thought.reasoning = "hm";
    writer->write(thought, nullptr, out);
    Delta last;
    last.text = "hi";
    last.last = true;
    last.finish = Finish::stop;
    last.usage.in_uncached = 5;
    last.usage.out_text = 2;
    AnswerTail tail;
    tail.cost = Money{1};
    tail.tier = "frontier";
    tail.upstream = "up";
    writer->write(last, &tail, out);
    CHECK(out ==
          "event: message_start\n"
          "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","
          "\"role\":\"assistant\",\"model\":\"auto\",\"content\":[],\"stop_reason\":null,"
          "\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}}\n\n"
          "event: content_block_start\n"
          "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
          "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n"
          "event: content_block_delta\n"
          "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
          "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n"
          "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
          "event: content_block_start\n"
          "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":"
          "{\"type\":\"text\",\"text\":\"\"}}\n\n"
          "event: content_block_delta\n"
          "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":"
          "{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n"
          "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
          "event: message_delta\n"
          "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
          "\"stop_sequence\":null},\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":0,"
          "\"cache_read_input_tokens\":0,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
          "\"ephemeral_1h_input_tokens\":0},\"output_tokens\":2,\"cost_usd\":0.000000000001,"
          "\"tier\":\"frontier\",\"upstream\":\"up\"}}\n\n"
          "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    out.clear();
    writer->write_error(Error(Errc::rate_limited, "slow"), "req_1", out);
    CHECK(out ==
          "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
          "\"message\":\"slow\"},\"request_id\":\"req_1\"}\n\n");
}

TEST_CASE("Anthropic's refusals are told by status and words", "[anthropic]") {
    auto code_of = [](int status, const char* body) {
        return anthropic().read_error(status, body).code;
    };
    CHECK((code_of(529, R"({"type":"error","error":{"type":"overloaded_error","message":"m"}})") ==
           Errc::upstream_failed));
    CHECK((code_of(400, R"({"type":"error","error":{"type":"invalid_request_error",
           "message":"prompt is too long: 5 tokens > 4 maximum"}})") ==
           Errc::context_length_exceeded));
    CHECK((code_of(400, "x") == Errc::upstream_rejected));
    CHECK((code_of(401, "x") == Errc::upstream_auth));
    CHECK((code_of(429, "x") == Errc::rate_limited));
    Error error = anthropic().read_error(
        413, R"({"type":"error","error":{"type":"request_too_large","message":"too large"}})");
    CHECK(error.message == "the upstream answered 413: too large");
}
