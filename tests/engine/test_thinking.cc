#include <cmath>

#include "tests/engine/batch_drive.h"
#include "tests/engine/scheduler_rig.h"

using namespace sluice;

namespace {

constexpr TokenId think = 258;      // a word of this vocabulary
constexpr TokenId think_end = 259;  // another

Sampling thinking(int budget, bool open = true) {
    Sampling sampling;
    sampling.thinking.begin = think;
    sampling.thinking.end = think_end;
    sampling.thinking.open = open;
    sampling.thinking.budget = budget;
    sampling.thinking.closing = {'o', 'k', think_end, '\n'};
    return sampling;
}

// A sequence that is given tokens, and what came of them.
struct Fed {
    FakeTokenizer tokenizer{{"<think>", "</think>"}};
    std::vector<TokenId> tokens;
    std::vector<float> logprobs;
    std::string text;
    Piece last;

    explicit Fed(Sampling sampling, const std::vector<TokenId>& given, int generated_max = 100) {
        auto sink = [this](Piece& piece) {
            tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
            text += piece.text;
            for (auto& one : piece.logprobs) logprobs.push_back(one.chosen.logprob);
            if (piece.last) last = piece;
            return true;
        };
        Sequence sequence(1, {1}, std::move(sampling), sink, generated_max, 7);
        for (TokenId token : given) {
            if (sequence.finished()) break;
            Sampled sampled;
            sampled.token = token;
            sampled.logprobs.chosen = {token, -1.0F, {}};
            sequence.take(sampled, tokenizer);
            sequence.deliver({});
        }
        sequence.end(FinishReason::cancelled, "");
        sequence.deliver({});
    }
};

}  // namespace

TEST_CASE("a thought that has spent its budget is closed, and the answer follows", "[thinking]") {
    Fed fed(thinking(3), {'a', 'b', 'c', 'd', 'e', 'f'});
    CHECK(fed.text == "abcok</think>\nef");  // 'd' gave way to the closing
    CHECK(fed.tokens == std::vector<TokenId>{'a', 'b', 'c', 'o', 'k', think_end, '\n', 'e', 'f'});
    CHECK(fed.last.generated_tokens == 9);
}

TEST_CASE("a thought that ends by itself within its budget is left alone", "[thinking]") {
    CHECK(Fed(thinking(3), {'a', 'b', think_end, 'c', 'd', 'e', 'f'}).text == "ab</think>cdef");
    CHECK(Fed(thinking(3), {'a', 'b', 'c', think_end, 'd', 'e'}).text == "abc</think>de");
}

TEST_CASE("a thought that the model opens is counted from there, and only the first",
          "[thinking]") {
    Sampling sampling = thinking(2, false);
    CHECK(Fed(sampling, {'a', 'b', 'c', 'd'}).text == "abcd");
    CHECK(Fed(sampling, {'\n', think, 'a', 'b', 'c', 'd'}).text == "\n<think>abok</think>\nd");
    CHECK(Fed(sampling, {think, 'a', think_end, think, 'b', 'c', 'd', 'e'}).text ==
          "<think>a</think><think>bcde");
}

TEST_CASE("a budget of nothing closes the thought at once, none at all lets it run", "[thinking]") {
    CHECK(Fed(thinking(0), {'a', 'b'}).text == "ok</think>\nb");
    CHECK(Fed(thinking(0), {think_end, 'b'}).text == "</think>b");
    CHECK(Fed(thinking(-1), std::vector<TokenId>(50, 'a')).text == std::string(50, 'a'));
    CHECK(Fed(Sampling{}, std::vector<TokenId>(50, 'a')).text == std::string(50, 'a'));
}

TEST_CASE("a model that would stop in a spent thought answers instead", "[thinking]") {
    CHECK(Fed(thinking(1), {'a', FakeTokenizer::end, 'b'}).text == "aok</think>\nb");
}

