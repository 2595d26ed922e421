#include <catch2/catch.hpp>

#include "chat_samples.h"
#include "providers/dialect.h"

using namespace sluice;

namespace {

const Dialect& openai() { return *find_dialect("openai_chat"); }

AnswerHead head_of(bool include_usage) {
    return AnswerHead{"chatcmpl-1", "auto", 1763800000, include_usage};
}

AnswerTail tail_of() {
    AnswerTail tail;
    tail.cost = Money{123'000'000};
    tail.tier = "local";
    tail.upstream = "local-starter";
    return tail;
}

Delta text_delta(const std::string& text) {
    Delta delta;
    delta.text = text;
    return delta;
}

// One piece of `whole` at a time, as an upstream would stream it.
std::vector<Delta> pieces_of(const Delta& whole, Samples& samples) {
    std::vector<Delta> pieces;
    auto cut = [&](const std::string& text, std::string Delta::*field) {
        for (std::size_t at = 0; at < text.size();) {
            std::size_t end = at + 1 + samples.below(8);
            while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
            pieces.emplace_back().*field = text.substr(at, end - at);
            at = end;
        }
    };
    cut(whole.reasoning, &Delta::reasoning);
    cut(whole.text, &Delta::text);
    for (const ToolCallDelta& call : whole.tool_calls) {
        pieces.emplace_back().tool_calls.push_back({call.index, call.id, call.name, ""});
        pieces.emplace_back().tool_calls.push_back({call.index, "", "", call.arguments});
    }
    Delta& last = pieces.emplace_back();
    last.last = true;
    last.finish = whole.finish;
    last.usage = whole.usage;
    return pieces;
}

void join(Delta& whole, const Delta& piece) {
    whole.text += piece.text;
    whole.reasoning += piece.reasoning;
    for (const ToolCallDelta& call : piece.tool_calls) {
        auto index = static_cast<std::size_t>(call.index);
        if (whole.tool_calls.size() <= index) whole.tool_calls.resize(index + 1);
        ToolCallDelta& into = whole.tool_calls[index];
        into.index = call.index;
        into.id += call.id;
        into.name += call.name;
        into.arguments += call.arguments;
    }
    if (!piece.last) return;
    whole.last = true;
    whole.finish = piece.finish;
    whole.usage = piece.usage;
    whole.usage_missing = piece.usage_missing;
}

}  // namespace

TEST_CASE("a stream is written as OpenAI writes it", "[openai_chat]") {
    auto writer = openai().event_writer(head_of(true));
    std::string out;
    writer->write(Delta(), nullptr, out);
    CHECK(out.empty());
    writer->write(text_delta("H\"i"), nullptr, out);
    const std::string opening =
        R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763800000,"model":"auto")";
    CHECK(out == opening +
                     R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":)"
                     "null},\"finish_reason\":null}],\"usage\":null}\n\n" +
                     opening + R"(,"choices":[{"index":0,"delta":{"content":"H\"i"})" +
                     ",\"finish_reason\":null}],\"usage\":null}\n\n");
    out.clear();
    Delta thought;
    thought.reasoning = "hm";
    writer->write(thought, nullptr, out);
    CHECK(out ==
          opening +
              R"(,"choices":[{"index":0,"delta":{"reasoning_content":"hm","reasoning":"hm"})" +
              ",\"finish_reason\":null}],\"usage\":null}\n\n");
    out.clear();
    Delta last;
    last.last = true;
    last.finish = Finish::length;
    last.usage.in_uncached = 7;
    last.usage.in_cache_read = 3;
    last.usage.out_text = 4;
    last.usage.out_reasoning = 1;
    AnswerTail tail = tail_of();
    tail.simulated = true;
    writer->write(last, &tail, out);
    CHECK(out ==
          opening +
              ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}],"
              "\"usage\":null}\n\n" +
              opening +
              R"(,"system_fingerprint":"simulated","choices":[],"usage":{"prompt_tokens":10,)"
              R"("completion_tokens":5,"total_tokens":15,"prompt_tokens_details":)"
              R"({"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":1},)"
              R"("cost_usd":0.000123,"tier":"local","upstream":"local-starter",)"
              "\"simulated\":true}}\n\ndata: [DONE]\n\n");
}

TEST_CASE("usage is left out of a stream whose client did not ask for it", "[openai_chat]") {
    auto writer = openai().event_writer(head_of(false));
    std::string out;
    Delta last = text_delta("all");
    last.last = true;
    last.finish = Finish::stop;
    AnswerTail tail = tail_of();
    writer->write(last, &tail, out);
    CHECK(out.find("usage") == std::string::npos);
    CHECK(out.find("\"content\":\"all\"") != std::string::npos);
    CHECK(out.find("\"finish_reason\":\"stop\"") != std::string::npos);
    CHECK(out.substr(out.size() - 14) == "data: [DONE]\n\n");
}

