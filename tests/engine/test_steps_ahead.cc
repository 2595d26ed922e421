// A step begun while the one before is under way: the same tokens as without, nothing lost and
// nothing kept when what it was begun on turns out otherwise.
#include <cmath>

#include "engine/step_times.h"
#include "tests/engine/batch_drive.h"
#include "tests/engine/scheduler_rig.h"

using namespace sluice;

namespace {

FakeDeviceOptions ahead() {
    FakeDeviceOptions options;
    options.steps_max = 2;
    return options;
}

Sampling seeded(std::uint64_t seed) {
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = seed;
    return sampling;
}

// A sequence in a batch, and what it said.
struct Asked {
    std::vector<TokenId> prompt;
    Sampling sampling;
    int generated_max = 20;
    std::string text;
    std::vector<TokenId> tokens;
    Piece last;
    SequenceId id = 0;

    void add(Drive& drive) {
        auto sink = [this](Piece& piece) {
            text += piece.text;
            tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
            if (piece.last) last = piece;
            return true;
        };
        id = ++drive.last_id;
        drive.batch.add(
            std::make_unique<Sequence>(id, prompt, sampling, sink, generated_max, *sampling.seed),
            drive.now);
    }
    void check(const Drive& drive) const {
        const Alone alone =
            run_alone(prompt, sampling, generated_max, drive.tokenizer, drive.options);
        CHECK(text == alone.text);
        CHECK(tokens == alone.tokens);
        CHECK(last.finish == alone.last.finish);
        CHECK(last.generated_tokens == alone.last.generated_tokens);
    }
};

void run_to_end(Drive& drive) {
    for (int turns = 0; drive.batch.running() + drive.batch.waiting() > 0; ++turns) {
        REQUIRE(turns < 1000);
        drive.turn();
    }
    for (auto& sequence : drive.done) sequence->deliver(drive.now);
    CHECK(drive.device.faults() == std::vector<std::string>{});
    CHECK(drive.batch.pages().used() == 0);
}

}  // namespace

TEST_CASE("the next step is begun before this one's tokens are known, and they are the same",
          "[steps_ahead]") {
    Drive drive(ahead());
    Asked asked[3];
    for (int i = 0; i < 3; ++i) {
        asked[i].prompt = prompt_of(3 + 9 * i, i);
        asked[i].sampling = seeded(static_cast<std::uint64_t>(i));
        asked[i].generated_max = 12 + i;
        asked[i].add(drive);
    }
    run_to_end(drive);
    for (const Asked& one : asked) one.check(drive);
    CHECK(drive.device.ahead >= drive.device.steps() - 2);
}

TEST_CASE("what was chosen for a sequence that had ended is thrown away", "[steps_ahead]") {
    Drive drive(ahead());
    Asked ends;
    ends.prompt = prompt_of(4);
    ends.sampling = seeded(5);
    ends.generated_max = 60;
    ends.sampling.ignore_end = false;
    Asked stops = ends;
    const Alone whole = run_alone(stops.prompt, stops.sampling, 60, drive.tokenizer, {});
    REQUIRE(whole.text.size() > 6);
    stops.sampling.stop = {whole.text.substr(3, 2)};
    Asked goes_on;
    goes_on.prompt = prompt_of(9, 70);
    goes_on.sampling = seeded(6);
    goes_on.generated_max = 70;
    for (Asked* one : {&ends, &stops, &goes_on}) one->add(drive);
    run_to_end(drive);
    for (const Asked* one : {&ends, &stops, &goes_on}) one->check(drive);
    CHECK(stops.last.finish == FinishReason::stop);
    CHECK(drive.device.ahead > 60);
}

TEST_CASE("a sequence that ends at its limit takes no step beyond it", "[steps_ahead]") {
    Drive drive(ahead());
    Asked asked;
    asked.prompt = prompt_of(3);
    asked.sampling = seeded(1);
    asked.generated_max = 5;
    asked.add(drive);
    run_to_end(drive);
    CHECK(drive.device.steps() == 5);
}

TEST_CASE("penalties wait for the token that they are made of", "[steps_ahead]") {
    Drive drive(ahead());
    Asked asked[2];
    for (Asked& one : asked) {
        one.prompt = prompt_of(5);
        one.sampling = seeded(3);
        one.sampling.logit_bias = {{7, 3.0F}};
    }
    asked[0].sampling.frequency_penalty = 0.7F;
    asked[1].generated_max = 40;
    for (Asked& one : asked) one.add(drive);
    for (int turn = 0; turn < 18; ++turn) drive.turn();
    CHECK(drive.device.ahead == 0);  // the other one keeps step with it
    CHECK(drive.find(asked[1].id)->generated_tokens() == 18);
    run_to_end(drive);
    for (const Asked& one : asked) one.check(drive);
    CHECK(drive.device.ahead > 15);  // alone, with a bias, it need not wait
}

