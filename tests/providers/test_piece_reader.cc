#include <catch2/catch.hpp>

#include "tests/providers/local_samples.h"

using namespace sluice;
using Start = ReasoningSplitter::Start;

namespace {

Delta read_all(const LocalProvider& provider, const LocalCall& call,
               const std::vector<Piece>& pieces) {
    PieceReader reader(provider, call);
    Delta delta;
    for (const Piece& piece : pieces) REQUIRE(reader.read(piece, delta));
    return delta;
}

}  // namespace

TEST_CASE("pieces become text, reasoning and disjoint counts", "[piece_reader]") {
    ScriptedEngine engine(thinking_tokens(), thinking_template);
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    Piece end = ScriptedEngine::end(FinishReason::stop, 20, 16);
    end.cached_prompt_tokens = 12;
    end.tokens = {257};
    // <think> was the prompt's; </think> is one token of this vocabulary.
    Piece close;
    close.text = "</think>";
    close.tokens = {262};
    const Delta delta = read_all(*provider, *call,
                                 {ScriptedEngine::piece("\nhmm"), ScriptedEngine::piece(" ok\n"),
                                  close, ScriptedEngine::piece("\n\nYes."), end});
    CHECK(delta.reasoning == "hmm ok\n");
    CHECK(delta.text == "Yes.");
    CHECK(delta.last);
    CHECK(delta.finish == Finish::stop);
    CHECK(delta.usage.in_uncached == 8);
    CHECK(delta.usage.in_cache_read == 12);
    CHECK(delta.usage.out_reasoning == 9);
    CHECK(delta.usage.out_text == 7);
    CHECK_FALSE(delta.usage.estimated);
}

TEST_CASE("a thought's tokens are told from the answer's within one piece", "[piece_reader]") {
    ScriptedEngine engine(thinking_tokens(), thinking_template);
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    PieceReader reader(*provider, *call);
    Delta delta;
    REQUIRE(reader.read(ScriptedEngine::piece("ab</think>\ncde"), delta));
    CHECK(delta.reasoning == "ab");
    CHECK(delta.text == "cde");
    CHECK(reader.usage().out_reasoning == 10);
    CHECK(reader.usage().out_text == 4);
}

TEST_CASE("tags that are control tokens are seen although the engine hides their text",
          "[piece_reader]") {
    auto tokens = thinking_tokens();
    tokens[5].control = tokens[6].control = true;
    ScriptedEngine engine(tokens, thinking_template);
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    Piece close;
    close.tokens = {262};
    const Delta delta = read_all(*provider, *call,
                                 {ScriptedEngine::piece("hm"), close, ScriptedEngine::piece("\nx"),
                                  ScriptedEngine::end(FinishReason::length, 9, 5)});
    CHECK(delta.reasoning == "hm");
    CHECK(delta.text == "x");
    CHECK(delta.finish == Finish::length);
    CHECK(delta.usage.out_reasoning == 3);
    CHECK(delta.usage.out_text == 2);
}

TEST_CASE("an answer that may yet be a thought is counted when it is known", "[piece_reader]") {
    ScriptedEngine engine(thinking_tokens(), "{% for m in messages %}{{ m.content }}{% endfor %}");
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    REQUIRE(call->reasoning == Start::detect);
    const Delta thought =
        read_all(*provider, *call,
                 {ScriptedEngine::piece("<thi"), ScriptedEngine::piece("nk>"),
                  ScriptedEngine::piece("a"), ScriptedEngine::end(FinishReason::length, 2, 8)});
    CHECK(thought.reasoning == "a");
    CHECK(thought.usage.out_reasoning == 8);
    const Delta answer = read_all(*provider, *call,
                                  {ScriptedEngine::piece("<thi"), ScriptedEngine::piece("s>"),
                                   ScriptedEngine::end(FinishReason::stop, 2, 7)});
    CHECK(answer.text == "<this>");
    CHECK(answer.usage.out_text == 7);
    CHECK(answer.usage.out_reasoning == 0);
}