TEST_CASE("an error ends a stream and says what an error body says", "[openai_chat]") {
    auto writer = openai().event_writer(head_of(false));
    Error error(Errc::over_budget, "the budget of team \"x\" is spent", "model");
    std::string out;
    writer->write_error(error, "req_1", out);
    std::string body =
        R"({"error":{"message":"the budget of team \"x\" is spent","type":"insufficient_quota",)"
        R"("param":"model","code":"budget_exceeded"}})";
    CHECK(openai().write_error(error, "req_1") == body);
    CHECK(out == "data: " + body + "\n\n");
    CHECK(openai().write_error(Error(Errc::invalid_request, "m"), "") ==
          R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})");
}

TEST_CASE("an answer reads back as it was written, whole and streamed", "[openai_chat]") {
    Upstream upstream = plain_upstream("openai_chat");
    AnswerTail tail = tail_of();
    for (unsigned seed = 0; seed < 300; ++seed) {
        Samples samples(seed);
        Delta answer = samples.answer();
        std::string body = openai().write_answer(head_of(true), answer, tail);
        INFO(body);
        auto again = openai().read_answer(body, upstream);
        if (!again) FAIL(again.error().message);
        REQUIRE(shown(*again) == shown(answer));
        CHECK(again->upstream_id == "chatcmpl-1");
        CHECK(again->model == "auto");

        auto writer = openai().event_writer(head_of(true));
        std::string stream;
        for (const Delta& piece : pieces_of(answer, samples))
            writer->write(piece, piece.last ? &tail : nullptr, stream);
        SseReader sse;
        std::vector<SseEvent> events;
        REQUIRE(sse.feed(stream, events));
        auto reader = openai().event_reader(upstream);
        std::vector<Delta> deltas;
        for (const SseEvent& event : events) REQUIRE(reader->read(event, deltas));
        REQUIRE(reader->finish(deltas));
        Delta joined;
        for (const Delta& piece : deltas) join(joined, piece);
        REQUIRE(shown(joined) == shown(answer));
    }
}

TEST_CASE("a whole answer that is none is the upstream's failure", "[openai_chat]") {
    Upstream upstream = plain_upstream("openai_chat");
    for (const char* body : {"", "{}", "[]", "<html>", R"({"choices":[]})",
                             R"({"choices":[{"message":{"content":"x"}}]})",
                             R"({"choices":{"message":{}}})", R"({"error":{"message":"m"}})",
                             R"({"choices":[{"message":{"content":7},"finish_reason":"stop"}]})"}) {
        INFO(body);
        auto answer = openai().read_answer(body, upstream);
        REQUIRE_FALSE(answer);
        CHECK((answer.error().code == Errc::upstream_failed));
    }
}

TEST_CASE("an upstream's refusal is told by its status and its words", "[openai_chat]") {
    struct Case {
        int status;
        std::string body;
        Errc code;
        const char* message;
    };
    const Case cases[] = {
        {400, R"({"error":{"message":"bad seed","type":"invalid_request_error","param":"seed"}})",
         Errc::upstream_rejected, "the upstream answered 400: bad seed"},
        {400, R"({"error":{"message":"too long","code":"context_length_exceeded"}})",
         Errc::context_length_exceeded, "too long"},
        {400, R"({"object":"error","message":"This model's maximum context length is 8 tokens"})",
         Errc::context_length_exceeded, "maximum context length"},
        {401, R"({"error":{"message":"bad key"}})", Errc::upstream_auth, "bad key"},
        {402, R"({"error":"no credit"})", Errc::upstream_auth, "no credit"},
        {404, R"({"error":{"message":"no such model","code":404}})", Errc::upstream_failed,
         "no such model"},
        {429, "slow down", Errc::rate_limited, "no reason given"},
        {500, "<html>oops</html>", Errc::upstream_failed, "the upstream answered 500"},
        {503, "", Errc::upstream_failed, "no reason given"},
        {504, "{", Errc::timed_out, "504"},
        {422, R"({"detail":"x"})", Errc::upstream_rejected, "422"},
    };
    for (const Case& one : cases) {
        INFO(one.status << " " << one.body);
        Error error = openai().read_error(one.status, one.body);
        CHECK((error.code == one.code));
        CHECK(error.message.find(one.message) != std::string::npos);
    }
    CHECK(openai().read_error(400, cases[0].body).param == "seed");
    std::string huge = R"({"error":{"message":")" + std::string(100'000, 'x') + "\"}}";
    CHECK(openai().read_error(500, huge).message.size() < 3000);
}

TEST_CASE(
    "a thought inside the content of a whole answer is taken out where the vendor puts it there",
    "[openai_chat]") {
    Upstream upstream = plain_upstream("openai_chat");
    std::string body =
        R"({"choices":[{"message":{"content":"<think>\nhm\n</think>\n\n42"},"finish_reason":"stop"}]})";
    CHECK(openai().read_answer(body, upstream)->text == "<think>\nhm\n</think>\n\n42");
    upstream.vendor.inline_think = true;
    CHECK(openai().read_answer(body, upstream)->text == "42");
    CHECK(openai().read_answer(body, upstream)->reasoning == "hm\n");
}