TEST_CASE("a thought is closed at its budget though the next step was begun", "[steps_ahead]") {
    for (int budget : {0, 1, 2, 7}) {
        Drive drive(ahead());
        Asked asked;
        asked.prompt = prompt_of(4);
        asked.sampling = seeded(9);
        asked.generated_max = 30;
        Thinking& thinking = asked.sampling.thinking;
        thinking.begin = 258;
        thinking.end = 259;
        thinking.open = true;
        thinking.budget = budget;
        thinking.closing = {'o', 'k', 259, '\n'};
        asked.add(drive);
        run_to_end(drive);
        asked.check(drive);
        CHECK(drive.device.ahead > 10);
    }
}

TEST_CASE("a sequence taken out while two steps have it leaves nothing behind", "[steps_ahead]") {
    FakeDeviceOptions options = ahead();
    options.sequences_max = 2;
    Drive drive(options);
    Asked stays, leaves, next;
    int first = 1;
    for (Asked* one : {&stays, &leaves, &next}) {
        one->prompt = prompt_of(8, first++);
        one->sampling = seeded(11);
        one->generated_max = 30;
        one->add(drive);
    }
    for (int turn = 0; turn < 4; ++turn) drive.turn();
    REQUIRE(drive.batch.begun() == 1);
    REQUIRE(drive.runs(leaves.id));
    CHECK(drive.batch.remove(leaves.id) != nullptr);
    CHECK(drive.batch.pages().used() == 3);  // what the other one has
    drive.turn();
    CHECK(drive.runs(next.id));  // has its seat and pages while the step with it runs
    run_to_end(drive);
    stays.check(drive);
    next.check(drive);
}

TEST_CASE("when pages run out nobody gives way for a step ahead", "[steps_ahead]") {
    FakeDeviceOptions options = ahead();
    options.pages = 12;
    Drive drive(options);
    Asked oldest, youngest;
    for (Asked* one : {&oldest, &youngest}) {
        one->prompt = prompt_of(4);
        one->sampling = seeded(2);
        one->generated_max = 40;
        one->add(drive);
    }
    bool gave_way = false;
    for (int turns = 0; drive.find(oldest.id) && turns < 200; ++turns) {
        const int before = drive.find(oldest.id)->generated_tokens();
        drive.turn();
        if (Sequence* one = drive.find(oldest.id)) CHECK(one->generated_tokens() == before + 1);
        gave_way |= drive.find(youngest.id) && !drive.runs(youngest.id);
    }
    CHECK(gave_way);
    run_to_end(drive);
    oldest.check(drive);
    youngest.check(drive);
}

TEST_CASE("a sequence that is held chooses its thrown away token again", "[steps_ahead]") {
    Drive drive(ahead());
    bool full = false;
    std::string text;
    const SequenceId id = drive.add(3, 25, [&](Piece& piece) {
        if (full) return false;
        text += piece.text;
        return true;
    });
    for (int turn = 0; drive.find(id) != nullptr; ++turn) {
        REQUIRE(turn < 300);
        full = turn % 5 == 2 || turn % 5 == 3;
        drive.turn();
    }
    full = false;
    for (auto& sequence : drive.done) sequence->deliver(drive.now);
    CHECK(drive.device.faults() == std::vector<std::string>{});
    CHECK(text == run_alone(prompt_of(3), seeded(id), 25, drive.tokenizer, drive.options).text);
}

TEST_CASE("the probe and the hidden state come with the first piece alone", "[steps_ahead]") {
    std::vector<Piece> pieces;
    Sampling sampling = seeded(1);
    Sequence sequence(
        1, {1}, sampling,
        [&](Piece& piece) {
            pieces.push_back(piece);
            return true;
        },
        3, 1);
    FakeTokenizer tokenizer;
    Sampled sampled;
    sampled.token = 'a';
    sampled.probe = 0.25F;
    sampled.hidden = {1.0F, 2.0F};
    for (int i = 0; i < 3; ++i) {
        sequence.take(sampled, tokenizer);
        sequence.deliver({});
    }
    REQUIRE(pieces.size() == 3);
    CHECK(pieces[0].probe == 0.25F);
    CHECK(pieces[0].hidden_state == std::vector<float>{1.0F, 2.0F});
    CHECK(std::isnan(pieces[1].probe));
    CHECK(pieces[1].hidden_state.empty());
}