TEST_CASE("logprobs are those of the answer, with readable text and exact bytes",
          "[piece_reader]") {
    ScriptedEngine engine(thinking_tokens(), thinking_template);
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    const auto with_logprob = [](std::string text, std::string bytes) {
        Piece piece;
        piece.text = std::move(text);
        piece.tokens = {1};
        ChosenLogprob chosen;
        chosen.chosen = {1, -0.5F, bytes};
        chosen.top = {{1, -0.5F, bytes}, {2, -1.5F, "o"}};
        piece.logprobs = {chosen};
        return piece;
    };
    const Delta delta =
        read_all(*provider, *call,
                 {with_logprob("thought", "thought"), with_logprob("</think>", "</think>"),
                  with_logprob("a", "a"), with_logprob("", "\xE4\xBD")});
    REQUIRE(delta.logprobs.size() == 2);
    CHECK(delta.logprobs[0].token == "a");
    CHECK(delta.logprobs[0].logprob == Approx(-0.5));
    REQUIRE(delta.logprobs[0].top.size() == 2);
    CHECK(delta.logprobs[0].top[1].token == "o");
    CHECK(delta.logprobs[1].token == "\xEF\xBF\xBD\xEF\xBF\xBD");
    CHECK(delta.logprobs[1].bytes == "\xE4\xBD");
}

TEST_CASE("a sequence that failed is an error, not an answer", "[piece_reader]") {
    ScriptedEngine engine = chatml_engine();
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    PieceReader reader(*provider, *call);
    Delta delta;
    Piece failed = ScriptedEngine::end(FinishReason::failed, 5, 3);
    failed.error = "NaN in the logits";
    const Status status = reader.read(failed, delta);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == Errc::device_failed);
    CHECK(status.error().message.find("NaN in the logits") != std::string::npos);
    CHECK_FALSE(delta.last);
    CHECK(reader.usage().in_uncached == 5);
    PieceReader stopped(*provider, *call);
    CHECK(stopped.read(ScriptedEngine::end(FinishReason::cancelled, 5, 3), delta).error().code ==
          Errc::cancelled);
}

TEST_CASE("an answer that went round in circles was cut short", "[piece_reader]") {
    ScriptedEngine engine(thinking_tokens(), thinking_template);
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    const Delta delta =
        read_all(*provider, *call,
                 {ScriptedEngine::piece("hm"), ScriptedEngine::end(FinishReason::loop, 20, 2)});
    CHECK(delta.reasoning == "hm");
    CHECK(delta.finish == Finish::length);
    CHECK(delta.usage.out_reasoning == 2);
}

TEST_CASE("words that close a thought are the thought's, what follows is the answer",
          "[piece_reader]") {
    ScriptedEngine engine(thinking_tokens(), thinking_template);
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    Piece forced = ScriptedEngine::piece("\n\nEnough.\n");
    forced.text += "</think>\n\n";
    forced.tokens.insert(forced.tokens.end(), {262, '\n', '\n'});
    const Delta delta = read_all(*provider, *call,
                                 {ScriptedEngine::piece("hm"), forced, ScriptedEngine::piece("4"),
                                  ScriptedEngine::end(FinishReason::stop, 20, 16)});
    CHECK(delta.reasoning == "hm\n\nEnough.\n");
    CHECK(delta.text == "4");
    CHECK(delta.usage.output() == 16);
    CHECK(delta.usage.out_reasoning == 13);
}

TEST_CASE("an answer that is left in the middle has its prompt counted, cached part and rest",
          "[piece_reader]") {
    ScriptedEngine engine = chatml_engine();
    const auto provider = provider_of(engine);
    const auto call = provider->prepare(ask("hi"), {}, 0);
    REQUIRE(call);
    PieceReader reader(*provider, *call);
    CHECK(reader.usage().input() == 0);  // no one has waited for the prompt yet
    Piece piece = ScriptedEngine::piece("so");
    piece.prompt_tokens = 40;
    piece.cached_prompt_tokens = 32;
    Delta delta;
    REQUIRE(reader.read(piece, delta));
    CHECK(reader.usage().in_uncached == 8);
    CHECK(reader.usage().in_cache_read == 32);
    CHECK(reader.usage().out_text == 2);
}
