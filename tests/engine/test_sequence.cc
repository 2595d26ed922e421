#include <catch2/catch.hpp>

#include "tests/engine/fake_engine_parts.h"

using namespace sluice;

namespace {

struct Run {
    FakeTokenizer tokenizer;
    Sampling sampling;
    std::vector<Piece> pieces;
    int refusals = 0;  // how many offers to refuse
    int offers = 0;

    Sequence start(int generated_max = 100) {
        auto sink = [this](Piece& piece) {
            ++offers;
            if (refusals > 0) {
                --refusals;
                return false;
            }
            pieces.push_back(std::move(piece));
            return true;
        };
        return Sequence(1, {1, 2, 3}, sampling, sink, generated_max, 7);
    }
    static Sampled token(TokenId id) {
        Sampled out;
        out.token = id;
        out.signals.logprob = -static_cast<float>(id);
        out.logprobs.chosen.token = id;
        return out;
    }
    void feed(Sequence& sequence, const std::vector<TokenId>& tokens) {
        for (TokenId id : tokens) {
            if (sequence.finished()) return;
            sequence.take(token(id), tokenizer);
            sequence.deliver({});
        }
    }
    std::string text() const {
        std::string out;
        for (const Piece& piece : pieces) out += piece.text;
        return out;
    }
    std::vector<TokenId> tokens() const {
        std::vector<TokenId> out;
        for (const Piece& piece : pieces)
            out.insert(out.end(), piece.tokens.begin(), piece.tokens.end());
        return out;
    }
};

}  // namespace

TEST_CASE("an end token ends a sequence, is counted and is not shown", "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    run.feed(sequence, {'h', 'i', FakeTokenizer::end});
    REQUIRE(run.pieces.size() == 3);
    CHECK(run.text() == "hi");
    CHECK(run.tokens() == std::vector<TokenId>{'h', 'i'});
    const Piece& last = run.pieces.back();
    CHECK(last.last);
    CHECK(last.finish == FinishReason::stop);
    CHECK(last.stop_string.empty());
    CHECK(last.prompt_tokens == 3);
    CHECK(last.generated_tokens == 3);
    REQUIRE(last.signals.size() == 1);
    CHECK(last.signals.back().logprob == -256);
}

TEST_CASE("every token of a piece has its own signals", "[sequence]") {
    Run run;
    run.sampling.stop = {"abcd"};
    Sequence sequence = run.start();
    run.feed(sequence, {'a', 'b', 'c', 'x', FakeTokenizer::end});  // "abc" is held until x
    REQUIRE(run.pieces.size() == 2);
    const Piece& held = run.pieces.front();
    CHECK(held.tokens == std::vector<TokenId>{'a', 'b', 'c', 'x'});
    REQUIRE(held.signals.size() == 4);
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(held.signals[i].logprob == -static_cast<float>(held.tokens[i]));
    CHECK(run.pieces.back().tokens.empty());
    REQUIRE(run.pieces.back().signals.size() == 1);  // the end token's
    CHECK(run.pieces.back().signals.front().logprob == -256);
}

TEST_CASE("what closes a spent thought has the signals of what gave way to it", "[sequence]") {
    Run run;
    run.sampling.ignore_end = true;
    run.sampling.thinking.end = '!';
    run.sampling.thinking.open = true;
    run.sampling.thinking.budget = 1;
    run.sampling.thinking.closing = {'o', '!'};
    Sequence sequence = run.start();
    run.feed(sequence, {'a', 'b', 'c'});
    CHECK(run.tokens() == std::vector<TokenId>{'a', 'o', '!', 'c'});
    std::vector<float> logprobs;
    for (const Piece& piece : run.pieces)
        for (const TokenSignals& one : piece.signals) logprobs.push_back(one.logprob);
    CHECK(logprobs == std::vector<float>{-'a', -'b', -'b', -'c'});
}

TEST_CASE("ignore_end goes on past an end token", "[sequence]") {
    Run run;
    run.sampling.ignore_end = true;
    Sequence sequence = run.start(3);
    run.feed(sequence, {'a', FakeTokenizer::end, 'b'});
    CHECK(run.text() == "ab");
    CHECK(run.tokens() == std::vector<TokenId>{'a', FakeTokenizer::end, 'b'});
    CHECK(run.pieces.back().finish == FinishReason::length);
}

TEST_CASE("the token limit ends a sequence with length", "[sequence]") {
    Run run;
    Sequence sequence = run.start(2);
    run.feed(sequence, {'a', 'b', 'c'});
    CHECK(run.text() == "ab");
    CHECK(run.pieces.back().finish == FinishReason::length);
    CHECK(run.pieces.back().generated_tokens == 2);
}

TEST_CASE("half a character waits for its other half, with its tokens", "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    run.feed(sequence, {0xE5, 0xA5});
    CHECK(run.pieces.empty());
    run.feed(sequence, {0xBD, 'x'});
    REQUIRE(run.pieces.size() == 2);
    CHECK(run.pieces[0].text == "好");
    CHECK(run.pieces[0].tokens.size() == 3);
    CHECK(run.pieces[1].tokens.size() == 1);
}