TEST_CASE("what a step will take is foretold from those before", "[steps_ahead]") {
    StepTimes times;
    CHECK(times.decode_seconds(1) == 0.0);
    times.add(1, 0, 0.008);
    CHECK(times.decode_seconds(5) == Approx(0.008));
    times.add(64, 0, 0.020);
    CHECK(times.decode_seconds(1) == Approx(0.008));
    CHECK(times.decode_seconds(32) == Approx(0.008 + 0.012 * 31 / 63));
    CHECK(times.decode_seconds(127) == Approx(0.032));
    times.add(16, 0, 0.007);  // less than one alone took: noise
    for (int n = 1; n < 200; ++n) CHECK(times.decode_seconds(n + 1) >= times.decode_seconds(n));
    for (int i = 0; i < 200; ++i) times.add(64, 0, 0.030);
    CHECK(times.decode_seconds(64) == Approx(0.030).epsilon(0.01));
    times.add(64, 0, 100.0);  // a hiccup
    CHECK(times.decode_seconds(64) < 0.045);
    times.add(0, 1000, 0.1);
    CHECK(times.prompt_token_seconds() == Approx(1e-4));
    times.add(1, 1000, 0.108);
    CHECK(times.prompt_token_seconds() == Approx(1e-4));
}

TEST_CASE("the engine foretells the step of one more and counts what it has to compute",
          "[steps_ahead]") {
    FakeDeviceOptions options = gated(1);
    options.steps_max = 2;
    Rig rig(options);
    Client running, waiting;
    REQUIRE(rig.submit(running, 40));
    options.gate->release(4);
    REQUIRE(running.wait_pieces(4));
    REQUIRE(rig.submit(waiting, 3, 30));
    options.gate->release(2);
    REQUIRE(rig.soon([&] { return rig.engine->occupancy().waiting == 1; }));
    const Occupancy now = rig.engine->occupancy();
    CHECK(now.running == 1);
    CHECK(now.uncomputed_tokens == 30);
    CHECK(now.next_step_seconds == Approx(0.001));  // as the fake device says
    CHECK(now.host_gap_seconds == Approx(0.0001));
    options.gate->release(100);
    CHECK(waiting.wait_last());
}

TEST_CASE("a cancel takes hold before the next step that is begun, and frees pages with it",
          "[steps_ahead]") {
    FakeDeviceOptions options = gated();
    options.steps_max = GENERATE(1, 2);
    Rig rig(options);
    // The sinks run on the engine thread: what they see is what is so between two steps.
    std::atomic<SequenceId> leaving{0};
    int leaving_pieces = 0;
    int pieces_beside_it = 0;  // of the other one, from the cancel on
    std::atomic<bool> ended{false};
    auto id = rig.engine->submit(Rig::prompt(30), limited(60, 5), [&](Piece&) {
        if (++leaving_pieces == 10) rig.engine->cancel(leaving);
        return true;
    });
    REQUIRE(id);
    leaving = *id;
    REQUIRE(rig.engine->submit({1, 2, 3}, limited(60, 1), [&](Piece& piece) {
        const Occupancy now = rig.engine->occupancy();
        pieces_beside_it += leaving_pieces == 10 && (now.running > 1 || now.kv_pages_used > 16);
        if (piece.last) ended = true;
        return true;
    }));
    options.gate->release(200);
    REQUIRE(rig.soon([&] { return ended.load(); }));
    CHECK(rig.idle());
    CHECK(leaving_pieces == 10);
    CHECK(pieces_beside_it <= 1);  // of the very step that it was cancelled in
}

TEST_CASE("nothing is begun behind a long step: whoever arrives would wait for it",
          "[steps_ahead]") {
    FakeDeviceOptions options = ahead();
    const bool slow = GENERATE(false, true);
    options.step_seconds = slow ? 1.0 : 0.001;
    Rig rig(options);
    Client client;
    REQUIRE(rig.submit(client, 1, 64));  // four steps of 16 tokens
    REQUIRE(client.wait_last());
    CHECK(rig.device->steps() == 4);
    CHECK(rig.device->ahead == (slow ? 1 : 3));  // one before it is known how long they take
}