TEST_CASE("what closes a thought keeps to the limit, the stop strings and the logprobs",
          "[thinking]") {
    Fed cut(thinking(2), {'a', 'b', 'c', 'd'}, 4);
    CHECK(cut.text == "abok");
    CHECK(cut.last.finish == FinishReason::length);
    Sampling stopped = thinking(2);
    stopped.stop = {"k</"};
    Fed stop(stopped, {'a', 'b', 'c', 'd'});
    CHECK(stop.text == "abo");
    CHECK(stop.last.finish == FinishReason::stop);
    Sampling told = thinking(1);
    told.top_logprobs = 0;
    CHECK(Fed(told, {'a', 'b', 'c'}).logprobs == std::vector<float>{-1, 0, 0, 0, 0, -1});
}

TEST_CASE("a closed thought is the same when its sequence gives way and comes back", "[thinking]") {
    FakeDeviceOptions options;
    options.pages = 14;
    Drive drive(options);
    Sampling sampling = thinking(12);
    sampling.ignore_end = true;
    std::string text;
    bool gave_way = false;
    SequenceId oldest = drive.add(4, 40);
    sampling.seed = 77;
    drive.batch.add(std::make_unique<Sequence>(
                        ++drive.last_id, prompt_of(4), sampling,
                        [&](Piece& piece) {
                            text += piece.text;
                            return true;
                        },
                        30, 77),
                    drive.now);
    const SequenceId id = drive.last_id;
    while (drive.find(oldest) || drive.find(id)) {
        drive.turn();
        gave_way |= drive.find(id) && drive.find(id)->generated_tokens() > 16 && !drive.runs(id);
    }
    CHECK(gave_way);
    CHECK(drive.device.faults() == std::vector<std::string>{});
    Alone alone = run_alone(prompt_of(4), sampling, 30, drive.tokenizer, options);
    CHECK(text == alone.text);
    CHECK(std::count(alone.tokens.begin(), alone.tokens.end(), think_end) > 0);
}

TEST_CASE("the engine counts the tokens that close a thought, and refuses what cannot",
          "[thinking]") {
    Rig rig;
    Client client;
    Sampling sampling = thinking(5);
    sampling.ignore_end = true;
    sampling.tokens_max = 20;
    sampling.seed = 3;
    REQUIRE(rig.engine->submit(Rig::prompt(5), sampling, client.sink()));
    REQUIRE(client.wait_last());
    CHECK(client.tokens_.size() == 20);
    CHECK(rig.soon([&] { return rig.engine->occupancy().generated_tokens_total == 20; }));
    auto refused = [&](Sampling wrong) {
        auto result = rig.engine->submit({1}, wrong, [](Piece&) { return true; });
        REQUIRE_FALSE(result);
        return result.error().param;
    };
    Sampling endless = thinking(5);
    endless.thinking.closing = {'o', 'k'};
    CHECK(refused(endless) == "thinking.closing");
    endless.thinking.closing.assign(257, think_end);
    CHECK(refused(endless) == "thinking.closing");
    endless.thinking.closing = {think_end, 262};
    CHECK(refused(endless) == "thinking.closing");
    Sampling unknown;
    unknown.thinking.end = 262;
    CHECK(refused(unknown) == "thinking");
}

TEST_CASE("the chance that the thought ends now is told from the raw logits", "[thinking]") {
    std::vector<float> logits(262, 0.0F);
    logits[think_end] = 2.0F;
    Sampling sampling = thinking(-1);
    sampling.logit_bias = {{think_end, -50.0F}};
    StepSequence part;
    part.sampling = &sampling;
    const double all = 261 + std::exp(2.0);
    CHECK(static_cast<double>(sample(logits, part).signals.think_end_logprob) ==
          Approx(2.0 - std::log(all)).epsilon(1e-5));
    Sampling none;
    part.sampling = &none;
    CHECK(std::isnan(sample(logits, part).signals.think_end_logprob));
}
