// Sequences that give way while the device has swap room: what they had computed comes back with
// them, and every place of the room is free again in the end.
#include "tests/engine/batch_drive.h"
#include "tests/engine/scheduler_rig.h"

using namespace sluice;

namespace {

// Two sequences of 4 + 40 and 4 + 30 tokens do not fit at once.
FakeDeviceOptions few_pages(std::int64_t swap_pages) {
    FakeDeviceOptions options;
    options.pages = 12;  // 48 tokens
    options.swap_pages = swap_pages;
    return options;
}

void run_to_end(Drive& drive) {
    for (int turns = 0; drive.batch.running() + drive.batch.waiting() > 0; ++turns) {
        REQUIRE(turns < 1000);
        drive.turn();
    }
    for (auto& sequence : drive.done) sequence->deliver(drive.now);
    CHECK(drive.device.faults() == std::vector<std::string>{});
    CHECK(drive.batch.pages().used() == 0);
    CHECK(drive.batch.swapped() == 0);
}

std::string alone(const Drive& drive, SequenceId id, int prompt, int generated) {
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = id;
    return run_alone(prompt_of(prompt), sampling, generated, drive.tokenizer, drive.options).text;
}

struct Listener {
    std::string text;
    Sink sink() {
        return [this](Piece& piece) {
            text += piece.text;
            return true;
        };
    }
};

// Of a client that stops reading after two turns, until `full` is set back.
SequenceId add_slow(Drive& drive, Listener& slow, bool& full) {
    const SequenceId id =
        drive.add(prompt_of(20), 12, {},
                  [sink = slow.sink(), &full](Piece& piece) { return !full && sink(piece); });
    drive.turn();
    drive.turn();
    full = true;
    return id;
}

}  // namespace

TEST_CASE("a sequence that gave way comes back with all that it had computed", "[swap]") {
    Drive drive(few_pages(12));
    Listener oldest, youngest;
    const SequenceId first = drive.add(4, 40, oldest.sink());
    const SequenceId second = drive.add(4, 30, youngest.sink());
    run_to_end(drive);
    CHECK(drive.device.swapped_out > 0);
    CHECK(drive.device.swapped_in == drive.device.swapped_out);
    CHECK(drive.device.computed == 4 + 39 + 4 + 29);  // each token once, but the last ones
    CHECK(oldest.text == alone(drive, first, 4, 40));
    CHECK(youngest.text == alone(drive, second, 4, 30));
}

TEST_CASE("a sequence that the room does not hold whole is computed again", "[swap]") {
    Drive drive(few_pages(2));
    Listener youngest;
    drive.add(4, 40);
    const SequenceId second = drive.add(4, 30, youngest.sink());
    run_to_end(drive);
    CHECK(drive.device.swapped_out == 0);
    CHECK(drive.batch.preemptions() > 0);
    CHECK(drive.batch.swaps() == 0);
    CHECK(drive.device.computed > 4 + 39 + 4 + 29);
    CHECK(youngest.text == alone(drive, second, 4, 30));
}

TEST_CASE("a prompt that gives way half computed goes on behind that half", "[swap]") {
    FakeDeviceOptions options = few_pages(12);
    options.prefill_tokens_max = 8;
    Drive drive(options);
    Listener low;
    const SequenceId first = drive.add(prompt_of(30), 4, {}, low.sink());
    drive.turn();
    SubmitOptions high;
    high.priority = 1;
    drive.add(prompt_of(30, 50), 4, high);
    run_to_end(drive);
    CHECK(drive.device.swapped_out == 2);  // 8 tokens
    CHECK(drive.device.computed == 2 * (30 + 3));
    CHECK(low.text == alone(drive, first, 30, 4));
}