TEST_CASE("half a character at the end comes out as the replacement character", "[sequence]") {
    Run run;
    Sequence sequence = run.start(2);
    run.feed(sequence, {'a', 0xE5});
    CHECK(run.text() == "a\xEF\xBF\xBD");
}

TEST_CASE("a stop string across tokens ends a sequence and is named", "[sequence]") {
    Run run;
    run.sampling.stop = {"nope", "好!"};
    Sequence sequence = run.start();
    run.feed(sequence, {'a', 'n', 'o', FakeTokenizer::first_word + 2, '!', 'z'});
    CHECK(run.text() == "ano");
    CHECK(run.pieces.back().finish == FinishReason::stop);
    CHECK(run.pieces.back().stop_string == "好!");
    CHECK(run.pieces.back().generated_tokens == 5);
    CHECK(sequence.finished());
}

TEST_CASE("text held back for a stop string comes out when the sequence ends", "[sequence]") {
    Run run;
    run.sampling.stop = {"nope"};
    Sequence sequence = run.start();
    run.feed(sequence, {'n', 'o', 'p', FakeTokenizer::end});
    CHECK(run.text() == "nop");
    CHECK(run.pieces.size() == 1);
    CHECK(run.pieces.back().finish == FinishReason::stop);
    CHECK(run.pieces.back().stop_string.empty());
}

TEST_CASE("a stop string that the last character completes counts as a stop", "[sequence]") {
    Run run;
    run.sampling.stop = {"\xEF\xBF\xBD"};
    Sequence sequence = run.start(2);
    run.feed(sequence, {'a', 0xE5});
    CHECK(run.text() == "a");
    CHECK(run.pieces.back().finish == FinishReason::stop);
}

TEST_CASE("a refused piece is offered again unchanged and nothing is lost", "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    run.refusals = 2;
    run.feed(sequence, {'a'});
    CHECK(sequence.held());
    CHECK_FALSE(sequence.deliver({}));
    CHECK(run.pieces.empty());
    CHECK(sequence.deliver({}));
    CHECK_FALSE(sequence.held());
    CHECK(run.text() == "a");
    CHECK(sequence.deliver({}));  // nothing new to say
    CHECK(run.offers == 3);
}

TEST_CASE("a held sequence that is ended from outside still gives its piece, as the last",
          "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    run.refusals = 1;
    run.feed(sequence, {'a'});
    sequence.end(FinishReason::failed, "gone");
    CHECK(sequence.deliver({}));
    REQUIRE(run.pieces.size() == 1);
    CHECK(run.pieces[0].text == "a");
    CHECK(run.pieces[0].last);
    CHECK(run.pieces[0].error == "gone");
    CHECK(sequence.deliver({}));
    CHECK(run.pieces.size() == 1);
}

TEST_CASE("NaN logits fail the sequence with a reason", "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    Sampled broken;
    broken.failed = true;
    sequence.take(broken, run.tokenizer);
    sequence.deliver({});
    REQUIRE(run.pieces.size() == 1);
    CHECK(run.pieces[0].finish == FinishReason::failed);
    CHECK(run.pieces[0].error.find("NaN") != std::string::npos);
}

TEST_CASE("logprobs come one a token with the token's own bytes", "[sequence]") {
    Run run;
    run.sampling.top_logprobs = 0;
    Sequence sequence = run.start();
    run.feed(sequence, {0xE5, 0xA5, 0xBD, FakeTokenizer::end});
    REQUIRE(run.pieces.size() == 2);
    REQUIRE(run.pieces[0].logprobs.size() == 3);
    CHECK(run.pieces[0].logprobs[1].chosen.bytes == "\xA5");
    CHECK(run.pieces[1].logprobs.empty());
}

TEST_CASE("tokens without text go out in bunches", "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    for (int i = 0; i < 40; ++i) run.feed(sequence, {FakeTokenizer::control});
    CHECK(run.pieces.size() == 2);
    CHECK(run.tokens().size() == 32);
}

TEST_CASE("draws depend on seed and index alone", "[sequence]") {
    auto draws = [](std::uint64_t seed) {
        FakeTokenizer tokenizer;
        Sequence sequence(
            1, {5}, Sampling{}, [](Piece&) { return true; }, 10, seed);
        std::vector<std::uint64_t> out;
        for (int i = 0; i < 5; ++i) {
            out.push_back(sequence.draw());
            sequence.take(Run::token('a'), tokenizer);
            sequence.deliver({});
        }
        return out;
    };
    auto first = draws(1);
    CHECK(first == draws(1));
    CHECK(first != draws(2));
    CHECK(std::set<std::uint64_t>(first.begin(), first.end()).size() == 5);
}

TEST_CASE("every piece tells what the prompt came to", "[sequence]") {
    Run run;
    Sequence sequence = run.start();
    sequence.cached_prompt_tokens = 2;
    run.feed(sequence, {'h', 'i', FakeTokenizer::end});
    REQUIRE(run.pieces.size() == 3);
    for (const Piece& piece : run.pieces) {
        CHECK(piece.prompt_tokens == 3);
        CHECK(piece.cached_prompt_tokens == 2);
    }
}