TEST_CASE("what is chosen while a sequence gives way is chosen again", "[swap]") {
    FakeDeviceOptions options = few_pages(12);
    options.steps_max = 2;
    Drive drive(options);
    Listener low;
    const SequenceId first = drive.add(prompt_of(20), 12, {}, low.sink());
    drive.turn();
    drive.turn();
    REQUIRE(drive.batch.begun() == 1);
    REQUIRE(drive.find(first)->pending == 1);
    SubmitOptions high;
    high.priority = 1;
    drive.add(prompt_of(30, 50), 10, high);
    drive.batch.admit(drive.now);
    REQUIRE_FALSE(drive.runs(first));
    CHECK(drive.batch.swapped() == 5);  // without the one that is pending
    CHECK(drive.find(first)->computed == drive.find(first)->size() - 1);
    run_to_end(drive);
    CHECK(low.text == alone(drive, first, 20, 12));
}

TEST_CASE("only pages that are not found in the pool come back", "[swap]") {
    FakeDeviceOptions options;
    options.pages = 20;
    options.swap_pages = 20;
    Drive drive(options);
    SubmitOptions acme;
    acme.cache_tenant = "acme";
    bool full = false;
    Listener held;
    Sink sink = held.sink();
    const SequenceId id =
        drive.add(prompt_of(30), 20, acme, [&](Piece& piece) { return !full && sink(piece); });
    drive.turn();
    drive.turn();
    full = true;
    const SequenceId other = drive.add(prompt_of(20, 100), 40, {});
    while (drive.find(other) != nullptr) drive.turn();
    REQUIRE_FALSE(drive.runs(id));
    full = false;
    run_to_end(drive);
    CHECK(drive.device.swapped_out == 8);  // 30 tokens or a little more
    CHECK(drive.device.swapped_in > 0);
    CHECK(drive.device.swapped_in < 8);
    CHECK(held.text == alone(drive, id, 30, 20));
}

TEST_CASE("where the room is short, what others hold of a sequence stays in the pool", "[swap]") {
    FakeDeviceOptions options;
    options.pages = 30;
    options.sequences_max = 4;
    options.swap_pages = 3;
    Drive drive(options);
    SubmitOptions acme;
    acme.cache_tenant = "acme";
    Listener young;
    const std::vector<TokenId> shared = prompt_of(40);  // ten pages
    const SequenceId one = drive.add(shared, 60, acme);
    for (int i = 0; i < 4; ++i) drive.turn();
    const SequenceId two = drive.add(shared, 6, acme, young.sink());
    for (int i = 0; i < 3; ++i) drive.turn();
    REQUIRE(drive.runs(two));
    const int computed = drive.find(two)->computed;
    SubmitOptions high;
    high.priority = 1;
    const SequenceId urgent = drive.add(prompt_of(64, 100), 10, high);
    drive.batch.admit(drive.now);
    REQUIRE(drive.runs(urgent));
    REQUIRE_FALSE(drive.runs(two));
    CHECK(drive.batch.swapped() < 4);
    CHECK(drive.batch.swapped() > 0);
    CHECK(drive.batch.swaps() == drive.batch.preemptions());
    CHECK(drive.find(two)->computed >= computed);
    CHECK(drive.find(one) != nullptr);
    run_to_end(drive);
    CHECK(drive.device.swapped_in > 0);
    CHECK(young.text == alone(drive, two, 40, 6));
}

TEST_CASE("a client that does not read gives its places up to others", "[swap]") {
    FakeDeviceOptions options = few_pages(6);
    Drive drive(options);
    bool full = false;
    Listener slow, other;
    const SequenceId held = add_slow(drive, slow, full);
    drive.add(prompt_of(4, 90), 30, {});
    const SequenceId third = drive.add(prompt_of(4, 150), 30, {}, other.sink());
    while (drive.runs(held)) drive.turn();
    CHECK(drive.batch.swapped() == 6);
    while (drive.find(held)->computed > 0) drive.turn();  // the third took them
    CHECK(drive.find(third)->swapped.ids.size() > 0);
    full = false;
    run_to_end(drive);
    CHECK(slow.text == alone(drive, held, 20, 12));
    CHECK(other.text == [&] {
        Sampling sampling;
        sampling.ignore_end = true;
        sampling.seed = third;
        return run_alone(prompt_of(4, 150), sampling, 30, drive.tokenizer, drive.options).text;
    }());
}

TEST_CASE("nobody gives places up to a sequence that they are too few for", "[swap]") {
    FakeDeviceOptions options;
    options.pages = 20;
    options.swap_pages = 7;
    Drive drive(options);
    bool full = false;
    Listener slow;
    const SequenceId held = add_slow(drive, slow, full);
    const SequenceId longer = drive.add(prompt_of(40, 90), 36, {});
    while (drive.runs(held)) drive.turn();
    const std::int64_t places = drive.batch.swapped();
    REQUIRE(places > 4);
    REQUIRE(drive.runs(longer));
    SubmitOptions high;
    high.priority = 1;
    drive.add(prompt_of(60, 150), 4, high);
    drive.batch.admit(drive.now);
    REQUIRE_FALSE(drive.runs(longer));
    CHECK(drive.find(longer)->computed == 0);
    CHECK(drive.batch.swapped() == places);
    CHECK(drive.batch.swaps() == 1);
    CHECK(drive.batch.preemptions() == 2);
    full = false;
    run_to_end(drive);
    CHECK(slow.text == alone(drive, held, 20, 12));
}

TEST_CASE("a sequence that leaves while it is swapped frees its places", "[swap]") {
    Drive drive(few_pages(12));
    drive.add(4, 40);
    const SequenceId second = drive.add(4, 30);
    while (drive.runs(second) || drive.find(second)->generated_tokens() == 0) drive.turn();
    CHECK(drive.batch.swapped() > 0);
    CHECK(drive.batch.remove(second) != nullptr);
    CHECK(drive.batch.swapped() == 0);
    run_to_end(drive);
}

TEST_CASE("the engine swaps, says how much, and starts anew after its device was lost", "[swap]") {
    FakeDeviceOptions options = few_pages(12);
    options.gate = std::make_shared<std::counting_semaphore<>>(0);
    const auto next_gate = std::make_shared<std::counting_semaphore<>>(0);
    options.fail_at_step = 30;
    Reopening reopening;
    reopening.first_wait = 1ms;
    FakeDevice* second = nullptr;
    reopening.open = [&]() -> Result<std::unique_ptr<Device>> {
        FakeDeviceOptions again = few_pages(12);
        again.gate = next_gate;
        auto made = std::make_unique<FakeDevice>(again);
        second = made.get();
        return std::unique_ptr<Device>(std::move(made));
    };
    Rig rig(options, {}, 47, reopening);
    SubmitOptions high;
    high.priority = 1;
    Client one, two;
    REQUIRE(rig.submit(one, 40));
    options.gate->release(10);
    REQUIRE(one.wait_pieces(10));
    REQUIRE(rig.engine->submit(Rig::prompt(3), limited(40, 1), two.sink(), high));
    options.gate->release(10);
    CHECK(rig.soon([&] { return rig.engine->occupancy().kv_pages_swapped > 0; }));
    options.gate->release(100);
    REQUIRE(one.wait_last());
    REQUIRE(two.wait_last());
    CHECK(one.last_.finish == FinishReason::failed);
    CHECK(two.last_.finish == FinishReason::failed);
    CHECK(rig.soon([&] { return rig.engine->occupancy().up; }));
    CHECK(rig.engine->occupancy().kv_pages_swapped == 0);
    Client three, four;
    REQUIRE(rig.submit(three, 40));
    next_gate->release(5);
    REQUIRE(three.wait_pieces(5));
    REQUIRE(rig.engine->submit(Rig::prompt(3), limited(40, 1), four.sink(), high));
    next_gate->release(1000);
    REQUIRE(three.wait_last());
    REQUIRE(four.wait_last());
    CHECK(three.tokens_.size() == 40);
    CHECK(four.tokens_ == three.tokens_);
    CHECK(rig.idle());
    CHECK(rig.engine->occupancy().swaps_total == 2);
    CHECK(rig.engine->occupancy().preemptions_total == 2);
    CHECK(second->swapped_out > 0);
    CHECK(second->swapped_in == second->swapped_out);
    CHECK(second->faults() == std::vector<std::string>{});
}
